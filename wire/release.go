package wire

import (
	"crypto/ed25519"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ReleaseContext stands before what a release code signs.
const ReleaseContext = "vedette release 1\x00"

// MaxReleaseLife is the longest time that a release code is good for.
const MaxReleaseLife = 7 * 24 * time.Hour

// ErrReleaseCode is returned for a text that is no release code, told apart from one that is
// not for this device (ErrSignature) or not good any more (ErrExpired).
var ErrReleaseCode = errors.New("wire: this is no release code")

// A release code says that whoever has it may end the isolation of one incarnation of one
// device until a time, without the device reaching its server. It is 68 bytes: the second of
// expiry since 1970 as four bytes, big-endian, and the Ed25519 signature, by the command
// key, of context, device, incarnation and that second. It is written in Crockford's base 32,
// in groups of five, so that people can copy it by hand; case, white space, dashes and the
// letters that look like digits do not count when it is read.
const releaseSize = 4 + ed25519.SignatureSize

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func releaseCoding() *base32.Encoding {
	return base32.NewEncoding(crockford).WithPadding(base32.NoPadding)
}

func releaseBody(device string, incarnation uint64, expires uint32) []byte {
	b := append([]byte(ReleaseContext), device...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint64(b, incarnation)
	return binary.BigEndian.AppendUint32(b, expires)
}

// ReleaseCode returns the code that ends the isolation of a device until expires, which
// counts in whole seconds.
func ReleaseCode(device string, incarnation uint64, expires time.Time, key ed25519.PrivateKey) (string, error) {
	at := expires.Unix()
	if at <= 0 || at > 1<<32-1 || device == "" {
		return "", fmt.Errorf("%w: its device or its expiry cannot be written", ErrReleaseCode)
	}
	raw := binary.BigEndian.AppendUint32(nil, uint32(at))
	raw = append(raw, ed25519.Sign(key, releaseBody(device, incarnation, uint32(at)))...)
	var groups []string
	for g := range slices.Chunk([]byte(releaseCoding().EncodeToString(raw)), 5) {
		groups = append(groups, string(g))
	}
	return strings.Join(groups, "-"), nil
}

// VerifyRelease reads a release code and returns when it expires. It is nil's error only for
// a code that the key signed for this device and incarnation and that is good at now.
func VerifyRelease(code, device string, incarnation uint64, key ed25519.PublicKey, now time.Time) (time.Time, error) {
	const longest = 1024 // with whatever stands between the groups
	if len(code) > longest || len(key) != ed25519.PublicKeySize {
		return time.Time{}, ErrReleaseCode
	}
	text := strings.Map(func(r rune) rune {
		switch r {
		case '-', ' ', '\t', '\r', '\n':
			return -1
		case 'o', 'O':
			return '0'
		case 'i', 'I', 'l', 'L':
			return '1'
		}
		return r
	}, code)
	raw, err := releaseCoding().DecodeString(strings.ToUpper(text))
	if err != nil || len(raw) != releaseSize {
		return time.Time{}, ErrReleaseCode
	}
	at := binary.BigEndian.Uint32(raw)
	expires := time.Unix(int64(at), 0).UTC()
	if !ed25519.Verify(key, releaseBody(device, incarnation, at), raw[4:]) {
		return expires, fmt.Errorf("%w: the code is for another device, of another server, or mistyped", ErrSignature)
	}
	switch {
	case !now.Before(expires):
		return expires, fmt.Errorf("%w: the code was good until %s", ErrExpired, expires.Format(time.RFC3339))
	case expires.Sub(now) > MaxReleaseLife:
		// The clock of a device that was off may be years behind; a code's life is not.
		return expires, fmt.Errorf("%w: the code expires %s, which is more than %v from now: is the device's clock right?", ErrExpired, expires.Format(time.RFC3339), MaxReleaseLife)
	}
	return expires, nil
}
