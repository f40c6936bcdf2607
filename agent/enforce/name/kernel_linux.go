package name

import (
	"encoding/binary"
	"os"

	"github.com/cilium/ebpf"

	"github.com/vedette-edr/vedette/agent/enforce/program"
)

// kernel is the loaded programs and their table of rules.
type kernel struct {
	*program.Programs
	table *program.Table[bpfKey, bpfRule]
}

// loadKernel loads the programs; nothing is attached yet.
func loadKernel(instance string, seed Seed) (*kernel, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	st := seed.state()
	for name, v := range map[string]any{bpfVarSelfPid: uint32(os.Getpid()), bpfVarSeedA: st.a, bpfVarSeedB: st.b} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, err
		}
	}
	inner := spec.Maps[bpfMapEmpty].Copy()
	// Who sends is noted before it is judged.
	all, err := program.Load(instance, spec, []program.Attachment{
		{Program: "note_connect4", At: ebpf.AttachCGroupInet4Connect}, {Program: "note_connect6", At: ebpf.AttachCGroupInet6Connect},
		{Program: "note_sendmsg4", At: ebpf.AttachCGroupUDP4Sendmsg}, {Program: "note_sendmsg6", At: ebpf.AttachCGroupUDP6Sendmsg},
		{Program: "judge_egress", At: ebpf.AttachCGroupInetEgress},
	})
	if err != nil {
		return nil, err
	}
	k := &kernel{Programs: all}
	if k.table, err = program.NewTable[bpfKey, bpfRule](instance, "names", inner, all.Maps[bpfMapTables]); err != nil {
		all.Close()
		return nil, err
	}
	return k, nil
}

func (k *kernel) close() {
	k.table.Close()
	k.Close()
}

func keyOf(k Key) bpfKey {
	return bpfKey{A: binary.NativeEndian.Uint64(k[:8]), B: binary.NativeEndian.Uint64(k[8:])}
}

func ruleOf(r Rule) bpfRule { return bpfRule{Id: uint64(r.ID), Verdict: uint32(r.Verdict)} }

// set brings one rule into force; one without a verdict takes it away. It returns by how
// much the number of rules changed.
func (k *kernel) set(r Rule) (more int, err error) {
	if r.Verdict == 0 {
		return k.table.Unset(keyOf(r.Key))
	}
	return k.table.Set(keyOf(r.Key), ruleOf(r))
}

func (k *kernel) tally(t bpfTally) uint64 {
	return program.Counter(k.Maps[bpfMapTallies], uint32(t))
}
