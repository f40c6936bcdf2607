package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vedette-edr/vedette/durable"
)

// keySize is the length of the key file: 256 bits.
const keySize = 32

// Key is the secret of one installation, kept in a file beside the database and never in
// it: whoever copies the database alone can neither read what is sealed nor test guesses
// against what is hashed. A backup needs both.
type Key struct {
	root []byte
	rand io.Reader
}

// openKey reads the key file, making it when it is missing, unless a database exists that
// was sealed with the key that is missing.
func openKey(path string, random io.Reader, required bool) (*Key, error) {
	if random == nil {
		random = rand.Reader
	}
	root, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if required {
			return nil, fmt.Errorf("%s is missing: the database beside it was sealed with it", path)
		}
		if err := createKey(path, random); err != nil {
			return nil, err
		}
		root, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: others than its owner must not read it", path, info.Mode().Perm())
	}
	if len(root) != keySize {
		return nil, fmt.Errorf("%s is %d bytes long, not %d", path, len(root), keySize)
	}
	return &Key{root: root, rand: random}, nil
}

// createKey writes a new key so that a crash leaves either a whole key or none.
func createKey(path string, random io.Reader) error {
	root := make([]byte, keySize)
	if _, err := io.ReadFull(random, root); err != nil {
		return err
	}
	return durable.Write(path, root, 0o600)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// Derive returns 32 bytes that belong to the purpose alone: equal for equal purposes,
// telling nothing about those of others.
func (k *Key) Derive(purpose string) []byte {
	out, err := hkdf.Key(sha256.New, k.root, nil, "vedette/"+purpose, keySize)
	if err != nil {
		panic(err) // only for lengths beyond 8,160 bytes
	}
	return out
}

// Seal encrypts and authenticates b for the purpose, as text.
func (k *Key) Seal(purpose string, b []byte) (string, error) {
	a, err := k.aead(purpose)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, a.NonceSize())
	if _, err := io.ReadFull(k.rand, nonce); err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(a.Seal(nonce, nonce, b, nil)), nil
}

// Unseal returns what was sealed for the purpose; text that was changed, or sealed for
// another purpose or by another key, is an error.
func (k *Key) Unseal(purpose, text string) ([]byte, error) {
	a, err := k.aead(purpose)
	if err != nil {
		return nil, err
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b) < a.NonceSize() {
		return nil, fmt.Errorf("%s: the sealed text is malformed", purpose)
	}
	out, err := a.Open(nil, b[:a.NonceSize()], b[a.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("%s: the seal does not fit this installation's key", purpose)
	}
	return out, nil
}

func (k *Key) aead(purpose string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.Derive("seal/" + purpose))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// checkKey compares the key with the one that the database was made with.
func (s *Store) checkKey(ctx context.Context) error {
	want := hex.EncodeToString(s.key.Derive("check"))
	return s.update(ctx, "store.checkKey", func(ctx context.Context, q querier) error {
		got, err := meta(ctx, q, "key")
		if err != nil || got == want {
			return err
		}
		if got != "" {
			return errors.New("the key file is not the one that this database was sealed with")
		}
		_, err = q.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('key', ?)`, want)
		return err
	})
}
