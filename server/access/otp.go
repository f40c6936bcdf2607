package access

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what every authenticator program computes; HMAC does not need it to be free of collisions
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What programs that show codes take without being told otherwise (RFC 6238 §4, and the
// address format of Google Authenticator, which knows no other values in many of them).
const (
	otpStep   = 30 * time.Second
	otpDigits = 6
	otpSecret = 20 // bytes: the length of SHA-1's output (RFC 4226 §4, R6)
	// otpDrift is how many steps a code may be early or late (RFC 6238 §5.2).
	otpDrift = 1
)

var otpText = base32.StdEncoding.WithPadding(base32.NoPadding)

// hotp returns the one-time password of a counter (RFC 4226 §5.3).
func hotp(of func() hash.Hash, secret []byte, counter uint64, digits int) string {
	m := hmac.New(of, secret)
	var c [8]byte
	binary.BigEndian.PutUint64(c[:], counter)
	m.Write(c[:])
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	n := uint64(binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff)
	mod := uint64(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%mod)
}

// otpAt is the number of the step that t is in (RFC 6238 §4.2, T0 = 0).
func otpAt(t time.Time) int64 { return t.Unix() / int64(otpStep/time.Second) }

// otpFits returns the step whose code this is, among those around now and after the last
// one that was taken.
func otpFits(secret []byte, code string, now time.Time, taken int64) (step int64, ok bool) {
	for s := otpAt(now) - otpDrift; s <= otpAt(now)+otpDrift; s++ {
		// All are compared, so that time tells nothing about which it was.
		same := subtle.ConstantTimeCompare([]byte(hotp(sha1.New, secret, uint64(s), otpDigits)), []byte(code)) == 1
		if same && s > taken {
			step, ok = s, true
		}
	}
	return step, ok
}

// otpAddress is the secret as the address that programs read from a QR code
// (github.com/google/google-authenticator/wiki/Key-Uri-Format).
func otpAddress(issuer, login, secret string) string {
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(login) + "?" + strings.ReplaceAll(url.Values{
		"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {strconv.Itoa(otpDigits)}, "period": {strconv.Itoa(int(otpStep / time.Second))},
	}.Encode(), "+", "%20")
}
