package address

import (
	"fmt"
	"github.com/vedette-edr/vedette/agent/enforce/program"
	"net/netip"
	"time"
)

// maxLearned is how many addresses can be learned; the kernel's table has as much room.
const maxLearned = 16384

// Learned is an address that a blocked name leads to.
type Learned struct {
	Addr netip.Addr
	Name string
	For  time.Duration // from now on
	ID   int64         // of the indicator that blocks Name
}

// Learn blocks an address until its time has come. What else is wanted of the address
// goes before: a rule that allows it or warns. Sessions with it are ended.
func (b *Blocker) Learn(l Learned) error {
	l.Addr = l.Addr.Unmap().WithZone("")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	if _, known := b.learned[l.Addr]; !known && len(b.learned) >= maxLearned {
		return fmt.Errorf("address: %d addresses of blocked names are known, no more are kept", maxLearned)
	}
	v := bpfLearned{Until: uint64(program.BootNow()) + uint64(max(l.For, 0)), Id: uint64(l.ID), Verdict: uint32(Block)}
	if err := b.kernel.Maps[bpfMapLearneds].Put(keyOf(l.Addr), v); err != nil {
		return fmt.Errorf("address: learn %v: %w", l.Addr, err)
	}
	_, known := b.learned[l.Addr]
	b.learned[l.Addr] = l
	if !known {
		b.endSessions(func(a netip.Addr) bool { return a == l.Addr })
	}
	return nil
}

// Forget takes back what Learn did of an address; one that was not learned is no error.
func (b *Blocker) Forget(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	delete(b.learned, a)
	return program.Absent(b.kernel.Maps[bpfMapLearneds].Delete(keyOf(a)))
}

func (b *Blocker) nameOf(a netip.Addr) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.learned[a].Name
}
