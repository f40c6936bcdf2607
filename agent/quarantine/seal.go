package quarantine

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A sealed file is the magic, then chunks of chunkSize bytes of plain text (the last one
// shorter, perhaps empty), each followed by its tag. The nonce is the chunk's number and
// whether it is the last, so that chunks can be neither swapped nor cut off.
const (
	sealMagic = "VDQUAR01"
	chunkSize = 64 << 10
	tagSize   = 16
)

// ErrDamaged is what reading a sealed file gives when it is not what was written.
var ErrDamaged = errors.New("quarantine: the sealed file is damaged")

func sealer(master []byte, id string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, master, nil, "vedette quarantine "+id, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func nonce(n uint64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b, n)
	if last {
		b[11] = 1
	}
	return b
}

// seal writes r to w until its end. It asks proceed before each chunk.
func seal(w io.Writer, r io.Reader, master []byte, id string, proceed func(n int) error) error {
	aead, err := sealer(master, id)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, sealMagic); err != nil {
		return err
	}
	buf, next, out := make([]byte, chunkSize), make([]byte, chunkSize), make([]byte, 0, chunkSize+tagSize)
	n, err := io.ReadFull(r, buf)
	for i := uint64(0); ; i++ {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		last := err != nil
		var m int
		var nextErr error
		if !last {
			m, nextErr = io.ReadFull(r, next)
			last = m == 0 && errors.Is(nextErr, io.EOF)
		}
		if err := proceed(n); err != nil {
			return err
		}
		if _, err := w.Write(aead.Seal(out, nonce(i, last), buf[:n], nil)); err != nil {
			return err
		}
		if last {
			return nil
		}
		buf, next, n, err = next, buf, m, nextErr
	}
}

// unseal writes what was sealed to w.
func unseal(w io.Writer, r io.Reader, master []byte, id string) error {
	aead, err := sealer(master, id)
	if err != nil {
		return err
	}
	head := make([]byte, len(sealMagic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != sealMagic {
		return ErrDamaged
	}
	buf, out := make([]byte, chunkSize+tagSize), make([]byte, 0, chunkSize)
	for i := uint64(0); ; i++ {
		n, err := io.ReadFull(r, buf)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.Join(ErrDamaged, err) // the end without a last chunk
		}
		plain, err := aead.Open(out, nonce(i, false), buf[:n], nil)
		last := err != nil
		if last {
			if plain, err = aead.Open(out, nonce(i, true), buf[:n], nil); err != nil {
				return fmt.Errorf("%w: chunk %d", ErrDamaged, i)
			}
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
		if last {
			if k, _ := r.Read(buf[:1]); k > 0 {
				return ErrDamaged
			}
			return nil
		}
	}
}
