// Package transfer carries files between devices and the server: what a command yielded
// comes up, piece by piece and in spite of broken connections and restarts of either side,
// and what a command names goes down.
//
// It neither knows what the commands are nor what becomes of the files: an Owner says
// whether a device may bring or have a file, and keeps what came. The invariants: a file
// reaches its owner whole and with the hash that was announced, or not at all; what a
// device can occupy before that is bounded for it and for its tenant; nobody gets a
// content by naming its hash. Start at Service.
package transfer

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/blob"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of what has not come whole yet.
const (
	MaxSize       = 3 << 30 // bytes of one file, as published for files that live response gets
	MaxPiece      = 1 << 20 // bytes of one piece
	deviceParts   = 4       // files of a device at a time
	defaultTenant = 64 << 30
	forgetAfter   = 3 * 24 * time.Hour // without a piece
	maxIndex      = 1 << 20
)

// Owner is who commands belong to: response actions, or live sessions. Every method
// answers errs.NotFound for a command that is not its own or not the device's.
type Owner interface {
	// Expects says whether d may bring the file, and whether it is kept already.
	Expects(ctx context.Context, d *device.Device, id ident.ActionID, index int, name, sum string) (kept bool, err error)
	// Keep takes the file, which is whole. It may be called again after it failed.
	Keep(ctx context.Context, d *device.Device, id ident.ActionID, index int, name string, r io.Reader) error
	// Grants returns the SHA-256, in hexadecimal, of the file that the command names.
	Grants(ctx context.Context, d *device.Device, id ident.ActionID, name string) (sum string, err error)
}

// Config is what a Service needs.
type Config struct {
	Blobs  *blob.Dir
	Owners []Owner
	Clock  func() time.Time // nil for time.Now
	// TenantBytes bounds what a tenant's devices have announced and not brought yet; 0 for
	// 64 GiB.
	TenantBytes int64
}

// Service takes and gives files. It is safe for concurrent use.
type Service struct {
	cfg Config

	mu    sync.Mutex
	parts map[key]*part
}

// key is whose file it is.
type key struct {
	tenant      ident.TenantID
	device      ident.DeviceID
	incarnation uint64
	command     ident.ActionID
	index       int
}

// part is a file on its way. Size and sum are what was announced.
type part struct {
	key  key
	size int64
	sum  string

	mu   sync.Mutex // held while a piece is taken
	blob *blob.Part // nil until it is used
	gone bool       // it is not in Service.parts any more

	grown time.Time // guarded by Service.mu
}

// New returns a service that goes on with what had come when the last one ended.
func New(c Config) (*Service, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.TenantBytes == 0 {
		c.TenantBytes = defaultTenant
	}
	s := &Service{cfg: c, parts: map[key]*part{}}
	err := c.Blobs.Parts(func(name string, grown time.Time) {
		if p := parsePart(name); p != nil {
			p.grown = grown
			s.parts[p.key] = p
		}
	})
	return s, err
}

// name is the part's on the disk.
func (p *part) name() string {
	return fmt.Sprintf("%s_%s_%d_%s_%d_%d_%s", p.key.tenant, p.key.device, p.key.incarnation, p.key.command, p.key.index, p.size, p.sum)
}

var partName = regexp.MustCompile(`^([0-9a-f-]{36})_([0-9a-f]{40})_(\d{1,20})_([0-9a-f-]{36})_(\d{1,9})_(\d{1,12})_([0-9a-f]{64})$`)

func parsePart(name string) *part {
	m := partName.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	incarnation, err := strconv.ParseUint(m[3], 10, 64)
	index, err2 := strconv.Atoi(m[5])
	size, err3 := strconv.ParseInt(m[6], 10, 64)
	if err != nil || err2 != nil || err3 != nil {
		return nil
	}
	return &part{key: key{ident.TenantID(m[1]), ident.DeviceID(m[2]), incarnation, ident.ActionID(m[4]), index}, size: size, sum: m[7]}
}

// Piece is one piece of a file, and what the whole is announced to be.
type Piece struct {
	Command ident.ActionID
	Index   int
	Name    string // to save it as
	Size    int64  // of the file
	SHA256  []byte // of the file
	Offset  int64  // of Data in the file
	Data    []byte // none asks how much there is
}

func (p *Piece) check() error {
	const op = "transfer.Upload"
	switch {
	case p.Index < 0 || p.Index > maxIndex:
		return errs.New(op, errs.Invalid, errs.InvalidInput, "index is not between 0 and %d", maxIndex)
	case p.Size < 0 || p.Size > MaxSize:
		return errs.New(op, errs.Invalid, errs.InvalidInput, "size: the file has %d bytes, %d are allowed", p.Size, int64(MaxSize))
	case len(p.SHA256) != 32:
		return errs.New(op, errs.Invalid, errs.InvalidInput, "sha256 has %d bytes, not 32", len(p.SHA256))
	case len(p.Data) > MaxPiece:
		return errs.New(op, errs.Invalid, errs.InvalidInput, "data has %d bytes, %d are allowed", len(p.Data), MaxPiece)
	case p.Offset < 0 || p.Offset > p.Size-int64(len(p.Data)):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "offset: %d bytes at %d are not within the file's %d", len(p.Data), p.Offset, p.Size)
	}
	return nil
}

// owner returns the first that says anything but that it does not know the command.
func (s *Service) owner(ask func(Owner) error) (Owner, error) {
	err := error(errs.New("transfer.owner", errs.NotFound, errs.ResourceNotFound, "the device has no such command"))
	for _, o := range s.cfg.Owners {
		if err = ask(o); !errs.Is(err, errs.NotFound) {
			return o, err
		}
	}
	return nil, err
}

// Upload takes one piece, and returns what there is of the file from its beginning and
// whether it is whole and kept. A piece that does not begin where the file ends changes
// nothing. When a whole file has not the announced hash, what there is becomes 0. Too many
// files at a time are errs.Limited, a full disk errs.Unavailable, both with a Retry.
func (s *Service) Upload(ctx context.Context, d *device.Device, in Piece) (offset int64, kept bool, err error) {
	const op = "transfer.Upload"
	if err := in.check(); err != nil {
		return 0, false, err
	}
	sum := hex.EncodeToString(in.SHA256)
	o, err := s.owner(func(o Owner) (err error) {
		kept, err = o.Expects(ctx, d, in.Command, in.Index, in.Name, sum)
		return err
	})
	if err != nil {
		return 0, false, errs.Wrap(op, err)
	}
	if kept {
		return in.Size, true, nil
	}
	p, err := s.part(key{d.Tenant, d.ID, d.Incarnation, in.Command, in.Index}, in.Size, sum)
	if err != nil {
		return 0, false, errs.Wrap(op, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return 0, false, nil // it was replaced or finished meanwhile: the device asks again
	}
	if p.blob == nil {
		if p.blob, err = s.cfg.Blobs.Part(p.name()); err != nil {
			return 0, false, errs.Wrap(op, err)
		}
	}
	if len(in.Data) > 0 && in.Offset == p.blob.Offset() {
		if err := p.blob.Append(in.Data); err != nil {
			return 0, false, errs.Wrap(op, err)
		}
		s.touch(p)
	}
	if p.blob.Offset() < p.size {
		return p.blob.Offset(), false, nil
	}
	if got := p.blob.Sum(); p.blob.Offset() > p.size || hex.EncodeToString(got[:]) != sum {
		return 0, false, errs.Wrap(op, s.forget(p))
	}
	if err := o.Keep(ctx, d, in.Command, in.Index, in.Name, p.blob.Content()); err != nil {
		return p.size, false, errs.Wrap(op, err)
	}
	return p.size, true, errs.Wrap(op, s.forget(p))
}

// part returns the file on its way of a key; another content that was on its way for it
// makes room.
func (s *Service) part(k key, size int64, sum string) (*part, error) {
	const op = "transfer.part"
	s.mu.Lock()
	old := s.parts[k]
	if old != nil && old.size == size && old.sum == sum {
		s.mu.Unlock()
		return old, nil
	}
	s.mu.Unlock()
	if old != nil {
		old.mu.Lock()
		err := s.forget(old)
		old.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parts[k]; p != nil {
		return p, nil // another call was quicker
	}
	files, bytes := 0, size
	for have, p := range s.parts {
		if have.tenant == k.tenant {
			bytes += p.size
			if have.device == k.device {
				files++
			}
		}
	}
	if files >= deviceParts {
		return nil, &errs.E{Op: op, Kind: errs.Limited, Code: errs.TooManyRequests, Retry: 10 * time.Second,
			Detail: fmt.Sprintf("%d files of the device are on their way, which is as many as may be", files)}
	}
	if bytes > s.cfg.TenantBytes {
		return nil, &errs.E{Op: op, Kind: errs.Limited, Code: errs.QuotaExceeded, Retry: time.Minute,
			Detail: fmt.Sprintf("the tenant's devices have more than %d bytes on their way", s.cfg.TenantBytes)}
	}
	p := &part{key: k, size: size, sum: sum, grown: s.cfg.Clock()}
	s.parts[k] = p
	return p, nil
}

func (s *Service) touch(p *part) {
	s.mu.Lock()
	p.grown = s.cfg.Clock()
	s.mu.Unlock()
}

// forget takes p, whose lock is held, out; of a file that was kept nothing is left to be
// removed.
func (s *Service) forget(p *part) error {
	s.mu.Lock()
	if s.parts[p.key] == p {
		delete(s.parts, p.key)
	}
	s.mu.Unlock()
	p.gone = true
	return s.cfg.Blobs.RemovePart(p.name())
}

// Sweep forgets the files of which nothing came for three days.
func (s *Service) Sweep() error {
	before := s.cfg.Clock().Add(-forgetAfter)
	s.mu.Lock()
	var old []*part
	for _, p := range s.parts {
		if p.grown.Before(before) {
			old = append(old, p)
		}
	}
	s.mu.Unlock()
	var first error
	for _, p := range old {
		p.mu.Lock()
		if err := s.forget(p); first == nil {
			first = err
		}
		p.mu.Unlock()
	}
	return first
}

// Fetch returns a file that a command of d names, which the caller closes, its size and its
// SHA-256. One that it does not name is errs.NotFound.
func (s *Service) Fetch(ctx context.Context, d *device.Device, id ident.ActionID, name string) (f *os.File, size int64, sum []byte, err error) {
	const op = "transfer.Fetch"
	text := ""
	if _, err := s.owner(func(o Owner) (err error) {
		text, err = o.Grants(ctx, d, id, name)
		return err
	}); err != nil {
		return nil, 0, nil, errs.Wrap(op, err)
	}
	if sum, err = hex.DecodeString(text); err != nil {
		return nil, 0, nil, errs.Wrap(op, err)
	}
	if f, err = s.cfg.Blobs.Open(text); err != nil {
		return nil, 0, nil, errs.Wrap(op, err)
	}
	i, err := f.Stat()
	if err != nil {
		_ = f.Close() // it was only opened
		return nil, 0, nil, errs.Wrap(op, err)
	}
	return f, i.Size(), sum, nil
}
