package name

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// kernel is the loaded programs and their table of rules.
type kernel struct {
	all   *ebpf.Collection
	inner *ebpf.MapSpec
	table *ebpf.Map // the one in use
	room  uint32
	links []io.Closer
}

// programs are attached in this order: who sends is noted before it is judged.
var programs = [...]struct {
	name string
	at   ebpf.AttachType
}{
	{"note_connect4", ebpf.AttachCGroupInet4Connect}, {"note_connect6", ebpf.AttachCGroupInet6Connect},
	{"note_sendmsg4", ebpf.AttachCGroupUDP4Sendmsg}, {"note_sendmsg6", ebpf.AttachCGroupUDP6Sendmsg},
	{"judge_egress", ebpf.AttachCGroupInetEgress},
}

const minRoom = 256

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
	for _, p := range spec.Programs {
		p.Name = objectName(instance, strings.TrimPrefix(p.Name, "note_"))
	}
	for _, m := range spec.Maps {
		m.Name = objectName(instance, m.Name)
	}
	k := &kernel{inner: spec.Maps[bpfMapEmpty].Copy()}
	k.inner.Name = objectName(instance, "names")
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

// objectName begins with the instance, so that one can see whose a thing in the kernel is;
// the kernel cuts names at 15 bytes.
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
	if len(k.links) > 0 {
		return nil
	}
	if cgroup == "" {
		m, err := kernfs.Cgroup()
		if err != nil {
			return err
		}
		defer m.Close()
		cgroup = m.Path
	}
	for _, p := range programs {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: p.at, Program: k.all.Programs[p.name]})
		if err != nil {
			k.detach()
			return fmt.Errorf("attach %s: %w", p.name, err)
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
	if k.table != nil {
		k.table.Close()
		k.table = nil
	}
	k.all.Close()
}

func keyOf(k Key) bpfKey {
	return bpfKey{A: binary.NativeEndian.Uint64(k[:8]), B: binary.NativeEndian.Uint64(k[8:])}
}

func ruleOf(r Rule) bpfRule { return bpfRule{Id: uint64(r.ID), Verdict: uint32(r.Verdict)} }

// swap puts a new table with room for n rules in the place of the old one, in one step.
// fill, if any, fills the new table first.
func (k *kernel) swap(n uint32, fill func(put func(bpfKey, bpfRule) error) error) error {
	spec := k.inner.Copy()
	spec.MaxEntries = n
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return err
	}
	if fill != nil {
		f := filler{m: m}
		err = fill(f.put)
		if err == nil {
			err = f.flush()
		}
	}
	if err == nil {
		err = k.all.Maps[bpfMapTables].Put(uint32(0), m)
	}
	if err != nil {
		m.Close()
		return err
	}
	if k.table != nil {
		k.table.Close()
	}
	k.table, k.room = m, n
	return nil
}

// filler puts rules into a table, many at a time.
type filler struct {
	m     *ebpf.Map
	keys  []bpfKey
	rules []bpfRule
}

func (f *filler) put(k bpfKey, r bpfRule) error {
	f.keys, f.rules = append(f.keys, k), append(f.rules, r)
	if len(f.keys) < 4096 {
		return nil
	}
	return f.flush()
}

func (f *filler) flush() error {
	if len(f.keys) == 0 {
		return nil
	}
	_, err := f.m.BatchUpdate(f.keys, f.rules, nil)
	f.keys, f.rules = f.keys[:0], f.rules[:0]
	return err
}

// set brings one rule into force; one without a verdict takes it away. It returns by how
// much the number of rules changed.
func (k *kernel) set(r Rule) (more int, err error) {
	key := keyOf(r.Key)
	if r.Verdict == 0 {
		err := k.table.Delete(key)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return 0, nil
		}
		if err == nil {
			more = -1
		}
		return more, err
	}
	err = k.table.Update(key, ruleOf(r), ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return 0, k.table.Update(key, ruleOf(r), ebpf.UpdateExist)
	}
	if errors.Is(err, unix.E2BIG) { // full
		if err = k.grow(); err == nil {
			err = k.table.Put(key, ruleOf(r))
		}
	}
	if err == nil {
		more = 1
	}
	return more, err
}

func (k *kernel) grow() error {
	old := k.table
	return k.swap(2*k.room, func(put func(bpfKey, bpfRule) error) error {
		var key bpfKey
		var rule bpfRule
		it := old.Iterate()
		for it.Next(&key, &rule) {
			if err := put(key, rule); err != nil {
				return err
			}
		}
		return it.Err()
	})
}

func (k *kernel) tally(t bpfTally) uint64 {
	var n uint64
	// The table is an array: a look-up below its end cannot fail while it is open.
	_ = k.all.Maps[bpfMapTallies].Lookup(uint32(t), &n)
	return n
}
