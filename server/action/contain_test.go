package action_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// able makes the fixture's device one whose agent carries these out.
func (f *fixture) able(t *testing.T, what ...string) {
	t.Helper()
	_, err := f.store.Devices().Update(t.Context(), tenant, host, func(d *device.Device) error {
		d.LastReport = f.now
		d.Facilities = nil
		for _, w := range what {
			d.Facilities = append(d.Facilities, device.Facility{Name: "respond:" + w, State: "working"})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSelectiveIsolationSaysWhatIsAllowed(t *testing.T) {
	f := setup(t)
	f.able(t, "isolate", "isolate-selective")
	ask := func(a *action.IsolationAllow) (*action.Action, error) {
		return f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.Isolate, Scope: "selective", Comment: "why", Allow: a})
	}
	for name, a := range map[string]*action.IsolationAllow{
		"nothing":          {},
		"a name":           {Targets: []string{"mail.example"}},
		"a port alone":     {Targets: []string{"10.0.0.1:443"}},
		"port 0":           {Targets: []string{"10.0.0.1:0/tcp"}},
		"port beyond":      {Targets: []string{"10.0.0.1:70000/tcp"}},
		"mapped":           {Targets: []string{"::ffff:10.0.0.1"}},
		"open bracket":     {Targets: []string{"[2001:db8::1:53/udp"}},
		"a zone":           {Targets: []string{"fe80::1%eth0"}},
		"a protocol":       {Targets: []string{"10.0.0.1/icmp"}},
		"relative":         {Programs: []string{"bin/mail"}},
		"traversal":        {Programs: []string{"/usr/bin/../../tmp/x"}},
		"newline":          {Programs: []string{"/tmp/a\nb"}},
		"the root":         {Cgroups: []string{"/"}},
		"too many targets": {Targets: make([]string, 257)},
	} {
		if _, err := ask(a); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, err := ask(&action.IsolationAllow{
		Targets:  []string{"10.1.2.3/8", "10.0.0.5:443/tcp", "[2001:db8::1]:53/udp", "2001:db8::/32", "192.0.2.7", "192.0.2.0/24/udp"},
		Programs: []string{"/usr/bin/b", "/usr/bin/a", "/usr/bin/b"}, Cgroups: []string{"/system.slice/postfix.service"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"isolationType":"Selective","allow":{"targets":[{"prefix":"10.0.0.0/8"},{"prefix":"10.0.0.5/32","protocol":"tcp","port":443},` +
		`{"prefix":"2001:db8::1/128","protocol":"udp","port":53},{"prefix":"2001:db8::/32"},{"prefix":"192.0.2.7/32"},{"prefix":"192.0.2.0/24","protocol":"udp"}],` +
		`"programs":["/usr/bin/a","/usr/bin/b"],"cgroups":["/system.slice/postfix.service"]}}`
	if diff := cmp.Diff(want, string(a.Params)); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	if _, err := f.Cancel(t.Context(), analyst, a.ID, "again"); err != nil {
		t.Fatal(err)
	}
	// Without a list of its own the default goes, which names programs and no address.
	if a, err = ask(nil); err != nil || !strings.Contains(string(a.Params), "thunderbird") || strings.Contains(string(a.Params), "targets") {
		t.Errorf("default: %v %+v", err, a)
	}
	if _, err := f.Cancel(t.Context(), analyst, a.ID, "again"); err != nil {
		t.Fatal(err)
	}
	// An agent that does not know the word would isolate fully.
	f.able(t, "isolate")
	if _, err := ask(nil); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("an older agent: %v", err)
	}
	_, err = f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.Isolate, Comment: "why", Allow: &action.IsolationAllow{Programs: []string{"/bin/a"}}})
	if errs.KindOf(err) != errs.Invalid {
		t.Errorf("full isolation with an allow-list: %v", err)
	}
}

func TestRestrictionAndMessageAreChecked(t *testing.T) {
	f := setup(t)
	f.able(t, "restrictcodeexecution", "notifyuser")
	for name, r := range map[string]action.Request{
		"hash":           {Kind: action.RestrictCodeExecution, Trust: &action.Trust{Hashes: []string{"abc"}}},
		"directory":      {Kind: action.RestrictCodeExecution, Trust: &action.Trust{Directories: []string{"/"}}},
		"no message":     {Kind: action.NotifyUser},
		"blank message":  {Kind: action.NotifyUser, Message: &action.Message{Text: " \n"}},
		"escape":         {Kind: action.NotifyUser, Message: &action.Message{Text: "\x1b[2J"}},
		"line in title":  {Kind: action.NotifyUser, Message: &action.Message{Text: "x", Title: "a\nb"}},
		"long":           {Kind: action.NotifyUser, Message: &action.Message{Text: strings.Repeat("ä", 1001)}},
		"level":          {Kind: action.NotifyUser, Message: &action.Message{Text: "x", Level: "loud"}},
		"no UTF-8 title": {Kind: action.NotifyUser, Message: &action.Message{Text: "x", Title: "\xff"}},
	} {
		r.Device, r.Comment = host, "why"
		if _, err := f.Request(t.Context(), analyst, r); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, err := f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.RestrictCodeExecution, Comment: "why",
		Trust: &action.Trust{Hashes: []string{strings.Repeat("AB", 32)}, Directories: []string{"/opt/app"}}})
	if err != nil || string(a.Params) != `{"hashes":["`+strings.Repeat("ab", 32)+`"],"directories":["/opt/app"]}` {
		t.Errorf("%v %+v", err, a)
	}
	a, err = f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.NotifyUser, Comment: "why", Message: &action.Message{Text: "Save your work.\nNow.", Level: "Critical"}})
	if err != nil || string(a.Params) != `{"text":"Save your work.\nNow.","level":"critical"}` {
		t.Errorf("%v %+v", err, a)
	}
}

type signer struct{ err error }

func (s signer) ReleaseCode(d ident.DeviceID, n uint64, at time.Time) (string, error) {
	return string(d[38:]) + at.Format("-15:04"), s.err
}

func TestReleaseCodesAreBoundAndAudited(t *testing.T) {
	f := setup(t)
	s := action.NewService(action.Config{Store: f.store.Actions(), Devices: f.store.Devices(), Audit: f.log, Atomic: f.store.Atomic,
		Clock: func() time.Time { return f.now }, Releases: signer{}})
	for name, c := range map[string]struct {
		comment string
		life    time.Duration
	}{"no reason": {" ", 0}, "too long": {"x", 8 * 24 * time.Hour}, "too short": {"x", time.Second}, "negative": {"x", -time.Hour}} {
		if _, err := s.ReleaseCode(t.Context(), analyst, host, c.comment, c.life); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.ReleaseCode(t.Context(), analyst, "00000000000000000000000000000000000000ff", "x", 0); !errs.Is(err, errs.NotFound) {
		t.Errorf("a device that is not there: %v", err)
	}
	if _, err := f.ReleaseCode(t.Context(), analyst, host, "x", 0); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("without a key: %v", err)
	}
	c, err := s.ReleaseCode(t.Context(), analyst, host, "it lost its route", time.Hour)
	if err != nil || c.Code != "01-13:00" || !c.Expires.Equal(f.now.Add(time.Hour)) {
		t.Fatalf("%+v %v", c, err)
	}
	records, err := f.log.Records(t.Context(), tenant, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range records {
		if e.Verb == "device.releasecode" && e.Outcome == audit.Done {
			found = append(found, e.Detail)
			if strings.Contains(e.Detail, c.Code) {
				t.Error("the code stands in the audit record")
			}
		}
	}
	if len(found) != 1 || !strings.Contains(found[0], "it lost its route") {
		t.Errorf("audit: %q", found)
	}
	bad := action.NewService(action.Config{Store: f.store.Actions(), Devices: f.store.Devices(), Releases: signer{errors.New("no")}})
	if _, err := bad.ReleaseCode(t.Context(), analyst, host, "x", 0); err == nil {
		t.Error("an error of the signer is lost")
	}
}
