package fleetsim_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// TestADeviceAsksForItsApproversOwnSignatures follows approvers' signatures from the vote to
// the device, whose own policy decides: neither the server's key nor votes without
// signatures suffice, and what the policy refuses no signature brings about.
func TestADeviceAsksForItsApproversOwnSignatures(t *testing.T) {
	key := func(b byte) ed25519.PrivateKey {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = b
		return ed25519.NewKeyFromSeed(seed)
	}
	public := func(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
	ana, bob, eve := key(1), key(2), key(3)
	s := start(t)
	d := s.enrolled(1, func(c *fleetsim.Config) {
		c.Policy = wire.Policy{Approvers: []ed25519.PublicKey{public(ana), public(bob)}, Threshold: map[string]int{"isolate": 2}, Refused: []string{"liveresponse", "offboard"}}
	}).Devices()[0]
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := s.actions.CreatePolicy(t.Context(), analyst, action.Policy{Name: "two", Enabled: true, Kinds: []action.Kind{action.Isolate, action.Offboard}, Need: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		kind action.Kind
		keys []ed25519.PrivateKey // of the two votes; nil signs nothing
		want action.State
		why  string
	}{
		{"nobody signs", action.Isolate, []ed25519.PrivateKey{nil, nil}, action.Failed, "0 of 2 approvers signed isolate"},
		{"one signs", action.Isolate, []ed25519.PrivateKey{ana, nil}, action.Failed, "1 of 2 approvers signed isolate"},
		{"a stranger signs", action.Isolate, []ed25519.PrivateKey{ana, eve}, action.Failed, "1 of 2 approvers signed isolate"},
		{"both sign", action.Isolate, []ed25519.PrivateKey{ana, bob}, action.Verified, ""},
		{"what is refused", action.Offboard, []ed25519.PrivateKey{ana, bob}, action.Failed, "policy refuses offboard"},
		{"what needs none", action.Unisolate, nil, action.Verified, ""},
	} {
		a := s.request(d, c.kind)
		for i, k := range c.keys {
			var sigs []action.Signature
			if k != nil {
				g := wire.SignBody(wire.CommandContext, a.Body, k)[0]
				sigs = append(sigs, action.Signature{Key: g.Key, Signature: g.Signature})
			}
			by := &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: string(rune('a' + i)), Name: "approver", Tenant: tenant}, Scope: access.Everything}
			if _, err := s.actions.Approve(t.Context(), by, a.ID, "go", sigs...); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		eventually(t, c.name, func() bool { return !s.action(a.ID).State.Open() })
		got := s.action(a.ID)
		if got.State != c.want || !strings.Contains(got.Error, c.why) {
			t.Errorf("%s: %s, %q; want %s, %q", c.name, got.State, got.Error, c.want, c.why)
		}
	}
	for _, c := range d.Commands() {
		if c.Kind == "offboard" {
			t.Error("a command that the policy refuses was carried out")
		}
	}
}
