// Package library is the live response library: the files and scripts that people keep at
// the server to be put on devices and run there.
//
// A name holds one file of a tenant; the content lies under its hash and is shared by the
// names that have it. It neither runs anything nor sends it: package action names files by
// Digest. Start at Service.
package library

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of the library. MaxSize is published.
const (
	MaxSize     = 20 << 20 // bytes of one file
	defaultHold = 2 << 30  // bytes of a tenant
	maxName     = 255      // bytes
	maxText     = 4000     // characters
)

// File is one file of a library.
type File struct {
	Tenant      ident.TenantID
	Name        string
	SHA256      string // hexadecimal
	Size        int64  // bytes
	Description string
	Parameters  string // what they mean, for people
	Parametered bool   // whether it takes parameters
	Created     time.Time
	Updated     time.Time
	By          string // who put it there
}

// Fields is what files may be filtered and ordered by.
var Fields = filter.Schema{
	{Name: "fileName", Type: filter.String},
	{Name: "sha256", Type: filter.String},
	{Name: "creationTime", Type: filter.Time},
	{Name: "lastUpdatedTime", Type: filter.Time},
	{Name: "createdBy", Type: filter.String},
}

// Store keeps the records of files. A file of another tenant is errs.NotFound. Names differ
// by case.
type Store interface {
	// PutFile keeps f in place of the file of its name.
	PutFile(ctx context.Context, f *File) error
	File(ctx context.Context, tenant ident.TenantID, name string) (*File, error)
	Files(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*File], error)
	DeleteFile(ctx context.Context, tenant ident.TenantID, name string) error
	// Held returns how many bytes the contents of a tenant's files have, each once.
	Held(ctx context.Context, tenant ident.TenantID) (bytes int64, err error)
}

// Blobs keeps contents by their hash. What results of actions have may be the same content
// as a file's, so the library removes none: whoever owns the directory sweeps it.
type Blobs interface {
	Put(r io.Reader, most int64) (sum string, size int64, err error)
	Open(sum string) (*os.File, error)
}

// Config is what a Service is made of.
type Config struct {
	Store Store
	Blobs Blobs
	Audit audit.Log        // nil for none
	Clock func() time.Time // nil for time.Now
	Quota int64            // bytes of a tenant; 0 for 2 GiB
	// Atomic runs do in one transaction of Store and Audit; nil runs it as it is.
	Atomic func(ctx context.Context, do func(context.Context) error) error
}

// Service is the library. Permission is decided by the caller, before.
type Service struct {
	cfg Config
	mu  sync.Mutex // held while files come and go: one asks for a name's file before it replaces it
}

// New returns the service.
func New(c Config) *Service {
	if c.Audit == nil {
		c.Audit = audit.Discard
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Quota == 0 {
		c.Quota = defaultHold
	}
	if c.Atomic == nil {
		c.Atomic = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	return &Service{cfg: c}
}

// Upload is a file that somebody brings.
type Upload struct {
	Name        string
	Content     io.Reader
	Description string
	Parameters  string
	Parametered bool
	Override    bool // replace the file of the name
}

func (u *Upload) check() error {
	const op = "library.Put"
	switch {
	case u.Name == "":
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "the file has no name")
	case len(u.Name) > maxName, !utf8.ValidString(u.Name), u.Name == ".", u.Name == "..",
		strings.ContainsFunc(u.Name, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "%q is no name of a file: it is longer than %d bytes, or has slashes or control characters", u.Name, maxName)
	}
	for place, s := range map[string]string{"Description": u.Description, "ParametersDescription": u.Parameters} {
		if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxText {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "%s is longer than %d characters or not UTF-8", place, maxText)
		}
	}
	return nil
}

// Put keeps a file. One of the name that is there already is errs.Invalid unless it is to
// be replaced; a tenant's quota that is used up is errs.Exhausted.
func (s *Service) Put(ctx context.Context, by *access.Principal, u Upload) (*File, error) {
	const op = "library.Put"
	if err := u.check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.cfg.Store.File(ctx, by.Tenant, u.Name)
	switch {
	case err == nil && !u.Override:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the library has a file %s; set OverrideIfExists to replace it", u.Name)
	case err != nil && !errs.Is(err, errs.NotFound):
		return nil, errs.Wrap(op, err)
	}
	sum, size, err := s.cfg.Blobs.Put(u.Content, MaxSize)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := s.cfg.Clock().UTC()
	f := &File{Tenant: by.Tenant, Name: u.Name, SHA256: sum, Size: size, Description: u.Description, Parameters: u.Parameters,
		Parametered: u.Parametered, Created: now, Updated: now, By: by.Name}
	if old != nil {
		f.Created, f.By = old.Created, old.By
	}
	err = s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := s.cfg.Store.PutFile(ctx, f); err != nil {
			return err
		}
		held, err := s.cfg.Store.Held(ctx, by.Tenant)
		if err != nil {
			return err
		}
		if held > s.cfg.Quota {
			return errs.New(op, errs.Exhausted, errs.QuotaExceeded, "the library is full: its files may have %d bytes together; delete some", s.cfg.Quota)
		}
		return s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "library.put", Object: u.Name, Detail: "SHA-256 " + sum, Outcome: audit.Done})
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return f, nil
}

// Delete removes a file.
func (s *Service) Delete(ctx context.Context, by *access.Principal, name string) error {
	const op = "library.Delete"
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.cfg.Store.File(ctx, by.Tenant, name); err != nil {
		return errs.Wrap(op, err)
	}
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if err := s.cfg.Store.DeleteFile(ctx, by.Tenant, name); err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, audit.Entry{At: s.cfg.Clock().UTC(), Tenant: by.Tenant, Actor: by.Actor, Verb: "library.delete", Object: name, Outcome: audit.Done})
	})
	return errs.Wrap(op, err)
}

// List lists files by name, unless q orders otherwise.
func (s *Service) List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*File], error) {
	p, err := s.cfg.Store.Files(ctx, tenant, q)
	return p, errs.Wrap("library.List", err)
}

// Digest returns the SHA-256 of a file in hexadecimal, or errs.NotFound.
func (s *Service) Digest(ctx context.Context, tenant ident.TenantID, name string) (string, error) {
	f, err := s.cfg.Store.File(ctx, tenant, name)
	if err != nil {
		return "", errs.Wrap("library.Digest", err)
	}
	return f.SHA256, nil
}
