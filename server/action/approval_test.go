package action_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

// envelopes is the link's form of a command, as simple as it can be.
type envelopes struct{}

func (envelopes) Body(c action.Command) ([]byte, error) {
	return []byte(string(c.ID) + c.Kind + c.Issued.String() + c.Expires.String()), nil
}

func (envelopes) Signed(body []byte, s action.Signature) bool {
	return len(s.Key) == ed25519.PublicKeySize && ed25519.Verify(s.Key, body, s.Signature)
}

// waiting keeps what was told to wait.
type waiting struct{ list []ident.ActionID }

func (w *waiting) Waits(_ context.Context, a *action.Action) error {
	w.list = append(w.list, a.ID)
	return nil
}

func person(name string, in ...ident.RoleID) *access.Principal {
	return &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: name, Name: name + "@example", Tenant: tenant}, Scope: access.Everything, In: in}
}

func (f *fixture) policy(t *testing.T, p action.Policy) *action.Policy {
	t.Helper()
	if p.Name == "" {
		p.Name = "two people"
	}
	p.Enabled = true
	out, err := f.CreatePolicy(t.Context(), person("root"), p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) requestBy(t *testing.T, by *access.Principal, k action.Kind) *action.Action {
	t.Helper()
	f.now = f.now.Add(time.Second)
	a, err := f.Request(t.Context(), by, action.Request{Device: host, Kind: k, Comment: "because", Source: "PublicApi"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fixture) approve(by *access.Principal, a *action.Action, s ...action.Signature) error {
	f.now = f.now.Add(time.Second)
	_, err := f.Approve(context.Background(), by, a.ID, "seen it", s...)
	return err
}

func TestTwoPeopleAreNeeded(t *testing.T) {
	f := setup(t)
	f.policy(t, action.Policy{Kinds: []action.Kind{"isolate"}, Need: 2, Approvers: []string{"lead"}})
	ana, lead, second := person("ana", "lead"), person("lead", "lead"), person("second", "other", "lead")
	a := f.requestBy(t, ana, action.Isolate)
	f.want(t, a, action.Requested, action.Pending)
	if len(f.nudges.list) != 0 || len(f.pending(t)) != 0 {
		t.Error("the device hears of an action that nobody approved")
	}
	if !slices.Equal(f.waiting.list, []ident.ActionID{a.ID}) {
		t.Errorf("told to wait: %v", f.waiting.list)
	}
	for name, by := range map[string]*access.Principal{"who asked": ana, "who is no approver": person("eve", "reader"), "a part of the server": access.System(tenant, "flow")} {
		if err := f.approve(by, a); !errs.Is(err, errs.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.approve(lead, a); err != nil {
		t.Fatal(err)
	}
	if err := f.approve(lead, a); !errs.Is(err, errs.Conflict) {
		t.Errorf("one person twice: %v", err)
	}
	got := f.want(t, a, action.Requested, action.Pending)
	if m := got.Approval.Missing(); len(m) != 1 || m[1] != 1 {
		t.Errorf("missing %v", m)
	}
	if err := f.approve(second, a); err != nil {
		t.Fatal(err)
	}
	got = f.want(t, a, action.Approved, action.Pending)
	if len(f.nudges.list) != 1 || !slices.Equal(f.pending(t), []ident.ActionID{a.ID}) {
		t.Error("an approved action does not go to its device")
	}
	var said []string
	for _, s := range got.Steps {
		said = append(said, s.Actor+": "+s.Detail)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"ana@example: because", "policy: waits for", "lead@example: approved, 1 more must: seen it", "second@example: approved: seen it"} {
		if !strings.Contains(all, want) {
			t.Errorf("the steps do not say %q:\n%s", want, all)
		}
	}
	rs, err := f.log.Records(t.Context(), tenant, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[audit.Outcome]int{}
	for _, r := range rs {
		if r.Verb == "action.approve" {
			outcomes[r.Outcome]++
		}
	}
	if outcomes[audit.Done] != 2 || outcomes[audit.Denied] != 3 {
		t.Errorf("audited: %v", outcomes)
	}
	// What the policy is not about goes its way.
	f.want(t, f.requestBy(t, ana, action.Unisolate), action.Approved, action.Pending)
}

func TestWhomAPolicyIsAbout(t *testing.T) {
	app := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "c0ffee00-0000-4000-8000-000000000001", Name: "Script", Tenant: tenant}, Scope: access.Everything}
	rule := access.System(tenant, "detection rule 7")
	for name, c := range map[string]struct {
		policy action.Policy
		by     *access.Principal
		waits  bool
	}{
		"everything":            {action.Policy{}, person("ana"), true},
		"another kind":          {action.Policy{Kinds: []action.Kind{action.Offboard}}, person("ana"), false},
		"the device's group":    {action.Policy{Groups: []int64{0}}, person("ana"), true},
		"another group":         {action.Policy{Groups: []int64{4}}, person("ana"), false},
		"the requestor's role":  {action.Policy{Requestors: []string{"Junior"}}, person("ana", "junior"), true},
		"another role":          {action.Policy{Requestors: []string{"junior"}}, person("ana", "senior"), false},
		"any application":       {action.Policy{Requestors: []string{"applications"}}, app, true},
		"this application":      {action.Policy{Requestors: []string{app.ID}}, app, true},
		"people are not asked":  {action.Policy{Requestors: []string{"applications"}}, person("ana"), false},
		"rules obey it too":     {action.Policy{}, rule, true},
		"rules alone":           {action.Policy{Requestors: []string{"automatic"}}, rule, true},
		"rules alone, a person": {action.Policy{Requestors: []string{"automatic"}}, person("ana"), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.policy(t, c.policy)
			if a := f.requestBy(t, c.by, action.Isolate); (a.State == action.Requested) != c.waits {
				t.Errorf("the action is %s", a.State)
			}
		})
	}
}

func TestEveryPolicyHasToBeSatisfied(t *testing.T) {
	f := setup(t)
	first := f.policy(t, action.Policy{Name: "leads", Approvers: []string{"lead"}, Patience: time.Hour})
	f.policy(t, action.Policy{Name: "anybody else", Self: true})
	ana := person("ana")
	a := f.requestBy(t, ana, action.Isolate)
	if !a.Approval.Until.Equal(a.Created.Add(time.Hour)) {
		t.Errorf("waits until %v", a.Approval.Until)
	}
	if err := f.approve(ana, a); err != nil { // counts for the second alone
		t.Fatal(err)
	}
	if m := f.want(t, a, action.Requested, action.Pending).Approval.Missing(); len(m) != 1 || m[first.ID] != 1 {
		t.Errorf("missing %v", m)
	}
	// What is demanded stays what it was when the action was asked for.
	if err := f.DeletePolicy(t.Context(), person("root"), first.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.approve(person("eve"), a); err != nil {
		t.Fatal(err)
	}
	f.want(t, a, action.Requested, action.Pending)
	if err := f.approve(person("lead", "lead"), a); err != nil {
		t.Fatal(err)
	}
	f.want(t, a, action.Approved, action.Pending)
}

func TestRejection(t *testing.T) {
	f := setup(t)
	f.policy(t, action.Policy{Need: 2})
	a := f.requestBy(t, person("ana"), action.Isolate)
	if err := f.approve(person("bob"), a); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Reject(t.Context(), person("eve"), a.ID, ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := f.Reject(t.Context(), person("eve"), a.ID, "wrong device"); err != nil {
		t.Fatal(err)
	}
	got := f.want(t, a, action.Cancelled, action.StCancel)
	if got.Cancel.By != "eve@example" || got.Cancel.Comment != "wrong device" {
		t.Errorf("%+v", got.Cancel)
	}
	if err := f.approve(person("lea"), a); !errs.Is(err, errs.Conflict) {
		t.Errorf("approved after it was rejected: %v", err)
	}
	b := f.requestBy(t, person("ana"), action.Isolate) // nothing is open any more
	if _, err := f.Cancel(t.Context(), person("ana"), b.ID, "never mind"); err != nil {
		t.Errorf("who asked cannot withdraw it: %v", err)
	}
}

func TestApprovalTakesTime(t *testing.T) {
	t.Run("nobody approves", func(t *testing.T) {
		f := setup(t)
		f.policy(t, action.Policy{})
		a := f.requestBy(t, person("ana"), action.Isolate)
		f.sweep(t, 7*24*time.Hour-time.Minute)
		f.want(t, a, action.Requested, action.Pending)
		f.now = f.now.Add(time.Hour)
		if err := f.approve(person("bob"), a); !errs.Is(err, errs.Conflict) {
			t.Errorf("approved too late: %v", err)
		}
		f.sweep(t, time.Second)
		f.want(t, a, action.Expired, action.TimeOut)
	})
	t.Run("the device has its time after the approval", func(t *testing.T) {
		f := setup(t)
		f.policy(t, action.Policy{})
		a := f.requestBy(t, person("ana"), action.Isolate)
		f.now = f.now.Add(6 * 24 * time.Hour)
		if err := f.approve(person("bob"), a); err != nil {
			t.Fatal(err)
		}
		f.sweep(t, 72*time.Hour-time.Minute)
		if !slices.Equal(f.pending(t), []ident.ActionID{a.ID}) {
			t.Error("not handed out within the lifetime")
		}
	})
	t.Run("and no more", func(t *testing.T) {
		f := setup(t)
		f.policy(t, action.Policy{})
		a := f.requestBy(t, person("ana"), action.Isolate)
		if err := f.approve(person("bob"), a); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(73 * time.Hour)
		if len(f.pending(t)) != 0 {
			t.Error("handed out after the lifetime")
		}
		f.sweep(t, time.Second)
		f.want(t, a, action.Expired, action.TimeOut)
	})
}

// TestApproversSignTheCommand follows an approver's own signature to the command that the
// device gets: it is over the very bytes.
func TestApproversSignTheCommand(t *testing.T) {
	f := setup(t)
	f.policy(t, action.Policy{Need: 2})
	a := f.requestBy(t, person("ana"), action.Isolate)
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	public := key.Public().(ed25519.PublicKey)
	good := action.Signature{Key: public, Signature: ed25519.Sign(key, a.Body)}
	for name, s := range map[string]action.Signature{
		"another body": {Key: public, Signature: ed25519.Sign(key, append([]byte("x"), a.Body...))},
		"no key":       {Signature: good.Signature},
	} {
		if err := f.approve(person("bob"), a, s); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.approve(person("bob"), a, good); err != nil {
		t.Fatal(err)
	}
	if err := f.approve(person("lea"), a, good); !errs.Is(err, errs.Conflict) {
		t.Errorf("one key twice: %v", err)
	}
	if err := f.approve(person("lea"), a); err != nil {
		t.Fatal(err)
	}
	work, err := f.dispatch.Pending(t.Context(), f.device, nil)
	if err != nil || len(work.Commands) != 1 {
		t.Fatalf("%v, %v", work, err)
	}
	c := work.Commands[0]
	if len(c.Signatures) != 1 || !ed25519.Verify(public, c.Body, c.Signatures[0].Signature) || c.Signatures[0].By != "bob@example" {
		t.Errorf("signatures %+v", c.Signatures)
	}
	bare := c
	bare.Body, bare.Signatures = nil, nil
	if body, _ := (envelopes{}).Body(bare); string(body) != string(c.Body) {
		t.Error("what was signed is not what the device gets")
	}
}

func TestPoliciesAreChecked(t *testing.T) {
	f := setup(t)
	for name, p := range map[string]action.Policy{
		"no name":                  {},
		"unknown kind":             {Name: "x", Kinds: []action.Kind{"Explode"}},
		"too many":                 {Name: "x", Need: 11},
		"less than none":           {Name: "x", Need: -1},
		"for ever":                 {Name: "x", Patience: 365 * 24 * time.Hour},
		"nobody in particular":     {Name: "x", Approvers: []string{"applications"}},
		"an approver without name": {Name: "x", Approvers: []string{""}},
	} {
		_, err := f.CreatePolicy(t.Context(), person("root"), p)
		var e *errs.E
		if !errors.As(err, &e) || e.Kind != errs.Invalid || !strings.Contains(e.Detail, ":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVotesMeet lets all approvers vote at once: the action is approved once, by as many as
// are needed.
func TestVotesMeet(t *testing.T) {
	f := setup(t)
	f.policy(t, action.Policy{Need: 3})
	a := f.requestBy(t, person("ana"), action.Isolate)
	var wg sync.WaitGroup
	failed := make([]error, 10)
	for i := range failed {
		wg.Go(func() { _, failed[i] = f.Approve(t.Context(), person(string(rune('b'+i))), a.ID, "seen it") })
	}
	wg.Wait()
	good := 0
	for _, err := range failed {
		if err == nil {
			good++
		} else if !errs.Is(err, errs.Conflict) {
			t.Error(err)
		}
	}
	got := f.want(t, a, action.Approved, action.Pending)
	if good != 3 || len(got.Approval.Votes) != 3 || len(f.nudges.list) != 1 {
		t.Errorf("%d votes were taken, %d kept, %d nudges", good, len(got.Approval.Votes), len(f.nudges.list))
	}
}

var _ action.PolicyStore = store.Actions{}
