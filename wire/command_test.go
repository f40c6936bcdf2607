package wire_test

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

func key(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var issued = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func command() *wire.Command {
	return &wire.Command{ID: "11111111-2222-3333-4444-555555555555", Device: device, Incarnation: 2, Kind: "isolate",
		Params: []byte(`{"type":"Full"}`), Issued: issued, Expires: issued.Add(time.Hour)}
}

func TestCommandsAreVerified(t *testing.T) {
	policy := wire.Policy{Device: device, Incarnation: 2, Server: public(key(1)),
		Approvers: []ed25519.PublicKey{public(key(2)), public(key(3)), public(key(2))},
		Threshold: map[string]int{"run-script": 2}, Refused: []string{"wipe"}}
	now := issued.Add(time.Minute)
	for _, c := range []struct {
		name   string
		change func(*wire.Command)
		keys   []ed25519.PrivateKey
		now    time.Time
		spoil  func(*wirepb.Envelope)
		want   error
	}{
		{name: "server alone for a routine kind", keys: []ed25519.PrivateKey{key(1)}},
		{name: "no signature", want: wire.ErrSignature},
		{name: "signed by another", keys: []ed25519.PrivateKey{key(9)}, want: wire.ErrSignature},
		{name: "changed after signing", keys: []ed25519.PrivateKey{key(1)}, want: wire.ErrSignature,
			spoil: func(e *wirepb.Envelope) { e.Body[len(e.Body)-1] ^= 1 }},
		{name: "approver as server", keys: []ed25519.PrivateKey{key(2)}, want: wire.ErrSignature},
		{name: "signed for another purpose", keys: []ed25519.PrivateKey{key(1)}, want: wire.ErrSignature,
			spoil: func(e *wirepb.Envelope) { e.Signatures = wire.SignBody(wire.IndicatorContext, e.Body, key(1)) }},
		{name: "another device", keys: []ed25519.PrivateKey{key(1)}, want: wire.ErrForeign,
			change: func(c *wire.Command) { c.Device = "ffffffffffffffffffffffffffffffffffffffff" }},
		{name: "former incarnation", keys: []ed25519.PrivateKey{key(1)}, want: wire.ErrForeign,
			change: func(c *wire.Command) { c.Incarnation = 1 }},
		{name: "expired", keys: []ed25519.PrivateKey{key(1)}, now: issued.Add(time.Hour), want: wire.ErrExpired},
		{name: "one approver of two", keys: []ed25519.PrivateKey{key(1), key(2)}, want: wire.ErrSignature,
			change: func(c *wire.Command) { c.Kind = "run-script" }},
		{name: "one approver twice", keys: []ed25519.PrivateKey{key(1), key(2), key(2)}, want: wire.ErrSignature,
			change: func(c *wire.Command) { c.Kind = "run-script" }},
		{name: "both approvers", keys: []ed25519.PrivateKey{key(1), key(2), key(3)},
			change: func(c *wire.Command) { c.Kind = "run-script" }},
		{name: "both approvers without the server", keys: []ed25519.PrivateKey{key(2), key(3)}, want: wire.ErrSignature,
			change: func(c *wire.Command) { c.Kind = "run-script" }},
		{name: "refused by policy", keys: []ed25519.PrivateKey{key(1), key(2), key(3)}, want: wire.ErrSignature,
			change: func(c *wire.Command) { c.Kind = "wipe" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := command()
			if c.change != nil {
				c.change(want)
			}
			e, err := wire.Sign(want, c.keys...)
			if err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(e)
			}
			at := now
			if !c.now.IsZero() {
				at = c.now
			}
			got, err := wire.Verify(e, policy, at)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil {
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestMalformedCommandsAreNotSigned(t *testing.T) {
	for name, change := range map[string]func(*wire.Command){
		"id":       func(c *wire.Command) { c.ID = "../../etc" },
		"kind":     func(c *wire.Command) { c.Kind = "Isolate now" },
		"params":   func(c *wire.Command) { c.Params = []byte(`[]`) },
		"lifetime": func(c *wire.Command) { c.Expires = c.Issued },
		"for ever": func(c *wire.Command) { c.Expires = c.Issued.Add(365 * 24 * time.Hour) },
	} {
		c := command()
		change(c)
		if _, err := wire.Sign(c, key(1)); !errors.Is(err, wire.ErrCommand) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCommandKeysFollowEachOther(t *testing.T) {
	a, b, c := key(1), key(2), key(3)
	chain := []*wirepb.KeySuccession{wire.HandOver(a, public(b)), wire.HandOver(b, public(c))}
	if got := wire.Succeed(public(a), chain); !got.Equal(public(c)) {
		t.Error("the chain from the first key does not lead to the last")
	}
	if got := wire.Succeed(public(b), chain); !got.Equal(public(c)) {
		t.Error("a device that missed nothing but the last key does not follow")
	}
	forged := []*wirepb.KeySuccession{{Key: public(c), Signature: wire.HandOver(b, public(c)).Signature}}
	if got := wire.Succeed(public(a), forged); !got.Equal(public(a)) {
		t.Error("a key that the pinned one did not sign was taken")
	}
}
