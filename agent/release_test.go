package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/wire"
)

func TestAReleaseCodeEndsIsolationOnce(t *testing.T) {
	dir := t.TempDir()
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	const device = "0123456789abcdef0123456789abcdef01234567"
	raw, err := json.Marshal(link.Identity{Device: device, Incarnation: 3, Key: der, CommandKey: key.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	ended, problem := 0, ""
	r := &releaser{dir: dir, clock: func() time.Time { return now }, end: func(context.Context) Released {
		if problem == "" {
			ended++
		}
		return Released{Problem: problem, Verified: problem == ""}
	}}
	code := func(device string, incarnation uint64, at time.Time) string {
		t.Helper()
		c, err := wire.ReleaseCode(device, incarnation, at, key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]string{
		"another device": code(strings.Repeat("f", 40), 3, now.Add(time.Hour)), "another enrolment": code(device, 2, now.Add(time.Hour)),
		"expired": code(device, 3, now), "nonsense": "OPEN-SESAME", "nothing": "",
	} {
		if got := r.release(t.Context(), c); got.Problem == "" || ended != 0 {
			t.Errorf("%s: %+v, %d releases", name, got, ended)
		}
	}
	good := code(device, 3, now.Add(time.Hour))
	problem = "netlink says no"
	if got := r.release(t.Context(), good); got.Problem != problem {
		t.Errorf("a release that fails: %+v", got)
	}
	problem = ""
	if got := r.release(t.Context(), good); got.Problem != "" || !got.Verified || ended != 1 {
		t.Errorf("the code, which was not used up by the failure: %+v", got)
	}
	for _, again := range []string{good, strings.ToLower(good), strings.ReplaceAll(good, "-", "")} {
		if got := r.release(t.Context(), again); got.Problem != errUsed.Error() || ended != 1 {
			t.Errorf("the same code again: %+v", got)
		}
	}
	// An agent that starts later tells of it, once.
	later := &releaser{dir: dir, clock: r.clock}
	var told []time.Time
	for range 2 {
		if err := later.tell(func(at time.Time) { told = append(told, at) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || !told[0].Equal(now) {
		t.Errorf("told %v", told)
	}
}
