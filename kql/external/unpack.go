package external

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
)

// maxEntries bounds the files of an archive.
const maxEntries = 100

// unpack hands each file within f to read. What f is, its first bytes say: names lie.
func (r *reader) unpack(f io.Reader, read func(name string, b io.Reader) error) error {
	b := bufio.NewReaderSize(f, 64<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	name := baseName(r.at.URI)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return r.fail("it is no gzip file: %v", err)
		}
		return read(name, z)
	case bytes.Equal(head, []byte("PK\x03\x04")):
		return r.archive(b, read)
	}
	return read(name, b)
}

// archive reads the files of a zip archive in their order. Its directory is at its end,
// so it is kept in a file first.
func (r *reader) archive(f io.Reader, read func(name string, b io.Reader) error) error {
	tmp, err := os.CreateTemp("", "externaldata-")
	if err != nil {
		return err
	}
	defer tmp.Close()
	if err := os.Remove(tmp.Name()); err != nil {
		return err
	}
	left := r.lim.Bytes
	n, err := io.Copy(tmp, &bounded{r: f, left: &left})
	if err != nil {
		return err
	}
	z, err := zip.NewReader(tmp, n)
	if err != nil {
		return r.fail("it is no zip archive: %v", err)
	}
	if len(z.File) > maxEntries {
		return r.fail("the archive has %d files, at most %d are read", len(z.File), maxEntries)
	}
	for _, e := range z.File {
		if !e.Mode().IsRegular() {
			continue
		}
		in, err := e.Open()
		if err != nil {
			return r.fail("%s in the archive: %v", e.Name, err)
		}
		err = read(e.Name, in)
		_ = in.Close() // a checksum that fails is reported by Read
		if err != nil {
			return err
		}
	}
	return nil
}
