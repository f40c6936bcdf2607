package journal

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// disk is a directory on a disk that may fail and crash. Until a file is synced, a crash
// keeps any subset of its written sectors; until the directory is synced, a crash keeps
// any subset of the creations and removals in it.
type disk struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	live     map[string]*platter
	durable  map[string]*platter
	dirOps   []dirOp
	opsLeft  int     // operations until the machine dies; negative: it does not
	failRate float64 // of writes, cuts and syncs
	room     int64   // bytes that can still be written; negative: no bound
	syncs    int
}

type dirOp struct {
	name string
	file *platter // nil: removed
}

// platter is one file: what programs see, what is safe, and the writes between the two.
type platter struct {
	now, safe []byte
	pending   []write
}

type write struct {
	at   int64
	data []byte // nil: cut the file at at
}

var errDead = errors.New("the machine is dead")

func newDisk(seed uint64) *disk {
	return &disk{rnd: rand.New(rand.NewPCG(seed, 1)), live: map[string]*platter{},
		durable: map[string]*platter{}, opsLeft: -1, room: -1}
}

// step counts an operation and says whether it fails.
func (d *disk) step(mayFail bool) error {
	if d.opsLeft == 0 {
		return errDead
	}
	if d.opsLeft > 0 {
		d.opsLeft--
	}
	if mayFail && d.rnd.Float64() < d.failRate {
		return syscall.EIO
	}
	return nil
}

// crash returns the disk as the next boot finds it.
func (d *disk) crash() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := newDisk(d.rnd.Uint64())
	for _, op := range d.dirOps {
		if d.rnd.IntN(2) == 0 {
			continue
		}
		if op.file == nil {
			delete(d.durable, op.name)
		} else {
			d.durable[op.name] = op.file
		}
	}
	for name, p := range d.durable {
		b := p.settle(d.rnd)
		q := &platter{now: b, safe: slices.Clone(b)}
		n.live[name], n.durable[name] = q, q
	}
	d.opsLeft = 0
	return n
}

const sector = 64 // small, so that small records tear

// settle returns what a crash leaves of the file.
func (p *platter) settle(rnd *rand.Rand) []byte {
	b := slices.Clone(p.safe)
	if rnd.IntN(4) == 0 {
		return b
	}
	for _, w := range p.pending {
		if w.data == nil {
			if rnd.IntN(2) == 0 {
				b = cut(b, w.at)
			}
			continue
		}
		for lo := int64(0); lo < int64(len(w.data)); {
			hi := min((w.at+lo)/sector*sector+sector-w.at, int64(len(w.data)))
			if rnd.IntN(3) > 0 {
				b = put(b, w.at+lo, w.data[lo:hi])
			}
			lo = hi
		}
	}
	return b
}

func put(b []byte, at int64, data []byte) []byte {
	if grow := at + int64(len(data)) - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[at:], data)
	return b
}

func cut(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return put(b, size, nil)
}

func (d *disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.live {
		names = append(names, name)
	}
	return names, d.step(false)
}

func (d *disk) Create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(true); err != nil {
		return nil, err
	}
	if d.live[name] != nil {
		return nil, fs.ErrExist
	}
	p := &platter{}
	d.live[name] = p
	d.dirOps = append(d.dirOps, dirOp{name, p})
	return handle{d, p}, nil
}

func (d *disk) Open(name string) (file, error) { return d.Edit(name) }

func (d *disk) Edit(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.live[name]
	if p == nil {
		return nil, fs.ErrNotExist
	}
	return handle{d, p}, d.step(false)
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(true); err != nil {
		return err
	}
	delete(d.live, name)
	d.dirOps = append(d.dirOps, dirOp{name, nil})
	return nil
}

func (d *disk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(true); err != nil {
		return err
	}
	d.durable = map[string]*platter{}
	for name, p := range d.live {
		d.durable[name] = p
	}
	d.dirOps = nil
	return nil
}

type handle struct {
	d *disk
	p *platter
}

func (h handle) Close() error { return nil }

func (h handle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.p.now)), h.d.step(false)
}

func (h handle) ReadAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.step(false); err != nil {
		return 0, err
	}
	if at >= int64(len(h.p.now)) {
		return 0, io.EOF
	}
	n := copy(b, h.p.now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h handle) WriteAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.step(true)
	n := len(b)
	switch {
	case err == errDead:
		return 0, err
	case err != nil:
		n = h.d.rnd.IntN(n + 1)
	case h.d.room >= 0 && at+int64(n) > int64(len(h.p.now))+h.d.room:
		n, err = int(h.d.room), syscall.ENOSPC
	}
	if grow := at + int64(n) - int64(len(h.p.now)); grow > 0 && h.d.room >= 0 {
		h.d.room -= grow
	}
	h.p.now = put(h.p.now, at, b[:n])
	h.p.pending = append(h.p.pending, write{at, slices.Clone(b[:n])})
	return n, err
}

func (h handle) Truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.step(true); err != nil {
		return err
	}
	h.p.now = cut(h.p.now, size)
	h.p.pending = append(h.p.pending, write{size, nil})
	return nil
}

// Sync that fails behaves as Linux does: some pages reached the disk, the others are
// taken for clean and are never written, and the next sync succeeds.
func (h handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.step(true)
	switch {
	case err == errDead:
		return err
	case err != nil:
		h.p.safe = h.p.settle(h.d.rnd)
	default:
		h.p.safe = slices.Clone(h.p.now)
		h.d.syncs++
	}
	h.p.pending = nil
	return err
}
