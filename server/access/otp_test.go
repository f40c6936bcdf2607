package access

import (
	"crypto/sha1" //nolint:gosec // as the standard's
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"
	"time"
)

// TestOneTimePasswordsAreThoseOfTheStandard takes the test vectors of RFC 6238, appendix B.
// The secrets are of the length of the hash, as the errata and the reference code have them.
func TestOneTimePasswordsAreThoseOfTheStandard(t *testing.T) {
	const digits = "1234567890"
	secret := func(n int) []byte {
		out := ""
		for len(out) < n {
			out += digits
		}
		return []byte(out[:n])
	}
	for _, v := range []struct {
		of   func() hash.Hash
		size int
		want map[int64]string
	}{
		{sha1.New, 20, map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"}},
		{sha256.New, 32, map[int64]string{59: "46119246", 1111111109: "68084774", 1111111111: "67062674", 1234567890: "91819424", 2000000000: "90698825", 20000000000: "77737706"}},
		{sha512.New, 64, map[int64]string{59: "90693936", 1111111109: "25091201", 1111111111: "99943326", 1234567890: "93441116", 2000000000: "38618901", 20000000000: "47863826"}},
	} {
		for at, want := range v.want {
			if got := hotp(v.of, secret(v.size), uint64(otpAt(time.Unix(at, 0))), 8); got != want {
				t.Errorf("%d bytes, at %d: %s, want %s", v.size, at, got, want)
			}
		}
	}
}

// TestCodesOfTheCounterAreThoseOfTheStandard takes the values of RFC 4226, appendix D.
func TestCodesOfTheCounterAreThoseOfTheStandard(t *testing.T) {
	for n, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := hotp(sha1.New, []byte("12345678901234567890"), uint64(n), 6); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestACodeIsGoodForItsStepAndOneEitherWayOnce(t *testing.T) {
	secret, now := []byte("12345678901234567890"), time.Unix(1_111_111_111, 0)
	for offset := int64(-3); offset <= 3; offset++ {
		code := hotp(sha1.New, secret, uint64(otpAt(now)+offset), 6)
		step, ok := otpFits(secret, code, now, 0)
		if want := offset >= -1 && offset <= 1; ok != want || ok && step != otpAt(now)+offset {
			t.Errorf("the code of %d steps from now: %v at %d", offset, ok, step)
		}
		if _, again := otpFits(secret, code, now, step); ok && again {
			t.Errorf("the code of %d steps from now is taken twice", offset)
		}
	}
	// A code older than the last one that was taken is not taken either.
	if _, ok := otpFits(secret, hotp(sha1.New, secret, uint64(otpAt(now)-1), 6), now, otpAt(now)); ok {
		t.Error("a code from before the last one is taken")
	}
}

func TestTheAddressSaysWhatProgramsRead(t *testing.T) {
	const want = "otpauth://totp/Vedette:ada%2Fb@example.org?algorithm=SHA1&digits=6&issuer=Vedette&period=30&secret=ABC"
	if got := otpAddress("Vedette", "ada/b@example.org", "ABC"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
