package access

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	keyBits = 2048
	// keyLife is how long a key signs. It is published for as long as tokens that it
	// signed may live, and then forgotten.
	keyLife = 30 * 24 * time.Hour
	// reloadEvery bounds how often an unknown key id makes the ring look into the store,
	// where another node may have put a new key.
	reloadEvery = 5 * time.Second
)

// keyring holds the keys that sign and verify tokens, newest first.
type keyring struct {
	store KeyStore
	now   func() time.Time

	mu     sync.RWMutex
	keys   []ringKey
	signer jose.Signer
	loaded time.Time
}

type ringKey struct {
	id      string
	public  *rsa.PublicKey
	created time.Time
}

func (r *keyring) maintain(ctx context.Context) error {
	stored, err := r.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	now := r.now()
	if len(stored) == 0 || now.Sub(stored[0].Created) >= keyLife {
		k, err := newSigningKey(now)
		if err != nil {
			return err
		}
		if err := r.store.AddSigningKey(ctx, k); err != nil {
			return err
		}
		stored = append([]*SigningKey{k}, stored...)
	}
	for i := 1; i < len(stored); i++ {
		// A key stopped signing when its successor was made; an hour more for other nodes.
		if now.Sub(stored[i-1].Created) > TokenLife+time.Hour {
			for _, old := range stored[i:] {
				if err := r.store.RemoveSigningKey(ctx, old.ID); err != nil {
					return err
				}
			}
			stored = stored[:i]
		}
	}
	return r.set(stored)
}

func newSigningKey(now time.Time) (*SigningKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return &SigningKey{ID: base64.RawURLEncoding.EncodeToString(sum[:20]), Private: der, Created: now.UTC()}, nil
}

// set takes over the keys, newest first; the first one signs.
func (r *keyring) set(stored []*SigningKey) error {
	var keys []ringKey
	var signer jose.Signer
	for i, k := range stored {
		any, err := x509.ParsePKCS8PrivateKey(k.Private)
		if err != nil {
			return fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		private, ok := any.(*rsa.PrivateKey)
		if !ok {
			return fmt.Errorf("signing key %s is not an RSA key", k.ID)
		}
		if i == 0 {
			opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.ID).WithHeader("x5t", k.ID)
			if signer, err = jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: private}, opts); err != nil {
				return err
			}
		}
		keys = append(keys, ringKey{k.ID, &private.PublicKey, k.Created})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.signer, r.loaded = keys, signer, r.now()
	return nil
}

func (r *keyring) sign(c any) (string, error) {
	r.mu.RLock()
	signer := r.signer
	r.mu.RUnlock()
	return jwt.Signed(signer).Claims(c).Serialize()
}

// find returns the public key of that id, nil when nobody knows it.
func (r *keyring) find(ctx context.Context, id string) (*rsa.PublicKey, error) {
	r.mu.RLock()
	key, stale := r.lookup(id), r.now().Sub(r.loaded) > reloadEvery
	r.mu.RUnlock()
	if key != nil || !stale {
		return key, nil
	}
	stored, err := r.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.set(stored); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.lookup(id), nil
}

func (r *keyring) lookup(id string) *rsa.PublicKey {
	for _, k := range r.keys {
		if k.id == id {
			return k.public
		}
	}
	return nil
}

func (r *keyring) public() jose.JSONWebKeySet {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out jose.JSONWebKeySet
	for _, k := range r.keys {
		out.Keys = append(out.Keys, jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: string(algorithm), Use: "sig"})
	}
	return out
}
