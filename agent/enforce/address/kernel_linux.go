package address

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// kernel is the loaded programs and their tables.
type kernel struct {
	all   *ebpf.Collection
	inner *ebpf.MapSpec // of a table of hosts
	hosts *ebpf.Map     // the table of hosts that is in use
	room  uint32        // entries that it has room for
	links []io.Closer
}

// programs are attached in this order.
var programs = [...]string{"deny_connect4", "deny_connect6", "deny_sendmsg4", "deny_sendmsg6", "deny_ingress"}

// minRoom is the room of the smallest table of hosts.
const minRoom = 256

// loadKernel loads the programs. Names in the kernel begin with the instance, so that one
// can see whose they are; the kernel cuts names at 15 bytes.
func loadKernel(instance string) (*kernel, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables[bpfVarSelfPid].Set(uint32(os.Getpid())); err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		p.Name = objectName(instance, strings.TrimPrefix(p.Name, "deny_"))
	}
	for _, m := range spec.Maps {
		m.Name = objectName(instance, m.Name)
	}
	k := &kernel{inner: spec.Maps[bpfMapEmpty].Copy()}
	k.inner.Name = objectName(instance, "hosts")
	if k.all, err = ebpf.NewCollection(spec); err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) && len(ve.Log) > 1 {
			err = fmt.Errorf("%w (%s)", ve.Cause, strings.Join(ve.Log[max(0, len(ve.Log)-2):], "; "))
		}
		return nil, err
	}
	if err := k.swap(minRoom, nil); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// objectName leaves room for what tells objects of one instance apart.
func objectName(instance, name string) string {
	const most, own = 15, 8
	if len(name) > own {
		name = name[:own]
	}
	if n := most - 1 - len(name); len(instance) > n {
		instance = instance[:n]
	}
	return strings.ReplaceAll(instance, "-", "_") + "_" + name
}

// attach puts the programs on a cgroup, "" for the root of all. On an error none stays.
func (k *kernel) attach(cgroup string) error {
	if cgroup == "" {
		m, err := kernfs.Cgroup()
		if err != nil {
			return err
		}
		defer m.Close()
		cgroup = m.Path
	}
	at := map[string]ebpf.AttachType{
		"deny_connect4": ebpf.AttachCGroupInet4Connect, "deny_connect6": ebpf.AttachCGroupInet6Connect,
		"deny_sendmsg4": ebpf.AttachCGroupUDP4Sendmsg, "deny_sendmsg6": ebpf.AttachCGroupUDP6Sendmsg,
		"deny_ingress": ebpf.AttachCGroupInetIngress,
	}
	for _, name := range programs {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: at[name], Program: k.all.Programs[name]})
		if err != nil {
			k.detach()
			return fmt.Errorf("attach %s: %w", name, err)
		}
		k.links = append(k.links, l)
	}
	return nil
}

func (k *kernel) detach() {
	for _, l := range k.links {
		l.Close()
	}
	k.links = nil
}

func (k *kernel) close() {
	k.detach()
	if k.hosts != nil {
		k.hosts.Close()
		k.hosts = nil
	}
	k.all.Close()
}

// batch is how many entries one call moves.
const batch = 4096

// swap puts a new table of hosts with room for n entries in the place of the old one, in
// one step. fill, if any, fills the new table first and flushes.
func (k *kernel) swap(n uint32, fill func(*filler) error) error {
	spec := k.inner.Copy()
	spec.MaxEntries = n
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return err
	}
	if fill != nil {
		err = fill(&filler{m: m})
	}
	if err == nil {
		err = k.all.Maps[bpfMapHosts].Put(uint32(0), m)
	}
	if err != nil {
		m.Close()
		return err
	}
	if k.hosts != nil {
		k.hosts.Close()
	}
	k.hosts, k.room = m, n
	return nil
}

// filler puts entries into a table, many at a time.
type filler struct {
	m     *ebpf.Map
	keys  []bpfAddress
	rules []bpfRule
}

func (f *filler) put(k bpfAddress, r bpfRule) error {
	f.keys, f.rules = append(f.keys, k), append(f.rules, r)
	if len(f.keys) < batch {
		return nil
	}
	return f.flush()
}

func (f *filler) flush() error {
	if len(f.keys) == 0 {
		return nil
	}
	_, err := f.m.BatchUpdate(f.keys, f.rules, nil)
	if errors.Is(err, ebpf.ErrNotSupported) {
		for i := range f.keys {
			if err = f.m.Put(f.keys[i], f.rules[i]); err != nil {
				break
			}
		}
	}
	f.keys, f.rules = f.keys[:0], f.rules[:0]
	return err
}

// grow doubles the table of hosts and keeps what is in it.
func (k *kernel) grow() error {
	old := k.hosts
	return k.swap(2*k.room, func(f *filler) error {
		var key bpfAddress
		var rule bpfRule
		it := old.Iterate()
		for it.Next(&key, &rule) {
			if err := f.put(key, rule); err != nil {
				return err
			}
		}
		return errors.Join(it.Err(), f.flush())
	})
}

// host sets the rule of a single address; one without a verdict takes it away. It returns
// by how much the number of rules changed.
func (k *kernel) host(r Rule) (more int, err error) {
	key := keyOf(r.Prefix.Addr())
	if r.Verdict == 0 {
		err := k.hosts.Delete(key)
		if err == nil {
			more = -1
		}
		return more, absent(err)
	}
	err = k.hosts.Update(key, ruleOf(r), ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return 0, k.hosts.Update(key, ruleOf(r), ebpf.UpdateExist)
	}
	if errors.Is(err, unix.E2BIG) { // full
		if err = k.grow(); err == nil {
			err = k.hosts.Put(key, ruleOf(r))
		}
	}
	if err == nil {
		more = 1
	}
	return more, err
}

// rangeRule sets the rule of a range in the same way.
func (k *kernel) rangeRule(r Rule) error {
	key := bpfRange{Bits: uint32(32 + r.Prefix.Bits()), Address: keyOf(r.Prefix.Addr())}
	if r.Verdict == 0 {
		return absent(k.all.Maps[bpfMapRanges].Delete(key))
	}
	return k.all.Maps[bpfMapRanges].Put(key, ruleOf(r))
}

// verdict asks the tables what the programs ask them.
func (k *kernel) verdict(a netip.Addr) (Verdict, error) {
	key := keyOf(a)
	var v Verdict
	var r bpfRule
	if err := k.hosts.Lookup(key, &r); err == nil {
		v |= Verdict(r.Verdict)
	} else if absent(err) != nil {
		return 0, err
	}
	if err := k.all.Maps[bpfMapRanges].Lookup(bpfRange{Bits: uint32(32 + a.BitLen()), Address: key}, &r); err == nil {
		v |= Verdict(r.Verdict)
	} else if absent(err) != nil {
		return 0, err
	}
	var l bpfLearned
	if err := k.all.Maps[bpfMapLearneds].Lookup(key, &l); err == nil {
		if l.Until > uint64(bootNow()) {
			v |= Verdict(l.Verdict)
		}
	} else if absent(err) != nil {
		return 0, err
	}
	var one uint8
	if err := k.all.Maps[bpfMapFloors].Lookup(key, &one); err == nil {
		v |= Allow
	} else if absent(err) != nil {
		return 0, err
	}
	return v, nil
}

func (k *kernel) tally(t bpfTally) uint64 {
	var n uint64
	// The table is an array: a look-up below its end cannot fail while it is open.
	_ = k.all.Maps[bpfMapTallies].Lookup(uint32(t), &n)
	return n
}

func absent(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
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
