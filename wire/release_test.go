package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/wire"
)

func TestReleaseCodes(t *testing.T) {
	until := issued.Add(time.Hour)
	code, err := wire.ReleaseCode(device, 2, until, key(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(code)
	garble := []byte(code)
	if garble[40] == 'A' {
		garble[40] = 'B'
	} else if garble[40] != '-' {
		garble[40] = 'A'
	} else {
		garble[41] ^= 3
	}
	for _, c := range []struct {
		name, code, device string
		incarnation        uint64
		now                time.Time
		key                byte
		want               error
	}{
		{"good", code, device, 2, issued, 1, nil},
		{"as people type it", strings.ToLower(strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(code)) + "\n", device, 2, issued, 1, nil},
		{"another device", code, strings.Repeat("f", 40), 2, issued, 1, wire.ErrSignature},
		{"former incarnation", code, device, 1, issued, 1, wire.ErrSignature},
		{"another server", code, device, 2, issued, 2, wire.ErrSignature},
		{"expired", code, device, 2, until, 1, wire.ErrExpired},
		{"a clock that is years behind", code, device, 2, issued.Add(-8 * 24 * time.Hour), 1, wire.ErrExpired},
		{"mistyped", string(garble), device, 2, issued, 1, wire.ErrSignature},
		{"cut off", code[:len(code)-6], device, 2, issued, 1, wire.ErrReleaseCode},
		{"empty", "", device, 2, issued, 1, wire.ErrReleaseCode},
		{"foreign letters", strings.Replace(code, "-", "ü", 1), device, 2, issued, 1, wire.ErrReleaseCode},
		{"endless", strings.Repeat(code, 100), device, 2, issued, 1, wire.ErrReleaseCode},
	} {
		t.Run(c.name, func(t *testing.T) {
			expires, err := wire.VerifyRelease(c.code, c.device, c.incarnation, public(key(c.key)), c.now)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err == nil && !expires.Equal(until) {
				t.Errorf("good until %v, want %v", expires, until)
			}
		})
	}
	// A signature for a code is good for nothing else.
	if e, err := wire.Sign(command(), key(1)); err != nil || strings.Contains(string(e.Body), wire.ReleaseContext) {
		t.Error(err)
	}
	if _, err := wire.ReleaseCode(device, 2, time.Unix(-1, 0), key(1)); err == nil {
		t.Error("an expiry before 1970 is signed")
	}
}
