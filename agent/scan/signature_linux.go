package scan

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"

	agenthash "github.com/vedette-edr/vedette/agent/hash"
)

// The EICAR test file is 68 bytes, with at most 128 in all, the rest white space
// (eicar.org). It is kept backwards, so that no scanner takes this program for it.
const (
	eicarThreat = "EICAR-Test-File"
	eicarMost   = 128
)

var eicar = func() []byte {
	b := []byte("*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\\4[PA@%P!O5X")
	slices.Reverse(b)
	return b
}()

// isEICAR reports whether head, the first bytes of a file and all of it when whole, is the
// test file.
func isEICAR(head []byte, whole bool) bool {
	if !whole || len(head) > eicarMost || !bytes.HasPrefix(head, eicar) {
		return false
	}
	return len(bytes.Trim(head[len(eicar):], " \t\r\n\x1a")) == 0
}

// Bounds of one file with all that is packed in it.
const (
	maxDepth    = 6
	maxMembers  = 50_000
	maxUnpacked = 1 << 30  // bytes
	maxNested   = 32 << 20 // bytes of a zip within another archive, which is kept in memory
	maxEntries  = 16 << 20 // bytes of a zip's directory
	maxName     = 300      // bytes of a member's name that are told
	maxFindings = 100
)

// errBounds says that an archive goes beyond the bounds: the rest of it is not looked at.
var errBounds = errors.New("scan: the archive is deeper, longer or larger than what is unpacked")

// signature is the engine of our own, at one file.
type signature struct {
	s        *Scanner
	ctx      context.Context
	pace     *pacer
	judge    func(sums agenthash.Sums, member string) // nil when no digests are wanted
	found    func(Finding)
	members  int
	unpacked int64
	locked   int // members that are encrypted
	bad      int // members that cannot be read
	buf      []byte
}

// source is a file or member as the engine reads it.
type source struct {
	r      io.Reader
	at     io.ReaderAt // of the whole, where it can be read anywhere; nil otherwise
	size   int64       // bytes; -1 when it is not known
	member string
}

// inspect looks at one source. An error is one of reading, or errBounds.
func (g *signature) inspect(src source, depth int) error {
	head, whole, err := beginning(src.r)
	if err != nil {
		return err
	}
	if isEICAR(head, whole) {
		g.found(Finding{Engine: EngineSignature, Threat: eicarThreat, Member: src.member})
	}
	rest := io.Reader(io.MultiReader(bytes.NewReader(head), src.r))
	var sums *digester
	if g.judge != nil && src.member != "" {
		sums = newDigester()
		rest = io.TeeReader(rest, sums)
	}
	kind := kindOf(head)
	if kind != plain && depth >= maxDepth {
		return errBounds
	}
	switch kind {
	case plain:
		err = nil
	case zipped:
		err = g.zip(src, rest, depth)
	default:
		err = g.stream(kind, rest, src.member, depth)
	}
	if errors.Is(err, errBounds) || g.ctx.Err() != nil {
		return errors.Join(err, g.ctx.Err())
	}
	if err != nil {
		g.bad++
	}
	if sums != nil {
		if _, err := g.copy(io.Discard, rest); err != nil {
			return err
		}
		g.judge(sums.sums(), src.member)
	}
	return nil
}

// beginning reads the first bytes of r; whole says that these are all.
func beginning(r io.Reader) (head []byte, whole bool, err error) {
	buf := make([]byte, 512)
	n := 0
	for idle := 0; n < len(buf) && idle < 100; idle++ {
		k, err := r.Read(buf[n:])
		if n += k; k > 0 {
			idle = 0
		}
		if err == io.EOF { // what was cut off ends with another error
			return buf[:n], true, nil
		}
		if err != nil {
			return buf[:n], false, err
		}
	}
	return buf[:n], false, nil
}

// copy reads to the end at the scanner's pace.
func (g *signature) copy(w io.Writer, r io.Reader) (int64, error) {
	if g.buf == nil {
		g.buf = make([]byte, 256<<10)
	}
	var total int64
	for {
		if err := g.pace.wait(g.ctx); err != nil {
			return total, err
		}
		n, err := r.Read(g.buf)
		total += int64(n)
		if _, werr := w.Write(g.buf[:n]); werr != nil {
			return total, werr
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// digester makes the three digests of a stream.
type digester struct{ h1, h2, h5 hash.Hash }

func newDigester() *digester { return &digester{sha1.New(), sha256.New(), md5.New()} }

// Write implements io.Writer.
func (d *digester) Write(b []byte) (int, error) {
	d.h1.Write(b)
	d.h2.Write(b)
	d.h5.Write(b)
	return len(b), nil
}

func (d *digester) sums() agenthash.Sums {
	return agenthash.Sums{SHA1: hex.EncodeToString(d.h1.Sum(nil)), SHA256: hex.EncodeToString(d.h2.Sum(nil)), MD5: hex.EncodeToString(d.h5.Sum(nil))}
}
