package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a password: the second choice of RFC 9106, on one thread. Each hash takes
// 64 MiB and some 100 ms, so hashers bounds how many run at once.
const (
	argonTime   = 3
	argonMemory = 64 * 1024 // KiB
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32
	hashers     = 2
)

// Bounds of a password that a person chooses.
const (
	minPassword = 12
	maxPassword = 256
)

// passwords hashes and checks people's passwords, at most hashers at a time.
type passwords struct {
	slots chan struct{}
	rand  io.Reader
}

func newPasswords(random io.Reader) *passwords {
	if random == nil {
		random = rand.Reader
	}
	return &passwords{slots: make(chan struct{}, hashers), rand: random}
}

// hash returns the PHC form of a password.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := io.ReadFull(p.rand, salt); err != nil {
		return "", err
	}
	key, err := p.derive(ctx, password, salt, argonTime, argonMemory, argonLanes)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt), b64(key)), nil
}

// check reports whether the password is the one of the PHC form. An empty form takes as
// long as a real one and never fits, so that time does not tell who exists.
func (p *passwords) check(ctx context.Context, password, form string) (bool, error) {
	if form == "" {
		_, err := p.derive(ctx, password, make([]byte, argonSalt), argonTime, argonMemory, argonLanes)
		return false, err
	}
	parts := strings.Split(form, "$")
	var version int
	var memory, time uint32
	var lanes uint8
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("password form is not argon2id")
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, fmt.Errorf("password form has an unknown version")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &lanes); err != nil {
		return false, fmt.Errorf("password form has malformed parameters")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, err
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, err
	}
	got, err := p.derive(ctx, password, salt, time, memory, lanes)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func (p *passwords) derive(ctx context.Context, password string, salt []byte, time, memory uint32, lanes uint8) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), salt, time, memory, lanes, argonKey), nil
}
