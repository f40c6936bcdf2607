package enforce

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/name"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// Addresses is what brings rules about addresses into force: address.Blocker.
type Addresses interface {
	// Replace brings the rules into force and no others; there is at most one for each
	// prefix, and about n in all.
	Replace(rules iter.Seq[address.Rule], n int) error
	// Change brings the rules into force in place of those with the same prefixes; an empty
	// verdict takes a rule away.
	Change(rules []address.Rule) error
}

// Names is what brings rules about domains and URLs into force: name.Blocker.
type Names interface {
	// Replace brings the rules into force and no others; there is at most one for each key,
	// and about n in all.
	Replace(rules iter.Seq[name.Rule], n int) error
	// Change brings the rules into force in place of those with the same keys; an empty
	// verdict takes a rule away.
	Change(rules []name.Rule) error
}

// Files is what asks Set.File about files: file.Guard. It is told when answers change.
type Files interface{ Changed() }

// Config is what a Set needs.
type Config struct {
	StateDir string // the set is kept below it
	Device   string // id: what is kept of another device is enforced, but does not count as this one's
	// Addresses, Names and Files enforce indicators; nil where this device cannot, for the
	// reason in Without.
	Addresses Addresses
	Names     func(name.Seed) (Names, error) // called once, by Open; an error is as nil
	Files     Files
	Without   Without
	Now       func() time.Time // the clock that expiry goes by; nil for time.Now
}

// Without says why a device cannot enforce indicators of some kind.
type Without struct{ Addresses, Names, Files error }

// of says what cannot be done, and why.
func (w Without) of(err error, what string) string {
	if err == nil {
		return what
	}
	return what + ": " + err.Error()
}

// Stats says how large the set is.
type Stats struct {
	Entries int    // indicators of every kind, expired ones included
	Changed int    // of these, or removed, since the base was written
	Ignored uint64 // indicators of the newest set or of differences since that nobody here understands
	Bytes   int    // of the base, which is mapped
}

// Set is the indicators that this device enforces. Its methods may be called from any
// goroutine.
type Set struct {
	cfg  Config
	wake chan struct{} // of capacity 1: something that expires came

	names Names // nil when this device cannot block names

	// reads is held to look into the state without mu, and by who holds mu to change it:
	// a program that waits to be run does not wait for a disk.
	reads sync.RWMutex

	mu      sync.Mutex // guards what follows
	state   state
	disk    *disk
	device  string // whose set it is
	unsaved error  // why the state is not kept on the disk; nil when it is
	refused error  // why the newest set was not taken; nil when it was
	damage  error  // what could not be read when the agent started
	dirty   error  // why the state is not in force as a whole; nil when it is
	ignored uint64
	example string // of what was ignored
	clock   expiry

	view atomic.Pointer[view] // what is told without waiting for mu
}

type view struct {
	revision   uint64
	stats      Stats
	facilities []sensor.Facility
}

// Open reads what was kept and brings it into force. What is damaged is left out, said in
// Facilities, and asked for again, because Revision is then an older one or 0.
func Open(cfg Config) (*Set, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Set{cfg: cfg, wake: make(chan struct{}, 1)}
	var err error
	s.disk, s.state, s.damage, err = openDisk(filepath.Join(cfg.StateDir, "indicators"))
	if err != nil {
		return nil, fmt.Errorf("enforce: %w", err)
	}
	s.device = s.state.base.device
	if cfg.Names != nil {
		if s.names, err = cfg.Names(s.disk.seed); err != nil {
			s.names, s.cfg.Without.Names = nil, err
		}
	}
	s.dirty = s.enforceAll()
	s.publish()
	return s, nil
}

// Close gives the files back. What is in force stays in force.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads.Lock()
	old := s.state.base
	s.state = state{base: emptyBase(), overlay: newOverlay()}
	s.reads.Unlock()
	return errors.Join(s.disk.close(), old.close())
}

// Revision is the one that is in force; 0 for none, or when some of it is not.
func (s *Set) Revision() uint64 { return s.view.Load().revision }

// Stats returns the figures of the set.
func (s *Set) Stats() Stats { return s.view.Load().stats }

// Apply brings a complete set (base 0) or a difference to the set that is there into
// force, and on the disk. The parts are in order, verified, and of one revision. A single
// indicator that cannot be understood is left out and counted; anything else that is wrong
// fails the whole and changes nothing. A full disk fails nothing: the set is in force and
// Facilities says that it is not kept.
func (s *Set) Apply(ctx context.Context, parts []*wirepb.IndicatorSet) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkParts(parts); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if parts[0].Base == 0 {
		err = s.replace(parts)
	} else {
		err = s.change(parts)
	}
	s.refused = err
	if err == nil {
		s.damage = nil
	}
	s.publish()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return err
}

func checkParts(parts []*wirepb.IndicatorSet) error {
	if len(parts) == 0 {
		return errors.New("enforce: a set without parts")
	}
	first := parts[0]
	for i, p := range parts {
		if p.Device != first.Device || p.Base != first.Base || p.Revision != first.Revision || int(p.Part) != i || p.Last != (i == len(parts)-1) {
			return fmt.Errorf("enforce: part %d does not fit the set", i)
		}
		if p.Base == 0 && len(p.Remove) > 0 {
			return fmt.Errorf("enforce: part %d of a complete set removes indicators", i)
		}
	}
	if len(first.Device) > deviceSize {
		return errors.New("enforce: the device's id is too long")
	}
	return nil
}

// replace takes a complete set.
func (s *Set) replace(parts []*wirepb.IndicatorSet) error {
	var records [kinds][]byte
	n, ranges := 0, 0
	s.ignored, s.example = 0, ""
	for _, p := range parts {
		if n += len(p.Put); n > maxEntries {
			return fmt.Errorf("enforce: a set of more than %d indicators", maxEntries)
		}
		for _, w := range p.Put {
			es, err := parse(s.disk.seed, w)
			if err != nil {
				s.ignore(w, err)
				continue
			}
			for i := range es {
				if e := &es[i]; e.kind == kindAddress && isRange(e.key) {
					ranges++
				}
				records[es[i].kind] = es[i].append(records[es[i].kind])
			}
		}
	}
	if ranges > address.MaxRanges {
		return fmt.Errorf("enforce: a set of %d ranges of addresses; at most %d are kept", ranges, address.MaxRanges)
	}
	return s.rebase(parts[0].Device, parts[0].Revision, records, s.enforceAll)
}

// rebase makes records the base, on the disk if at all possible, and brings it into force.
func (s *Set) rebase(device string, revision uint64, records [kinds][]byte, enforce func() error) error {
	img, err := image(device, revision, records)
	if err != nil {
		return err
	}
	b, err := s.disk.save(img)
	if s.unsaved = err; err != nil {
		if b, err = read(img); err != nil {
			return err
		}
	}
	s.reads.Lock()
	old := s.state.base
	s.state, s.device = state{base: b, overlay: newOverlay()}, device
	s.reads.Unlock()
	s.dirty = enforce()
	return errors.Join(s.dirty, old.close())
}

// change takes a difference.
func (s *Set) change(parts []*wirepb.IndicatorSet) error {
	d := &delta{base: parts[0].Base, revision: parts[0].Revision}
	switch {
	case s.dirty != nil || d.base != s.state.base.revision:
		return fmt.Errorf("enforce: a difference to revision %d does not fit revision %d", d.base, s.Revision())
	case parts[0].Device != s.device:
		s.dirty = errors.New("the set is of another device")
		return errors.New("enforce: a difference to the set of another device")
	}
	n := s.state.len()
	for _, p := range parts {
		if n += len(p.Put); n > 2*maxEntries || len(p.Remove) > maxEntries {
			return fmt.Errorf("enforce: a difference of more than %d indicators", maxEntries)
		}
		for _, id := range p.Remove {
			d.remove = s.withOther(d.remove, id)
		}
		for _, w := range p.Put {
			es, err := parse(s.disk.seed, w)
			if err != nil {
				s.ignore(w, err)
				d.remove = s.withOther(d.remove, w.GetId()) // what it was before holds no longer
				continue
			}
			if len(es) == 1 && s.state.has(-w.GetId()) {
				d.remove = append(d.remove, -w.GetId())
			}
			d.put = append(d.put, es...)
		}
	}
	if len(d.put) == 0 && len(d.remove) == 0 {
		s.state.base.revision = d.revision
		return nil
	}
	if s.unsaved == nil {
		s.unsaved = s.disk.append(d)
	}
	s.reads.Lock()
	touched := s.state.overlay.apply(s.state.base, d)
	s.reads.Unlock()
	s.state.base.revision = d.revision
	if s.dirty = s.enforce(touched); s.dirty != nil {
		return s.dirty
	}
	return s.compact()
}

// compact writes a new base when the changes have become many, or could not be kept.
func (s *Set) compact() error {
	if n := s.state.len(); n > maxEntries {
		s.dirty = fmt.Errorf("enforce: a set of %d indicators; at most %d are kept", n, maxEntries)
		return s.dirty
	}
	if s.unsaved == nil && len(s.state.overlay.byID) <= max(8192, s.state.base.len()/8) {
		return nil
	}
	return s.rebase(s.device, s.state.base.revision, s.state.records(), func() error { return nil })
}

// withOther adds an id to those that are removed, and the one of its other entry (see
// parse), if it has one.
func (s *Set) withOther(ids []int64, id int64) []int64 {
	ids = append(ids, id)
	if s.state.has(-id) {
		ids = append(ids, -id)
	}
	return ids
}

func (s *Set) ignore(w *wirepb.Indicator, err error) {
	s.ignored++
	s.example = fmt.Sprintf("indicator %d: %v", w.GetId(), err)
}

func isRange(key string) bool {
	p, ok := keyPrefix(key)
	return ok && !p.IsSingleIP()
}
