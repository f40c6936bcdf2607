package program

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// minRoom is the room of the smallest table.
const minRoom = 256

// batch is how many entries one call moves.
const batch = 4096

// Table is a hash table of rules behind another map, so that it can be swapped whole. K and
// V are the programs' own structures. It is not safe for concurrent use.
type Table[K, V any] struct {
	*ebpf.Map // the one in use
	spec      *ebpf.MapSpec
	outer     *ebpf.Map
	room      uint32
}

// NewTable puts an empty table into outer, an array of one map. spec is of the inner map;
// its size does not matter.
func NewTable[K, V any](instance, name string, spec *ebpf.MapSpec, outer *ebpf.Map) (*Table[K, V], error) {
	t := &Table[K, V]{spec: spec.Copy(), outer: outer}
	t.spec.Name = objectName(instance, name)
	if err := t.Replace(0, nil); err != nil {
		return nil, err
	}
	return t, nil
}

// Put adds an entry to a table that is being filled.
type Put[K, V any] func(K, V) error

// Replace puts a new table with room for about n entries in the place of the old one, in
// one step. fill, if any, fills it first, each key once.
func (t *Table[K, V]) Replace(n int, fill func(Put[K, V]) error) error {
	room := uint32(minRoom)
	for int(room) < n {
		room *= 2
	}
	spec := t.spec.Copy()
	spec.MaxEntries = room
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return err
	}
	if fill != nil {
		f := filler[K, V]{m: m}
		if err = fill(f.put); err == nil {
			err = f.flush()
		}
	}
	if err == nil {
		err = t.outer.Put(uint32(0), m)
	}
	if err != nil {
		m.Close()
		return err
	}
	if t.Map != nil {
		t.Map.Close()
	}
	t.Map, t.room = m, room
	return nil
}

// Set brings one entry into force and returns by how much their number changed.
func (t *Table[K, V]) Set(k K, v V) (more int, err error) {
	err = t.Update(k, v, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return 0, t.Update(k, v, ebpf.UpdateExist)
	}
	if errors.Is(err, unix.E2BIG) { // full
		if err = t.grow(); err == nil {
			err = t.Put(k, v)
		}
	}
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// Unset takes an entry away and returns by how much their number changed.
func (t *Table[K, V]) Unset(k K) (more int, err error) {
	if err = t.Delete(k); err == nil {
		return -1, nil
	}
	return 0, Absent(err)
}

// grow doubles the table and keeps what is in it.
func (t *Table[K, V]) grow() error {
	old := t.Map
	return t.Replace(int(2*t.room), func(put Put[K, V]) error {
		var k K
		var v V
		it := old.Iterate()
		for it.Next(&k, &v) {
			if err := put(k, v); err != nil {
				return err
			}
		}
		return it.Err()
	})
}

// filler puts entries into a map, many at a time.
type filler[K, V any] struct {
	m      *ebpf.Map
	keys   []K
	values []V
}

func (f *filler[K, V]) put(k K, v V) error {
	f.keys, f.values = append(f.keys, k), append(f.values, v)
	if len(f.keys) < batch {
		return nil
	}
	return f.flush()
}

func (f *filler[K, V]) flush() error {
	if len(f.keys) == 0 {
		return nil
	}
	_, err := f.m.BatchUpdate(f.keys, f.values, nil)
	if errors.Is(err, ebpf.ErrNotSupported) {
		for i := range f.keys {
			if err = f.m.Put(f.keys[i], f.values[i]); err != nil {
				break
			}
		}
	}
	f.keys, f.values = f.keys[:0], f.values[:0]
	return err
}
