package ioc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rig is a matcher with one definition, and what it needs to be driven by hand.
type rig struct {
	t   testing.TB
	ref *model
	m   *Matcher
	now time.Time
	rev indicator.Revision
	seq uint64
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, ref: newModel(), now: start}
	r.m = New(Config{Indicators: r.ref, Now: func() time.Time { return r.now }})
	t.Cleanup(r.m.Close)
	r.apply(indicator.Change{Noun: indicator.ADefinition, ID: 1, Definition: &indicator.Definition{
		ID: 1, Title: "Connection to a restricted address", Description: "what it means",
		RecommendedAction: "isolate it", Category: "SuspiciousNetworkTraffic", Severity: indicator.Medium, Enabled: true,
	}})
	return r
}

func (r *rig) apply(cs ...indicator.Change) {
	r.t.Helper()
	r.rev++
	for _, c := range cs {
		r.ref.apply(c)
	}
	if err := r.m.Apply(context.Background(), acme, &indicator.Page{Changes: cs, Revision: r.rev}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) ioc(id int64, typ indicator.Type, f indicator.Function, value string) {
	r.t.Helper()
	i := &indicator.IOC{ID: indicator.IOCID(id), Definition: 1, Type: typ, Function: f, Value: value, Enabled: true}
	if err := i.Validate(); err != nil {
		r.t.Fatal(err)
	}
	r.apply(indicator.Change{Noun: indicator.AnIOC, ID: id, IOC: i})
}

func (r *rig) indicator(id int64, typ indicator.Type, a indicator.Action, value string) *indicator.Indicator {
	r.t.Helper()
	i := &indicator.Indicator{
		ID: ident.IndicatorID(id), Type: typ, Action: a, Value: value, GenerateAlert: true,
		Title: "title", Description: "description", Severity: indicator.High,
	}
	if err := i.Validate(); err != nil {
		r.t.Fatal(err)
	}
	r.apply(indicator.Change{Noun: indicator.AnIndicator, ID: id, Indicator: i})
	return i
}

func (r *rig) batch(events ...*event.Event) *telemetry.Batch {
	r.seq++
	return &telemetry.Batch{
		Tenant: acme, Device: "d1", DeviceName: "host.test", Incarnation: 1, Sequence: r.seq,
		FirstReport: int64(r.seq) * 100, Received: r.now, Events: events,
	}
}

func (r *rig) match(b *telemetry.Batch) []*alert.Alert {
	r.t.Helper()
	as, err := r.m.Match(context.Background(), b)
	if err != nil {
		r.t.Fatal(err)
	}
	return as
}

// sources names the rows that alerts came from.
func sources(as []*alert.Alert) string {
	var out []string
	for _, a := range as {
		out = append(out, a.Source.Rule+"/"+a.Source.Indicator)
	}
	return strings.Join(out, " ")
}

func curl(key uint64) *event.Process {
	return &event.Process{
		Key: key, PID: 4711, Start: start.Add(-time.Second), CommandLine: "curl http://127.0.0.77/",
		Image:   event.File{Name: "curl", Path: "/usr/bin/curl", SHA1: strings.Repeat("a", 40), SHA256: strings.Repeat("b", 64), MD5: strings.Repeat("c", 32)},
		Account: event.Account{Name: "alice", Domain: "host", SID: "1000"},
		Parent:  event.Parent{PID: 1, FileName: "bash", Start: start.Add(-time.Hour)},
	}
}

func connect(action, ip, url string, by *event.Process, at time.Time) *event.Event {
	return &event.Event{
		Table: event.NetworkEvents, Action: action, Time: at, Initiating: by,
		Network: &event.Network{RemoteIP: ip, RemotePort: 80, RemoteURL: url, Protocol: "Tcp"},
	}
}

func TestAlertCarriesTheDefinitionAndTheProcess(t *testing.T) {
	r := newRig(t)
	r.ioc(7, indicator.IPAddress, indicator.Equals, "127.0.0.77")
	b := r.batch(connect("ConnectionAttempt", "127.0.0.77", "", curl(9), start))
	b.Offset = 48 * time.Hour
	at := start.Add(48 * time.Hour)
	got := r.match(b)
	want := []*alert.Alert{{
		Tenant: acme, Device: "d1", DeviceName: "host.test",
		Title: "Connection to a restricted address", Description: "what it means", Recommended: "isolate it",
		Category: "SuspiciousNetworkTraffic", Severity: alert.Medium, Status: alert.New,
		DetectionSource: "CustomerTI", DetectorID: DetectorID,
		Source:  alert.Source{Rule: "ioc", Indicator: "7", ReportID: 100},
		Created: start, Updated: start, FirstEvent: at, LastEvent: at,
		User: alert.User{Name: "alice", Domain: "host"},
		Evidence: []alert.Evidence{
			{Type: "Ip", IP: "127.0.0.77", Created: at, Detection: "Detected"},
			{
				Type: "Process", Created: at, Detection: "Detected",
				SHA1: strings.Repeat("a", 40), SHA256: strings.Repeat("b", 64), FileName: "curl", FilePath: "/usr/bin",
				ProcessID: 4711, CommandLine: "curl http://127.0.0.77/", ProcessCreated: start.Add(-time.Second),
				ParentID: 1, ParentCreated: start.Add(-time.Hour), ParentName: "bash",
				Account: "alice", Domain: "host", UserID: "1000",
			},
			{Type: "User", Created: at, Detection: "Detected", Account: "alice", Domain: "host", UserID: "1000"},
		},
	}}
	if len(got) == 1 {
		want[0].ID = got[0].ID
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhichAddressesAreMatched(t *testing.T) {
	r := newRig(t)
	for n, v := range []string{"127.0.0.0/8", "::/1", "0.0.0.0/1", "198.51.100.7"} {
		r.ioc(int64(n+1), indicator.IPAddress, indicator.Equals, v)
	}
	for n, c := range []struct{ ip, want string }{
		{"127.0.0.1", ""},
		{"::1", ""},
		{"0.0.0.0", ""},
		{"::", ""},
		{"127.0.0.77", "ioc/1 ioc/3"},
		{"::ffff:127.0.0.77", "ioc/1 ioc/3"},
		{"198.51.100.7", "ioc/4"},
		{"2001:db8::1", "ioc/2"},
		{"not an address", ""},
		{"", ""},
	} {
		got := map[string]bool{}
		for _, a := range r.match(r.batch(connect("ConnectionFailed", c.ip, "", curl(uint64(n+1)), start))) {
			got["ioc/"+a.Source.Indicator] = true
		}
		want := map[string]bool{}
		for _, w := range strings.Fields(c.want) {
			want[w] = true
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", c.ip, d)
		}
	}
}

func TestNamesAndURLs(t *testing.T) {
	r := newRig(t)
	r.ioc(1, indicator.Domain, indicator.Equals, "Evil.TEST.")
	r.ioc(2, indicator.Domain, indicator.Contains, "vil.t")
	r.ioc(3, indicator.Domain, indicator.Equals, "bücher.test")
	r.indicator(1, indicator.Domain, indicator.Block, "bad.test")
	r.indicator(2, indicator.Domain, indicator.Allowed, "fine.bad.test")
	r.indicator(3, indicator.URL, indicator.Block, "http://www.url.test/a/")
	r.indicator(4, indicator.URL, indicator.Allowed, "https://www.url.test/a/b")
	r.indicator(5, indicator.URL, indicator.Block, "www.url.test:8443")
	dns := func(name string) *event.Event {
		return &event.Event{Table: event.DeviceEvents, Action: "DnsQueryResponse", Time: start, Additional: fmt.Sprintf(`{"DnsQueryType":"A", "DnsQueryString" : %q}`, name)}
	}
	url := func(u string) *event.Event { return connect("ConnectionSuccess", "", u, nil, start) }
	for n, c := range []struct {
		name string
		e    *event.Event
		want string
	}{
		{"a name in full", dns("evil.test"), "ioc/1 ioc/2"},
		{"case and trailing dot", dns("EVIL.test."), "ioc/1 ioc/2"},
		{"an IOC does not mean subdomains", dns("www.evil.test"), "ioc/2"},
		{"part of a name", dns("devil.tester"), "ioc/2"},
		{"punycode", dns("xn--bcher-kva.test"), "ioc/3"},
		{"another name", dns("example.test"), ""},
		{"escapes in JSON", &event.Event{Action: "DnsQueryResponse", Time: start, Additional: `{"DnsQueryString":"evi\u006c.test"}`}, "ioc/1 ioc/2"},
		{"another action", &event.Event{Action: "DnsQuery", Time: start, Additional: `{"DnsQueryString":"evil.test"}`}, ""},
		{"the name as a value", &event.Event{Action: "DnsQueryResponse", Time: start, Additional: `{"a":"DnsQueryString","DnsQueryString":"evil.test"}`}, "ioc/1 ioc/2"},
		{"no string", &event.Event{Action: "DnsQueryResponse", Time: start, Additional: `{"DnsQueryString":7}`}, ""},
		{"broken JSON", &event.Event{Action: "DnsQueryResponse", Time: start, Additional: `{"DnsQueryString":"evil.te`}, ""},
		{"an indicator means subdomains", dns("a.b.bad.test"), "indicator/1"},
		{"the nearest indicator decides", dns("x.fine.bad.test"), ""},
		{"a name that only ends alike", dns("notbad.test"), ""},
		{"a connection's name", url("www.bad.test"), "indicator/1"},
		{"a URL's host", url("https://user@www.bad.test:444/x?y#z"), "indicator/1"},
		{"a URL below the path", url("https://www.url.test/a/c.exe?q=1"), "indicator/3"},
		{"the longer path decides", url("https://www.url.test/a/b/c"), ""},
		{"another path", url("https://www.url.test/ab"), ""},
		{"a host with its port", url("www.url.test:8443"), "indicator/5"},
		{"a host without its port", url("www.url.test"), ""},
	} {
		c.e.Initiating = &event.Process{Key: uint64(n + 1)}
		if got := sources(r.match(r.batch(c.e))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFileIndicatorsByStrongestHash(t *testing.T) {
	r := newRig(t)
	p := curl(1)
	r.indicator(1, indicator.FileSHA1, indicator.BlockAndRemediate, p.Image.SHA1)
	created := func(key uint64) *event.Event {
		p := curl(key)
		return &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: start, Process: p, Initiating: &event.Process{Key: 1000, Image: event.File{Name: "bash"}}}
	}
	as := r.match(r.batch(created(1)))
	if got := sources(as); got != "indicator/1" {
		t.Fatalf("hash of a started image: %q", got)
	}
	if as[0].Evidence[1].CommandLine != p.CommandLine {
		t.Errorf("the evidence is not the started process: %+v", as[0].Evidence)
	}
	if got := sources(r.match(r.batch(connect("ConnectionSuccess", "192.0.2.1", "", curl(1), start)))); got != "" {
		t.Errorf("the same process again: %q", got)
	}
	r.indicator(2, indicator.FileSHA256, indicator.Allowed, p.Image.SHA256)
	if got := sources(r.match(r.batch(created(2)))); got != "" {
		t.Errorf("SHA-256 allowed, SHA-1 blocked: %q", got)
	}
}

func TestScopedIndicatorNeedsTheDevicesGroup(t *testing.T) {
	r := newRig(t)
	i := r.indicator(1, indicator.IPAddress, indicator.Block, "192.0.2.1")
	i.Groups, i.GroupIDs = []string{"Servers"}, []string{"7"}
	r.apply(indicator.Change{Noun: indicator.AnIndicator, ID: 1, Indicator: i})
	if got := sources(r.match(r.batch(connect("ConnectionSuccess", "192.0.2.1", "", curl(1), start)))); got != "" {
		t.Errorf("device without group: %q", got)
	}
	r.m.groups = inGroup("8")
	if got := sources(r.match(r.batch(connect("ConnectionSuccess", "192.0.2.1", "", curl(3), start)))); got != "" {
		t.Errorf("device in another group: %q", got)
	}
	r.m.groups = inGroup("7")
	if got := sources(r.match(r.batch(connect("ConnectionSuccess", "192.0.2.1", "", curl(2), start)))); got != "indicator/1" {
		t.Errorf("device in the group: %q", got)
	}
}

type inGroup string

func (g inGroup) DeviceGroup(context.Context, ident.TenantID, ident.DeviceID) (string, error) {
	return string(g), nil
}

func TestOneAlertForOneProcessAndWindow(t *testing.T) {
	r := newRig(t)
	r.ioc(1, indicator.IPAddress, indicator.Equals, "192.0.2.1")
	attempt := r.batch(
		connect("ConnectionAttempt", "192.0.2.1", "", curl(1), start),
		connect("ConnectionFailed", "192.0.2.1", "", curl(1), start.Add(time.Millisecond)),
	)
	first := r.match(attempt)
	if len(first) != 1 {
		t.Fatalf("attempt and outcome in one batch: %d alerts", len(first))
	}
	outcome := r.batch(connect("ConnectionFailed", "192.0.2.1", "", curl(1), start.Add(2*time.Second)))
	if got := r.match(outcome); len(got) != 0 {
		t.Errorf("the outcome in a later batch: %s", sources(got))
	}
	if got := r.match(attempt); len(got) != 1 || got[0].ID != first[0].ID {
		t.Errorf("the first batch sent again must raise the same alert: %v", got)
	}
	if got := r.match(r.batch(connect("ConnectionAttempt", "192.0.2.1", "", curl(2), start))); len(got) != 1 || got[0].ID == first[0].ID {
		t.Errorf("another process must raise another alert: %v", got)
	}
	late := r.batch(connect("ConnectionAttempt", "192.0.2.1", "", curl(1), start.Add(DefaultWindow+time.Second)))
	if got := r.match(late); len(got) != 1 || got[0].ID == first[0].ID {
		t.Errorf("the same process a window later must raise another alert: %v", got)
	}
	other := r.batch(connect("ConnectionAttempt", "192.0.2.1", "", curl(1), start))
	other.Device = "d2"
	if got := r.match(other); len(got) != 1 || got[0].ID == first[0].ID {
		t.Errorf("another device must raise another alert: %v", got)
	}

	// A server that started again remembers nothing: the id alone keeps it one alert.
	again := newRig(t)
	again.ioc(1, indicator.IPAddress, indicator.Equals, "192.0.2.1")
	if got := again.match(outcome); len(got) != 1 || got[0].ID != first[0].ID {
		t.Errorf("the outcome alone after a restart must have the first alert's id: %v", got)
	}
}

func TestFailingLookupFailsTheBatch(t *testing.T) {
	r := newRig(t)
	r.indicator(1, indicator.IPAddress, indicator.Block, "192.0.2.1")
	r.m.indicators = failing{}
	b := r.batch(connect("ConnectionAttempt", "192.0.2.1", "", curl(1), start))
	if _, err := r.m.Match(t.Context(), b); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("error %v, want unavailable", err)
	}
	r.m.indicators = r.ref
	if got := sources(r.match(b)); got != "indicator/1" {
		t.Errorf("the batch sent again: %q", got)
	}
}

type failing struct{}

func (failing) Indicator(context.Context, ident.TenantID, ident.IndicatorID) (*indicator.Indicator, error) {
	return nil, errs.New("test", errs.Unavailable, errs.ServiceDegraded, "no store")
}

func TestTenantsAreApart(t *testing.T) {
	r := newRig(t)
	r.ioc(1, indicator.IPAddress, indicator.Equals, "192.0.2.1")
	b := r.batch(connect("ConnectionAttempt", "192.0.2.1", "", curl(1), start))
	b.Tenant = "2d2e7a1c-77e5-4a8b-a9ba-3c9c2f3f9c11"
	if got := r.match(b); len(got) != 0 {
		t.Errorf("another tenant's indicator hit: %s", sources(got))
	}
}

func TestManyHitsOfOneEventAreBoundedAndCounted(t *testing.T) {
	r := newRig(t)
	for n := range maxHits + 5 {
		r.ioc(int64(n+1), indicator.IPAddress, indicator.Equals, "192.0.2.1")
	}
	if got := r.match(r.batch(connect("ConnectionAttempt", "192.0.2.1", "", curl(1), start))); len(got) != maxHits {
		t.Errorf("%d alerts, want %d", len(got), maxHits)
	}
	if got := r.m.Stats().Capped; got != 5 {
		t.Errorf("%d counted as capped, want 5", got)
	}
}

// TestResetReplacesEverythingAtOnce feeds a Reset in two pages: until the second one is
// in, the old rows must go on matching.
func TestResetReplacesEverythingAtOnce(t *testing.T) {
	r := newRig(t)
	r.ioc(1, indicator.IPAddress, indicator.Equals, "192.0.2.1")
	page := func(p *indicator.Page) {
		t.Helper()
		if err := r.m.Apply(t.Context(), acme, p); err != nil {
			t.Fatal(err)
		}
	}
	hits := func(key uint64) string {
		return sources(r.match(r.batch(connect("a", "192.0.2.1", "", curl(key), start), connect("a", "192.0.2.2", "", curl(key), start))))
	}
	page(&indicator.Page{Reset: true, More: true, Changes: []indicator.Change{{Noun: indicator.ADefinition, ID: 1, Definition: r.ref.definitions[1]}}})
	if got := hits(1); got != "ioc/1" {
		t.Errorf("in the middle of a reset: %q", got)
	}
	page(&indicator.Page{Changes: []indicator.Change{{Noun: indicator.AnIOC, ID: 2, IOC: &indicator.IOC{
		ID: 2, Definition: 1, Type: indicator.IPAddress, Function: indicator.Equals, Value: "192.0.2.2", Enabled: true,
	}}}})
	if got := hits(2); got != "ioc/2" {
		t.Errorf("after a reset: %q", got)
	}
}

// TestVisibleWhileMerging inserts rows, each of which must be hit as soon as Apply has
// returned, while merges run and others match.
func TestVisibleWhileMerging(t *testing.T) {
	r, _ := counted(t)
	var done sync.WaitGroup
	stop := make(chan struct{})
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			r.m.Reclaim()
			r.m.Stats()
			if err := r.m.Flush(context.Background()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	done.Go(func() {
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			b := &telemetry.Batch{Tenant: acme, Device: "reader", Sequence: n, Events: []*event.Event{connect("a", "10.0.0.1", "x.test", curl(n), start)}}
			if _, err := r.m.Match(context.Background(), b); err != nil {
				t.Error(err)
				return
			}
		}
	})
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.m.startMerge(r.m.live(acme), true)
			}
		}
	})
	for n := range 3000 {
		ip := fmt.Sprintf("10.1.%d.%d", n/250, n%250)
		r.ioc(int64(n+1), indicator.IPAddress, indicator.Equals, ip)
		if n%3 == 0 {
			r.apply(indicator.Change{Noun: indicator.AnIOC, ID: int64(n + 1)})
		}
		want := 1
		if n%3 == 0 {
			want = 0
		}
		if got := r.match(r.batch(connect("a", ip, "", curl(uint64(n)), start))); len(got) != want {
			t.Fatalf("row %d: %d alerts, want %d", n, len(got), want)
		}
	}
	close(stop)
	done.Wait()
	r.m.Close()
	for n := range 3000 {
		want := 1
		if n%3 == 0 {
			want = 0
		}
		ip := fmt.Sprintf("10.1.%d.%d", n/250, n%250)
		if got := r.match(r.batch(connect("a", ip, "", curl(uint64(n+5000)), start))); len(got) != want {
			t.Fatalf("row %d after the merges: %d alerts, want %d", n, len(got), want)
		}
	}
	if r.m.Stats().Merges == 0 {
		t.Error("no merge ran")
	}
}
