package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/vedette-edr/vedette/agent/process"
)

// kind is how something is packed.
type kind int

const (
	plain kind = iota
	zipped
	tarred
	gzipped
	bzipped
	zstandard
)

func kindOf(head []byte) kind {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("PK\x03\x04"), has("PK\x05\x06"), has("PK\x07\x08"):
		return zipped
	case has("\x1f\x8b"):
		return gzipped
	case has("BZh"):
		return bzipped
	case has("\x28\xb5\x2f\xfd"):
		return zstandard
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return tarred
	}
	return plain
}

func memberName(outer, name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	if name = process.Text(name); name == "" {
		name = "content"
	}
	if outer == "" {
		return name
	}
	return outer + "!" + name
}

// member looks at one member, whose bytes count.
func (g *signature) member(src source, depth int) error {
	if g.members++; g.members > maxMembers {
		return errBounds
	}
	src.r = &counted{g: g, r: src.r}
	err := g.inspect(src, depth+1)
	if errors.Is(err, errBounds) || g.ctx.Err() != nil {
		return err
	}
	if err != nil {
		g.bad++
	}
	return nil
}

// counted bounds what is unpacked of one file, and keeps the pace.
type counted struct {
	g *signature
	r io.Reader
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	if err := c.g.pace.wait(c.g.ctx); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	if c.g.unpacked += int64(n); c.g.unpacked > maxUnpacked {
		return n, errBounds
	}
	return n, err
}

// stream looks into what can only be read from front to back.
func (g *signature) stream(k kind, r io.Reader, member string, depth int) error {
	switch k {
	case gzipped:
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return g.member(source{r: z, size: -1, member: memberName(member, "")}, depth)
	case bzipped:
		return g.member(source{r: bzip2.NewReader(r), size: -1, member: memberName(member, "")}, depth)
	case zstandard:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return err
		}
		defer z.Close()
		return g.member(source{r: z, size: -1, member: memberName(member, "")}, depth)
	}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			if g.members++; g.members > maxMembers {
				return errBounds
			}
			continue
		}
		if err := g.member(source{r: t, size: h.Size, member: memberName(member, h.Name)}, depth); err != nil {
			return err
		}
	}
}

// zip looks into a zip archive. One within another archive is kept in memory, up to a bound.
func (g *signature) zip(src source, rest io.Reader, depth int) error {
	at, size := src.at, src.size
	if at == nil {
		var b bytes.Buffer
		n, err := g.copy(&b, io.LimitReader(rest, maxNested+1))
		if err != nil {
			return err
		}
		if n > maxNested {
			return errBounds
		}
		at, size = bytes.NewReader(b.Bytes()), n
	}
	dir := &bounded{r: at, left: maxEntries + 1<<20}
	z, err := zip.NewReader(dir, size)
	if err != nil {
		if dir.left <= 0 {
			return errBounds
		}
		return err
	}
	dir.free = true
	for _, f := range z.File {
		const encrypted = 1
		if f.Flags&encrypted != 0 {
			g.locked++
			continue
		}
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			g.bad++
			continue
		}
		err = g.member(source{r: r, size: int64(f.UncompressedSize64), member: memberName(src.member, f.Name)}, depth)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// bounded bounds what is read of a zip's directory, which becomes memory.
type bounded struct {
	r    io.ReaderAt
	left int64
	free bool
}

// ReadAt implements io.ReaderAt.
func (b *bounded) ReadAt(p []byte, at int64) (int, error) {
	if !b.free {
		if b.left -= int64(len(p)); b.left <= 0 {
			return 0, errBounds
		}
	}
	return b.r.ReadAt(p, at)
}
