package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/notify"
)

// The parts of a call that brings a file.
const (
	casePart   = "case"
	bundlePart = "bundle"
)

// body is what a call sends. It can be read several times, because it is signed before it is
// sent; a file in it is read from where it lies each time.
type body struct {
	media string
	size  int64
	head  []byte
	file  *notify.File // between head and tail; nil for none
	tail  []byte
}

// compose lays out what a call sends.
func compose(h notify.Hook) (*body, error) {
	if h.File == nil {
		return &body{media: "application/json", size: int64(len(h.Body)), head: h.Body}, nil
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part := func(name, file, media string) error {
		head := textproto.MIMEHeader{}
		head.Set("Content-Disposition", mime.FormatMediaType("form-data", map[string]string{"name": name, "filename": file}))
		head.Set("Content-Type", media)
		_, err := w.CreatePart(head)
		return err
	}
	if err := part(casePart, "case.json", "application/json"); err != nil {
		return nil, err
	}
	b.Write(h.Body)
	if err := part(bundlePart, h.File.Name, h.File.Type); err != nil {
		return nil, err
	}
	n := b.Len()
	if err := w.Close(); err != nil {
		return nil, err
	}
	all := b.Bytes()
	return &body{media: w.FormDataContentType(), head: all[:n], file: h.File, tail: all[n:], size: int64(len(all)) + h.File.Size}, nil
}

type reading struct {
	io.Reader
	io.Closer
}

// open returns the body from its beginning.
func (b *body) open() (io.ReadCloser, error) {
	if b.file == nil {
		return io.NopCloser(bytes.NewReader(b.head)), nil
	}
	f, err := b.file.Open()
	if err != nil {
		return nil, err
	}
	// A file that is not as long as was announced breaks the call off and is not padded.
	return reading{io.MultiReader(bytes.NewReader(b.head), f, bytes.NewReader(b.tail)), f}, nil
}

// sign returns the signature of the body as sent at a time.
func (b *body) sign(secret []byte, at string) (sum string, err error) {
	in, err := b.open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(at + "."))
	n, err := io.Copy(m, in)
	if err == nil && n != b.size {
		err = errs.New("webhook.sign", errs.Internal, "", "the file has not the announced size")
	}
	return hex.EncodeToString(m.Sum(nil)), err
}
