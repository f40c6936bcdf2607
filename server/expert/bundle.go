package expert

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/vedette-edr/vedette/server/errs"
)

// errTooLarge says that a bundle became larger than its receiver takes.
var errTooLarge = errors.New("the bundle is larger than its receiver takes")

// rows is how many events of each device a bundle tells: as many as fit.
var rows = []int{30_000, 5_000, 500, 0}

// sumsFile is the list of hashes of a bundle, as sha256sum --check reads it.
const sumsFile = "SHA256SUMS"

// archive is a bundle that is being written.
type archive struct {
	zip      *zip.Writer
	out      *bounded
	at       time.Time
	contents []Content
	omitted  []Omission
}

// bounded counts what is written, and refuses more than most.
type bounded struct {
	w       io.Writer
	n, most int64
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.n+int64(len(p)) > b.most {
		return 0, errTooLarge
	}
	n, err := b.w.Write(p)
	b.n += int64(n)
	return n, err
}

// file adds a file. Names are our own: what a device or a user called something goes through
// plain.
func (a *archive) file(path string, method uint16, write func(io.Writer) error) error {
	h := &zip.FileHeader{Name: path, Method: method, Modified: a.at}
	h.SetMode(0o600)
	f, err := a.zip.CreateHeader(h)
	if err != nil {
		return err
	}
	sum, n := sha256.New(), &bounded{most: 1 << 62}
	n.w = io.MultiWriter(f, sum)
	b := bufio.NewWriterSize(n, 64<<10)
	if err := errors.Join(write(b), b.Flush()); err != nil {
		return err
	}
	a.contents = append(a.contents, Content{Path: path, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n.n})
	return nil
}

// json adds a value as indented JSON.
func (a *archive) json(path string, v any) error {
	return a.file(path, zip.Deflate, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// omit notes what the bundle lacks.
func (a *archive) omit(what, format string, args ...any) {
	a.omitted = append(a.omitted, Omission{What: what, Why: fmt.Sprintf(format, args...)})
}

// room is how many bytes may still come, as far as is known: the compressor holds some back.
func (a *archive) room() int64 { return a.out.most - a.out.n - 256<<10 }

// plain makes a name of a file out of a text that somebody else chose: what is not a letter,
// digit, dot, dash or underscore of ASCII becomes an underscore, so that no name leads out of
// a directory, hides, or is a device of Windows.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, s)
	s = strings.Trim(strings.ReplaceAll(s[:min(len(s), most)], "..", "__"), ".")
	if s == "" {
		return "_"
	}
	return s
}

// bundle makes the bundle of a case and keeps it among the blobs. A timeline that makes it
// too large is told shorter.
func (s *Service) bundle(ctx context.Context, c *Case, r *Receiver) (*Bundle, error) {
	const op = "expert.bundle"
	for _, most := range rows {
		b, err := s.try(ctx, c, r, most)
		if !errors.Is(err, errTooLarge) {
			return b, errs.Wrap(op, err)
		}
	}
	return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "without any timeline it is still larger than the %d bytes that the receiver takes", r.MaxBytes)
}

func (s *Service) try(ctx context.Context, c *Case, r *Receiver, most int) (*Bundle, error) {
	now := s.cfg.Clock().UTC()
	name := fmt.Sprintf("vedette-case-%s-%s.zip", c.ID[:8], now.Format("20060102"))
	var keys []age.Recipient
	for _, k := range r.Keys {
		to, err := recipient(k)
		if err != nil {
			return nil, errs.New("expert.bundle", errs.Invalid, errs.InvalidInput, "a key of the receiver cannot be read any more")
		}
		keys = append(keys, to)
	}
	if len(keys) > 0 {
		name += ".age"
	}
	in, out := io.Pipe()
	a := &archive{at: now, out: &bounded{w: out, most: r.MaxBytes}}
	done := make(chan error, 1)
	go func() {
		err := s.write(ctx, c, a, keys, most)
		out.CloseWithError(err) // nil ends the file
		done <- err
	}()
	sum, size, err := s.cfg.Blobs.Put(in, r.MaxBytes)
	in.CloseWithError(errors.New("nobody reads any more"))
	if wrong := <-done; wrong != nil && (err == nil || errors.Is(err, wrong)) {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	return &Bundle{Name: name, SHA256: sum, Size: size, Encrypted: len(keys) > 0, Linked: r.Hand == ByLink, Made: now, Until: now.Add(r.Life), Contents: a.contents, Omitted: a.omitted}, nil
}

// write writes the whole of a bundle.
func (s *Service) write(ctx context.Context, c *Case, a *archive, keys []age.Recipient, most int) error {
	to := io.Writer(a.out)
	var sealed io.WriteCloser
	if len(keys) > 0 {
		var err error
		if sealed, err = age.Encrypt(to, keys...); err != nil {
			return err
		}
		to = sealed
	}
	a.zip = zip.NewWriter(to)
	if err := s.gather(ctx, c, a, most); err != nil {
		return err
	}
	if err := a.sums(); err != nil {
		return err
	}
	if err := a.zip.Close(); err != nil {
		return err
	}
	if sealed != nil {
		return sealed.Close()
	}
	return nil
}

// sums adds the hashes of what is in the bundle.
func (a *archive) sums() error {
	list := a.contents
	return a.file(sumsFile, zip.Deflate, func(w io.Writer) error {
		for _, f := range list {
			if _, err := fmt.Fprintf(w, "%s  %s\n", f.SHA256, f.Path); err != nil {
				return err
			}
		}
		return nil
	})
}

// evidence is what the action keeps of a bundle.
func (b *Bundle) evidence() any {
	out := struct {
		Name      string     `json:"fileName"`
		SHA256    string     `json:"sha256"`
		Size      int64      `json:"size"`
		Encrypted bool       `json:"encrypted"`
		Files     int        `json:"files"`
		Omitted   []omission `json:"lacks"`
	}{b.Name, b.SHA256, b.Size, b.Encrypted, len(b.Contents), []omission{}}
	for _, o := range b.Omitted {
		out.Omitted = append(out.Omitted, omission(o))
	}
	return out
}

// media is the media type of a bundle.
func (b *Bundle) media() string {
	if b.Encrypted {
		return "application/octet-stream"
	}
	return "application/zip"
}
