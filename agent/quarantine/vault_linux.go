package quarantine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config says where a Vault is and how large it may become.
type Config struct {
	Dir      string            // made if need be, mode 0700
	MaxBytes int64             // of all sealed content; 0 for 4 GiB
	Reserve  int64             // bytes that stay free on the file system; 0 for 64 MiB
	Now      func() time.Time  // nil for time.Now
	Fault    func(step string) // called at each step of taking a file, for tests; nil for nothing
	// Problem is told what Open cannot read, or cannot bring to an end: it stays as it is, and is
	// tried again at the next start. nil tells nobody.
	Problem func(error)
}

// Vault keeps files. Its methods may be called from any goroutine; one agent at a time may
// have the directory open.
type Vault struct {
	cfg    Config
	master []byte

	mu    sync.Mutex // guards what follows, and the order of changes
	items map[string]*Item
	used  int64 // bytes of sealed content
}

const (
	keyFile      = "key"
	sealedSuffix = ".sealed"
	itemSuffix   = ".json"
	tmpPrefix    = ".tmp-"
)

var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Open opens the vault, making it if need be. What an agent that was ended left of a Take is
// undone where the file is still in its place, and brought to its end where it is not.
func Open(cfg Config) (*Vault, error) {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 4 << 30
	}
	if cfg.Reserve <= 0 {
		cfg.Reserve = 64 << 20
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Fault == nil {
		cfg.Fault = func(string) {}
	}
	if cfg.Problem == nil {
		cfg.Problem = func(error) {}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	v := &Vault{cfg: cfg, items: map[string]*Item{}}
	names, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	known := map[string]bool{} // by a manifest, whole or not
	for _, n := range names {
		if id, ok := strings.CutSuffix(n.Name(), itemSuffix); ok && idForm.MatchString(id) {
			known[id] = true
			i, err := v.load(id)
			if err != nil {
				cfg.Problem(fmt.Errorf("quarantine: %s: %w", v.path(n.Name()), err))
				continue
			}
			v.items[id] = i
		}
	}
	if err := v.openKey(len(known) > 0); err != nil {
		return nil, err
	}
	for _, n := range names {
		id, sealed := strings.CutSuffix(n.Name(), sealedSuffix)
		if strings.HasPrefix(n.Name(), tmpPrefix) || sealed && !known[id] {
			if err := os.Remove(v.path(n.Name())); err != nil {
				cfg.Problem(fmt.Errorf("quarantine: %w", err))
			}
			continue
		}
		if st, err := n.Info(); sealed && err == nil {
			v.used += st.Size()
		}
	}
	for _, i := range v.items {
		if i.Taking {
			if err := v.recover(i); err != nil {
				cfg.Problem(fmt.Errorf("quarantine: what was begun with %s: %w", i.Path, err))
			}
		}
	}
	return v, nil
}

func (v *Vault) path(name string) string { return filepath.Join(v.cfg.Dir, name) }

// openKey reads the key. A vault that holds files does not get a new one: they would be
// lost without a word.
func (v *Vault) openKey(holds bool) error {
	raw, err := os.ReadFile(v.path(keyFile))
	switch {
	case err == nil && len(raw) == 32:
		v.master = raw
		return nil
	case err == nil:
		return fmt.Errorf("quarantine: %s has %d bytes, not 32", v.path(keyFile), len(raw))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("quarantine: %w", err)
	case holds:
		return fmt.Errorf("quarantine: %s is gone, and the files of the vault cannot be read without it", v.path(keyFile))
	}
	v.master = make([]byte, 32)
	rand.Read(v.master)
	return v.write(keyFile, v.master)
}

// write makes name hold b, whole or not at all.
func (v *Vault) write(name string, b []byte) error {
	tmp, err := v.prepare(b)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // gone already when all went well
	if err := v.install(tmp, name); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	return nil
}

// prepare brings b onto the disk, to be installed: which needs no room any more.
func (v *Vault) prepare(b []byte) (tmp string, err error) {
	f, err := os.CreateTemp(v.cfg.Dir, tmpPrefix)
	if err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("quarantine: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (v *Vault) install(tmp, name string) error {
	if err := os.Rename(tmp, v.path(name)); err != nil {
		return err
	}
	d, err := os.Open(v.cfg.Dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (v *Vault) load(id string) (*Item, error) {
	raw, err := os.ReadFile(v.path(id + itemSuffix))
	if err != nil {
		return nil, err
	}
	i := &Item{}
	if err := json.Unmarshal(raw, i); err != nil {
		return nil, err
	}
	if i.ID != id {
		return nil, ErrDamaged
	}
	return i, nil
}

func (v *Vault) save(i *Item) error {
	raw, err := manifest(i)
	if err != nil {
		return err
	}
	return v.write(i.ID+itemSuffix, raw)
}

func manifest(i *Item) ([]byte, error) {
	raw, err := json.MarshalIndent(i, "", "  ")
	return append(raw, '\n'), err
}

// Items returns what the vault holds, the oldest first.
func (v *Vault) Items() []Item {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]Item, 0, len(v.items))
	for _, i := range v.items {
		out = append(out, *i)
	}
	slices.SortFunc(out, func(a, b Item) int { return a.Taken.Compare(b.Taken) })
	return out
}

// Item returns one; ErrUnknown when there is none.
func (v *Vault) Item(id string) (Item, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := v.items[id]; i != nil {
		return *i, nil
	}
	return Item{}, ErrUnknown
}

// Remove forgets an item and its content for good.
func (v *Vault) Remove(id string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.remove(id)
}

// remove is Remove under v.mu.
func (v *Vault) remove(id string) error {
	i := v.items[id]
	if i == nil {
		return ErrUnknown
	}
	var size int64
	if st, err := os.Stat(v.path(id + sealedSuffix)); err == nil {
		size = st.Size()
	}
	// The manifest first: content without one is swept when the vault is opened.
	if err := os.Remove(v.path(id + itemSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("quarantine: %w", err)
	}
	delete(v.items, id)
	if err := os.Remove(v.path(id + sealedSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("quarantine: %w", err)
	}
	v.used -= size
	return nil
}

// room reports whether n more bytes fit.
func (v *Vault) room(n int64) error {
	if v.used+n > v.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes of at most %d are used, the file has %d", ErrFull, v.used, v.cfg.MaxBytes, n)
	}
	var sf unix.Statfs_t
	if err := unix.Statfs(v.cfg.Dir, &sf); err == nil && int64(sf.Bavail)*sf.Bsize-n < v.cfg.Reserve {
		return fmt.Errorf("%w: the file system has %d bytes left, the file has %d", ErrFull, int64(sf.Bavail)*sf.Bsize, n)
	}
	return nil
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// proceed counts what is sealed and ends it with ctx, or when the file outgrows size.
func proceed(ctx context.Context, size int64) func(int) error {
	return func(n int) error {
		if size -= int64(n); size < 0 {
			return errors.New("quarantine: the file grows while it is read")
		}
		return ctx.Err()
	}
}
