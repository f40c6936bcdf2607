package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// Part is a content that comes in pieces, and stays where it is when the process ends. Put
// takes the Content of one that is whole without copying it. It is for one goroutine at a time, and holds
// no file open between calls.
type Part struct {
	dir    *Dir
	path   string
	offset int64     // bytes on the disk, and hashed
	hash   hash.Hash // of them
	kept   string    // its sum once Put took it
}

var partForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,240}$`)

// Part returns the part of a name, with what is there of it already; reading that to hash
// it takes as long as it takes.
func (d *Dir) Part(name string) (*Part, error) {
	const op = "blob.Part"
	if !partForm.MatchString(name) || name == "." || name == ".." {
		return nil, errs.New(op, errs.Internal, "", "%q is no name of a part", name)
	}
	if err := os.MkdirAll(filepath.Join(d.path, "part"), 0o700); err != nil {
		return nil, failed(op, err)
	}
	p := &Part{dir: d, path: filepath.Join(d.path, "part", name), hash: sha256.New()}
	f, err := os.OpenFile(p.path, os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, failed(op, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if p.offset, err = io.Copy(p.hash, f); err != nil {
		return nil, failed(op, err)
	}
	return p, nil
}

// Parts calls each with the name of every part and when it last grew.
func (d *Dir) Parts(each func(name string, grown time.Time)) error {
	const op = "blob.Parts"
	all, err := os.ReadDir(filepath.Join(d.path, "part"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errs.Wrap(op, err)
	}
	for _, e := range all {
		if i, err := e.Info(); err == nil && i.Mode().IsRegular() {
			each(e.Name(), i.ModTime())
		}
	}
	return nil
}

// RemovePart forgets the part of a name, if there is one.
func (d *Dir) RemovePart(name string) error {
	if !partForm.MatchString(name) {
		return nil
	}
	if err := os.Remove(filepath.Join(d.path, "part", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap("blob.RemovePart", err)
	}
	return nil
}

// Offset returns how much there is of the part, in bytes.
func (p *Part) Offset() int64 { return p.offset }

// Sum returns the SHA-256 of what there is of the part.
func (p *Part) Sum() [sha256.Size]byte { return [sha256.Size]byte(p.hash.Sum(nil)) }

// Append adds a piece, wholly or not at all. A full disk is errs.Unavailable with code
// StoreFull.
func (p *Part) Append(data []byte) error {
	const op = "blob.Append"
	f, err := os.OpenFile(p.path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return failed(op, err)
	}
	_, err = f.WriteAt(data, p.offset)
	if err != nil {
		// What did not fit must not be taken for content after a restart.
		err = errors.Join(err, f.Truncate(p.offset))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return failed(op, err)
	}
	p.hash.Write(data)
	p.offset += int64(len(data))
	return nil
}

// Remove forgets the part.
func (p *Part) Remove() error { return p.dir.RemovePart(filepath.Base(p.path)) }

// Content reads a part from its beginning. Dir.Put takes the part over instead of reading.
type Content struct {
	part *Part
	at   int64
}

// Content returns the part for who keeps it.
func (p *Part) Content() *Content { return &Content{part: p} }

// Read implements io.Reader.
func (c *Content) Read(b []byte) (int, error) {
	f, err := os.Open(c.part.path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	n, err := f.ReadAt(b, c.at)
	c.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// adopt makes the part a blob. Once it did, doing it again changes nothing: whoever asked
// for it may have failed after it.
func (p *Part) adopt(most int64) (sum string, size int64, err error) {
	const op = "blob.Put"
	if p.kept != "" {
		return p.kept, p.offset, nil
	}
	if p.offset > most {
		return "", 0, errs.New(op, errs.Invalid, errs.InvalidInput, "the file is larger than %d bytes", most)
	}
	f, err := os.OpenFile(p.path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", 0, failed(op, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return "", 0, failed(op, err)
	}
	sum = hex.EncodeToString(p.hash.Sum(nil))
	if err := p.dir.give(op, p.path, sum); err != nil {
		return "", 0, err
	}
	p.kept = sum
	return sum, p.offset, nil
}

// failed turns an error of the disk into one that says whether to come again.
func failed(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &errs.E{Op: op, Kind: errs.Unavailable, Code: errs.StoreFull, Detail: "the server's disk is full", Retry: 30 * time.Second, Err: err}
	}
	return errs.Wrap(op, err)
}
