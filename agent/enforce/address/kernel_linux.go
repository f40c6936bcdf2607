package address

import (
	"net/netip"
	"os"

	"github.com/cilium/ebpf"

	"github.com/vedette-edr/vedette/agent/enforce/program"
)

// kernel is the loaded programs and their table of hosts.
type kernel struct {
	*program.Programs
	hosts *program.Table[bpfAddress, bpfRule]
}

// loadKernel loads the programs; nothing is attached yet.
func loadKernel(instance string) (*kernel, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables[bpfVarSelfPid].Set(uint32(os.Getpid())); err != nil {
		return nil, err
	}
	inner := spec.Maps[bpfMapEmpty].Copy()
	all, err := program.Load(instance, spec, []program.Attachment{
		{Program: "deny_connect4", At: ebpf.AttachCGroupInet4Connect}, {Program: "deny_connect6", At: ebpf.AttachCGroupInet6Connect},
		{Program: "deny_sendmsg4", At: ebpf.AttachCGroupUDP4Sendmsg}, {Program: "deny_sendmsg6", At: ebpf.AttachCGroupUDP6Sendmsg},
		{Program: "deny_ingress", At: ebpf.AttachCGroupInetIngress},
	})
	if err != nil {
		return nil, err
	}
	k := &kernel{Programs: all}
	if k.hosts, err = program.NewTable[bpfAddress, bpfRule](instance, "hosts", inner, all.Maps[bpfMapHosts]); err != nil {
		all.Close()
		return nil, err
	}
	return k, nil
}

func (k *kernel) close() {
	k.hosts.Close()
	k.Close()
}

// host sets the rule of a single address; one without a verdict takes it away. It returns
// by how much the number of rules changed.
func (k *kernel) host(r Rule) (more int, err error) {
	if r.Verdict == 0 {
		return k.hosts.Unset(keyOf(r.Prefix.Addr()))
	}
	return k.hosts.Set(keyOf(r.Prefix.Addr()), ruleOf(r))
}

// rangeRule sets the rule of a range in the same way.
func (k *kernel) rangeRule(r Rule) error {
	key := bpfRange{Bits: uint32(32 + r.Prefix.Bits()), Address: keyOf(r.Prefix.Addr())}
	if r.Verdict == 0 {
		return program.Absent(k.Maps[bpfMapRanges].Delete(key))
	}
	return k.Maps[bpfMapRanges].Put(key, ruleOf(r))
}

// verdict asks the tables what the programs ask them.
func (k *kernel) verdict(a netip.Addr) (Verdict, error) {
	key := keyOf(a)
	var v Verdict
	var r bpfRule
	if err := k.hosts.Lookup(key, &r); err == nil {
		v |= Verdict(r.Verdict)
	} else if program.Absent(err) != nil {
		return 0, err
	}
	if err := k.Maps[bpfMapRanges].Lookup(bpfRange{Bits: uint32(32 + a.BitLen()), Address: key}, &r); err == nil {
		v |= Verdict(r.Verdict)
	} else if program.Absent(err) != nil {
		return 0, err
	}
	var l bpfLearned
	if err := k.Maps[bpfMapLearneds].Lookup(key, &l); err == nil {
		if l.Until > uint64(program.BootNow()) {
			v |= Verdict(l.Verdict)
		}
	} else if program.Absent(err) != nil {
		return 0, err
	}
	var one uint8
	if err := k.Maps[bpfMapFloors].Lookup(key, &one); err == nil {
		v |= Allow
	} else if program.Absent(err) != nil {
		return 0, err
	}
	return v, nil
}

func (k *kernel) tally(t bpfTally) uint64 {
	return program.Counter(k.Maps[bpfMapTallies], uint32(t))
}

const (
	familyV4 = 4
	familyV6 = 6
)

// keyOf wants IPv4 in its own form.
func keyOf(a netip.Addr) bpfAddress {
	k := bpfAddress{Family: familyV6}
	if a.Is4() {
		k.Family = familyV4
	}
	copy(k.Bytes[:], a.AsSlice())
	return k
}

func addrOf(k *bpfAddress) netip.Addr {
	if k.Family == familyV4 {
		return netip.AddrFrom4([4]byte(k.Bytes[:4]))
	}
	return netip.AddrFrom16(k.Bytes)
}

func ruleOf(r Rule) bpfRule { return bpfRule{Id: uint64(r.ID), Verdict: uint32(r.Verdict)} }
