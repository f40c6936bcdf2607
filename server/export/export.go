// Package export keeps files that people asked for until they are fetched or their time is
// over: gzip of JSON, one value a line, behind links that need no token.
//
// A link names its file and when it ends, and carries a signature over both under a key of
// the installation: who has the link may fetch the file, and nobody can make one up. It
// knows nothing of what is in the files. Start at Files.Create.
package export

import (
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// MaxLife is the longest life of a link, and thereby of a file.
const MaxLife = 24 * time.Hour

// perFile is how many values one file holds.
const perFile = 200_000

// Files makes and finds files. It is safe for concurrent use.
type Files struct {
	dir string
	key []byte
	now func() time.Time
}

// New returns the files of a directory, which is made when the first one is. key signs
// links; now is nil for time.Now.
func New(dir string, key []byte, now func() time.Time) *Files {
	if now == nil {
		now = time.Now
	}
	return &Files{dir: dir, key: key, now: now}
}

// Create writes the values that each emits into files called name, and returns the path of
// each link below the server's address. There is one file at least. When each fails,
// nothing stays.
func (f *Files) Create(ctx context.Context, name string, life time.Duration, each func(emit func(any) error) error) (links []string, err error) {
	const op = "export.Create"
	if life <= 0 || life > MaxLife {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "a link lives between a moment and %v", MaxLife)
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, errs.Wrap(op, err)
	}
	end := f.now().Add(life)
	var parts []*part
	defer func() {
		if err != nil {
			for _, p := range parts {
				os.Remove(p.file.Name())
			}
		}
	}()
	open := func() error {
		p, err := f.begin(name, len(parts), end)
		if err == nil {
			parts = append(parts, p)
		}
		return err
	}
	if err := open(); err != nil {
		return nil, errs.Wrap(op, err)
	}
	err = each(func(v any) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := parts[len(parts)-1]
		if p.values == perFile {
			if err := p.close(); err != nil {
				return err
			}
			if err := open(); err != nil {
				return err
			}
			p = parts[len(parts)-1]
		}
		p.values++
		return p.enc.Encode(v)
	})
	err = errors.Join(err, parts[len(parts)-1].close())
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	for _, p := range parts {
		base := filepath.Base(p.file.Name())
		links = append(links, "/api/vedette/exports/"+base+"?sig="+f.sign(base))
	}
	return links, nil
}

type part struct {
	file   *os.File
	zip    *gzip.Writer
	enc    *json.Encoder
	values int
}

// begin opens a file. Its name holds when it ends, what it is called, and 128 random bits.
func (f *Files) begin(name string, n int, end time.Time) (*part, error) {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	base := strconv.FormatInt(end.Unix(), 10) + "." + name + "-" + strconv.Itoa(n) + "." + hex.EncodeToString(random[:]) + ".json.gz"
	file, err := os.OpenFile(filepath.Join(f.dir, base), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &part{file: file, zip: gzip.NewWriter(file)}
	p.enc = json.NewEncoder(p.zip)
	p.enc.SetEscapeHTML(false)
	return p, nil
}

func (p *part) close() error { return errors.Join(p.zip.Close(), p.file.Close()) }

func (f *Files) sign(base string) string {
	h := hmac.New(sha256.New, f.key)
	h.Write([]byte(base))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

var fileName = regexp.MustCompile(`^([0-9]{1,12})\.([A-Za-z0-9-]+)\.[0-9a-f]{32}\.json\.gz$`)

// Open returns the file that a link names, and what to call it. A link that is forged, or
// whose time is over, is errs.Denied; a file that is gone is errs.NotFound.
func (f *Files) Open(base, signature string) (io.ReadCloser, int64, string, error) {
	const op = "export.Open"
	m := fileName.FindStringSubmatch(base)
	if m == nil || !hmac.Equal([]byte(signature), []byte(f.sign(base))) {
		return nil, 0, "", errs.New(op, errs.Denied, errs.Forbidden, "the link's signature does not fit")
	}
	end, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || f.now().Unix() >= end {
		return nil, 0, "", errs.New(op, errs.Denied, errs.Forbidden, "the link has expired: ask for a new export")
	}
	file, err := os.Open(filepath.Join(f.dir, base))
	if err != nil {
		return nil, 0, "", &errs.E{Op: op, Kind: errs.NotFound, Code: errs.ResourceNotFound, Detail: "The file is gone: ask for a new export", Err: err}
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, "", errs.Wrap(op, err)
	}
	return file, st.Size(), m[2] + ".json.gz", nil
}

// Sweep removes the files whose time is over.
func (f *Files) Sweep() error {
	entries, err := os.ReadDir(f.dir)
	if os.IsNotExist(err) {
		return nil
	}
	for _, e := range entries {
		end, _, _ := strings.Cut(e.Name(), ".")
		if n, bad := strconv.ParseInt(end, 10, 64); bad == nil && n <= f.now().Unix() {
			err = errors.Join(err, os.Remove(filepath.Join(f.dir, e.Name())))
		}
	}
	return errs.Wrap("export.Sweep", err)
}
