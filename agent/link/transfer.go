package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

var _ responder.Server = (*Link)(nil)

// Pieces of an upload grow while the way is quick and shrink where it is slow, so that one
// takes long enough to be worth its call and short enough not to hold others up.
const (
	minPiece   = 32 << 10 // bytes
	firstPiece = 256 << 10
	maxPiece   = 1 << 20 // as much as the server takes
	quick      = 300 * time.Millisecond
	slow       = 3 * time.Second
)

// maxTries is how often a file is sent that was another each time it was read.
const maxTries = 3

// Upload implements responder.Server. While telemetry waits it takes no more than half of
// the time.
func (l *Link) Upload(ctx context.Context, command string, index int, name string, f *os.File) error {
	for range maxTries {
		whole, err := l.upload(ctx, &upload{command: command, index: index, name: fileName(name), file: f, piece: firstPiece})
		if whole || err != nil {
			return err
		}
	}
	return fmt.Errorf("link: %s changed while it was sent", name)
}

// upload is one attempt to bring a file as it was when it was read first.
type upload struct {
	command string
	index   int
	name    string
	file    *os.File
	size    int64
	sum     []byte
	piece   int
	buffer  []byte
}

// read finds out what the file is now.
func (u *upload) read(ctx context.Context) error {
	h := sha256.New()
	n, err := io.Copy(h, &steadily{ctx, io.NewSectionReader(u.file, 0, 1<<62)})
	u.size, u.sum = n, h.Sum(nil)
	return err
}

// steadily stops reading when its context ends.
type steadily struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (s *steadily) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.from.Read(b)
}

// upload returns false when the file is not what it was.
func (l *Link) upload(ctx context.Context, u *upload) (whole bool, err error) {
	if err := u.read(ctx); err != nil {
		return false, err
	}
	b, at, asking := l.backoff(), int64(0), true
	for {
		id, client := l.current()
		r := &wirepb.UploadRequest{Command: u.command, Index: uint32(u.index), Name: u.name, Size: u.size, Sha256: u.sum, Offset: at}
		if !asking {
			n, err := u.file.ReadAt(u.buffer[:min(int64(u.piece), u.size-at)], at)
			if n == 0 {
				if errors.Is(err, io.EOF) {
					return false, nil // it is shorter now
				}
				return false, err
			}
			r.Data = u.buffer[:n]
		}
		began := time.Now()
		got, err := client.Upload(ctx, connect.NewRequest(r))
		took := time.Since(began)
		switch {
		case err != nil:
			if refuses(err) {
				return false, err
			}
			u.piece = max(u.piece/2, minPiece)
			asking = true // who knows what of it arrived
			if err := l.retry(ctx, id, err, b); err != nil {
				return false, err
			}
			continue
		case got.Msg.Kept:
			l.heard(0)
			return true, nil
		case got.Msg.Offset < 0 || got.Msg.Offset > u.size:
			return false, fmt.Errorf("link: the server has %d bytes of %d", got.Msg.Offset, u.size)
		case !asking && got.Msg.Offset <= at:
			return false, nil // what it had was not this file
		}
		b.reset()
		l.heard(0)
		if !asking {
			u.pace(took)
			if err := l.yield(ctx, took); err != nil {
				return false, err
			}
		}
		asking, at = false, got.Msg.Offset
		if u.buffer == nil {
			u.buffer = make([]byte, maxPiece)
		}
	}
}

// pace fits the piece to how long the last one took.
func (u *upload) pace(took time.Duration) {
	switch {
	case took < quick:
		u.piece = min(2*u.piece, maxPiece)
	case took > slow:
		u.piece = max(u.piece/2, minPiece)
	}
}

// yield leaves the way to telemetry, when some waits, for as long as the last piece took.
func (l *Link) yield(ctx context.Context, took time.Duration) error {
	if l.spool.Stats().Batches < 2 {
		return nil // at most the one that is being sent
	}
	return wait(ctx, min(took, slow))
}

// refuses reports whether the server will never take or give what was asked for.
func refuses(err error) bool {
	var c *connect.Error
	if !errors.As(err, &c) || !connect.IsWireError(err) {
		return false
	}
	switch c.Code() {
	case connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodePermissionDenied, connect.CodeFailedPrecondition, connect.CodeUnimplemented:
		return !FaultOf(err).EnrolAgain()
	}
	return false
}

// fileName makes a name of a file that the server takes of what the device calls it.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\\' || r == utf8.RuneError {
			return '_'
		}
		return r
	}, path.Base(name))
	if name = text(name, 255); name == "" || name == "." || name == ".." || name == "/" {
		return "file"
	}
	return name
}

// Fetch implements responder.Server. A connection that breaks is taken up where it broke.
func (l *Link) Fetch(ctx context.Context, command, name string, w io.Writer) error {
	f := &fetching{w: w, hash: sha256.New()}
	b := l.backoff()
	for {
		id, client := l.current()
		before := f.at
		err := f.once(ctx, client, command, name)
		var bad *badFile
		switch {
		case err == nil:
			l.heard(0)
			return nil
		case errors.As(err, &bad) || refuses(err):
			return err
		}
		if f.at > before {
			b.reset()
		}
		if err := l.retry(ctx, id, err, b); err != nil {
			return err
		}
	}
}

// fetching is a file on its way down.
type fetching struct {
	w    io.Writer
	hash hash.Hash
	at   int64
	size int64
	sum  []byte // nil until the server has said it
}

// badFile is an error that another try does not mend.
type badFile struct{ error }

func (e *badFile) Unwrap() error { return e.error }

func (f *fetching) once(ctx context.Context, client *Client, command, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dog := time.AfterFunc(silence, cancel)
	defer dog.Stop()
	s, err := client.FetchFile(ctx, connect.NewRequest(&wirepb.FetchFileRequest{Command: command, Name: name, Offset: f.at}))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // what went wrong is in s.Err
	for first := true; s.Receive(); first = false {
		dog.Reset(silence)
		m := s.Msg()
		if first {
			if f.sum != nil && (!bytes.Equal(f.sum, m.Sha256) || f.size != m.Size) {
				return &badFile{fmt.Errorf("link: %s was replaced at the server while it was fetched", name)}
			}
			f.size, f.sum = m.Size, m.Sha256
		}
		if f.at+int64(len(m.Data)) > f.size {
			return &badFile{fmt.Errorf("link: the server sends more of %s than its %d bytes", name, f.size)}
		}
		n, err := f.w.Write(m.Data)
		f.hash.Write(m.Data[:n])
		f.at += int64(n)
		if err != nil {
			return &badFile{err}
		}
	}
	if err := s.Err(); err != nil {
		return err
	}
	if f.sum == nil || f.at < f.size {
		return io.ErrUnexpectedEOF
	}
	if !bytes.Equal(f.hash.Sum(nil), f.sum) {
		return &badFile{fmt.Errorf("link: %s did not arrive as it was sent: its hash is another", name)}
	}
	return nil
}
