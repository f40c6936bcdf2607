package archive

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
)

// ManifestName is the last entry of every package.
const ManifestName = "manifest.json"

// Errors of entries. Both leave the archive whole.
var (
	// ErrFull is what a write returns when the package may not grow further.
	ErrFull = errors.New("the package has reached its size limit")
	// ErrClosed is what a write to an entry that was closed returns.
	ErrClosed = errors.New("the entry is closed")
)

// memory is how many bytes of a packed entry are held before it goes to a file.
const memory = 1 << 20

// Config bounds a Writer.
type Config struct {
	Dir    string           // where entries that do not fit into memory are kept until they are closed
	Total  int64            // bytes of all entries as they are read
	Packed int64            // bytes of the archive, but for its directory and manifest
	Now    func() time.Time // the wall clock
}

// Info is what is known of an entry besides its content.
type Info struct {
	Source   string    // path on the device, or the command or kernel interface
	Modified time.Time // of the file on the device; zero where it is no file
}

// Item is one entry as the manifest states it.
type Item struct {
	Name     string     `json:"name"`
	Source   string     `json:"source"` // escaped as cells are, see Cell
	Size     int64      `json:"size"`   // bytes
	SHA256   string     `json:"sha256"` // hexadecimal
	Modified *time.Time `json:"modified,omitempty"`
	Cut      string     `json:"cut,omitempty"` // why it is not whole
}

// Manifest is the content of ManifestName.
type Manifest struct {
	Version int             `json:"version"` // 1
	About   json.RawMessage `json:"about,omitempty"`
	Files   []Item          `json:"files"`
}

// Writer makes an archive. Several entries may be open at once, and are written when they
// are closed. It is safe for concurrent use.
type Writer struct {
	cfg   Config
	names *names

	mu     sync.Mutex
	zip    *zip.Writer
	used   int64 // of Config.Total
	packed int64 // of Config.Packed, entries that are open included
	items  []Item
	err    error // of the file: nothing can be written any more
	idle   []*flate.Writer
}

// NewWriter returns a Writer to w, which the caller closes after Close.
func NewWriter(w io.Writer, c Config) *Writer {
	return &Writer{cfg: c, zip: zip.NewWriter(w), names: newNames()}
}

// Create begins an entry below a folder; folder and name are made into a path that is new
// in the archive and harmless anywhere. The caller closes the entry.
func (w *Writer) Create(folder, name string, info Info) (*Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	e := &Entry{w: w, sum: sha256.New(), crc: crc32.NewIEEE(), info: info, name: w.names.unique(folder, name)}
	e.hold.dir = w.cfg.Dir
	e.deflate = w.packer()
	e.deflate.Reset(&e.hold)
	return e, nil
}

// packer returns a compressor to use again, or a new one. The caller holds mu.
func (w *Writer) packer() *flate.Writer {
	if n := len(w.idle); n > 0 {
		p := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return p
	}
	p, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return p
}

// Err is why nothing can be written any more, such as a full disk; nil while all is well.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Items are the entries that are closed, in order.
func (w *Writer) Items() []Item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Item(nil), w.items...)
}

// Close writes the manifest, with about in it, and ends the archive. Entries that are open
// are not in it.
func (w *Writer) Close(about any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.err = ErrClosed
	m := Manifest{Version: 1, Files: w.items}
	var err error
	if m.About, err = json.Marshal(about); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: ManifestName, Method: zip.Deflate, Modified: w.cfg.Now().UTC()})
	if err != nil {
		return err
	}
	if _, err := f.Write(raw); err != nil {
		return err
	}
	return w.zip.Close()
}

// reserve takes n bytes of the content's budget and returns how many there were.
func (w *Writer) reserve(n int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if w.packed >= w.cfg.Packed {
		return 0, ErrFull
	}
	left := int(min(int64(n), w.cfg.Total-w.used))
	w.used += int64(left)
	if left < n {
		return left, ErrFull
	}
	return left, nil
}

// Entry is one file of the archive in the making. It is safe for concurrent use, so that
// one whose writer hangs can be closed by another.
type Entry struct {
	w    *Writer
	name string
	info Info

	mu      sync.Mutex
	deflate *flate.Writer // nil once closed
	hold    holder
	counted int64 // bytes of hold that are in Writer.packed
	sum     hash.Hash
	crc     hash.Hash32
	size    int64
	cut     string
}

// Name is the entry's path in the archive.
func (e *Entry) Name() string { return e.name }

// Size is how many bytes were written.
func (e *Entry) Size() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.size
}

// Write implements io.Writer. When the package is full it writes what fits, marks the entry
// as cut and returns ErrFull.
func (e *Entry) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deflate == nil {
		return 0, ErrClosed
	}
	written := 0
	for len(b) > 0 {
		// In pieces, because how far one is packed is known only afterwards.
		n, full := e.w.reserve(min(len(b), piece))
		if n > 0 {
			if _, err := e.deflate.Write(b[:n]); err != nil {
				e.w.fail(err)
				return written, err
			}
			e.sum.Write(b[:n])
			e.crc.Write(b[:n])
			e.size += int64(n)
			e.count()
			written, b = written+n, b[n:]
		}
		if full != nil {
			if e.cut == "" {
				e.cut = full.Error()
			}
			return written, full
		}
	}
	return written, nil
}

// piece is how many bytes are packed at a time.
const piece = 64 << 10

// count brings the growth of hold into the archive's account.
func (e *Entry) count() {
	e.w.mu.Lock()
	e.w.packed += e.hold.size - e.counted
	e.w.mu.Unlock()
	e.counted = e.hold.size
}

// Cut notes that the entry is not whole; the first reason stays.
func (e *Entry) Cut(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cut == "" {
		e.cut = fmt.Sprintf(format, args...)
	}
}

// Close puts the entry into the archive; closing again does nothing.
func (e *Entry) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deflate == nil {
		return nil
	}
	packer := e.deflate
	e.deflate = nil
	defer e.hold.close()
	if err := packer.Close(); err != nil {
		e.w.fail(err)
		return err
	}
	e.count()
	return e.w.add(e, packer)
}

// Drop gives the entry up: it does not come into the archive.
func (e *Entry) Drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deflate == nil {
		return
	}
	e.deflate = nil
	e.hold.close()
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.packed -= e.counted
	e.w.used -= e.size
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// add writes a finished entry; the caller holds e.mu.
func (w *Writer) add(e *Entry, packer *flate.Writer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, packer)
	if w.err != nil {
		return w.err
	}
	h := &zip.FileHeader{
		Name: e.name, Method: zip.Deflate, Modified: w.cfg.Now().UTC(), CRC32: e.crc.Sum32(),
		CompressedSize64: uint64(e.hold.size), UncompressedSize64: uint64(e.size),
	}
	item := Item{Name: e.name, Source: Cell(e.info.Source), Size: e.size, SHA256: hex.EncodeToString(e.sum.Sum(nil)), Cut: e.cut}
	if m := e.info.Modified; !m.IsZero() {
		m = m.UTC()
		item.Modified, h.Modified = &m, m
	}
	err := e.hold.rewind()
	if err == nil {
		var f io.Writer
		if f, err = w.zip.CreateRaw(h); err == nil {
			_, err = io.Copy(f, &e.hold)
		}
	}
	if err != nil {
		w.err = err
		return err
	}
	w.items = append(w.items, item)
	return nil
}

// holder keeps the packed bytes of an entry: in memory first, then in a file without a name.
type holder struct {
	dir  string
	buf  bytes.Buffer
	file *os.File
	size int64
}

// Write implements io.Writer.
func (h *holder) Write(b []byte) (int, error) {
	if h.file == nil && h.buf.Len()+len(b) > memory {
		f, err := os.CreateTemp(h.dir, "entry-")
		if err != nil {
			return 0, err
		}
		h.file = f
		// Where an open file can lose its name it cannot be left behind.
		_ = os.Remove(f.Name())
		if _, err := f.Write(h.buf.Bytes()); err != nil {
			return 0, err
		}
		h.buf = bytes.Buffer{}
	}
	h.size += int64(len(b))
	if h.file != nil {
		return h.file.Write(b)
	}
	return h.buf.Write(b)
}

func (h *holder) rewind() error {
	if h.file == nil {
		return nil
	}
	_, err := h.file.Seek(0, io.SeekStart)
	return err
}

// Read implements io.Reader.
func (h *holder) Read(b []byte) (int, error) {
	if h.file != nil {
		return h.file.Read(b)
	}
	return h.buf.Read(b)
}

func (h *holder) close() {
	if h.file != nil {
		h.file.Close()
		_ = os.Remove(h.file.Name()) // gone already but on Windows
	}
	h.buf = bytes.Buffer{}
}
