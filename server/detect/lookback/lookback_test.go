package lookback_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect/lookback"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

type shown struct{}

func (shown) Apply(context.Context, ident.TenantID, *indicator.Page) error { return nil }

// kept is the alerts that were raised, by id.
type kept struct {
	alerts map[ident.AlertID]*alert.Alert
	fail   error
}

func (k *kept) Raise(_ context.Context, list []*alert.Alert) ([]*alert.Alert, error) {
	if k.fail != nil {
		return nil, k.fail
	}
	for _, a := range list {
		k.alerts[a.ID] = a
	}
	return list, nil
}

func (k *kept) text() string {
	var out []string
	for _, a := range k.alerts {
		out = append(out, fmt.Sprintf("%s %s %s", a.Title, a.DeviceName, a.FirstEvent.Format("02 15:04")))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

type inGroup map[ident.DeviceID]string

func (g inGroup) DeviceGroup(_ context.Context, _ ident.TenantID, id ident.DeviceID) (string, error) {
	return g[id], nil
}

func TestPastSightingsRaiseOneAlertForEachDevice(t *testing.T) {
	clock := func() time.Time { return noon }
	rows := &hunttest.Memory{}
	connection := func(device int, ago time.Duration, ip, host string) {
		rows.Add(tenant, event.Origin{DeviceID: fmt.Sprintf("%040x", device), DeviceName: fmt.Sprint("host-", device), ReportID: int64(ago)},
			&event.Event{Table: event.NetworkEvents, Action: "ConnectionSuccess", Time: noon.Add(-ago), Network: &event.Network{RemoteIP: ip, RemoteURL: host},
				Initiating: &event.Process{Key: 1, PID: 9, Image: event.File{Name: "curl"}, Account: event.Account{Name: "alice"}}})
	}
	const day = 24 * time.Hour
	connection(1, 3*day, "203.0.113.9", "")
	connection(1, 2*day, "203.0.113.9", "")
	connection(2, day, "203.0.113.200", "a.evil.example")
	connection(3, 40*day, "203.0.113.9", "")
	connection(4, -time.Minute, "203.0.113.9", "") // after it was asked for
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	th := db.Threats()
	service := indicator.New(indicator.Config{Definitions: th, IOCs: th, Indicators: th, Tallies: th, Expiry: th, Feed: th, Sink: shown{}, Now: clock})
	ctx := access.WithPrincipal(t.Context(), &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "a", Tenant: tenant},
		Roles: []string{string(access.TIReadWrite)}, Scope: access.Everything})
	put := func(kind indicator.Type, value, title string, change func(*indicator.Indicator)) {
		t.Helper()
		i := &indicator.Indicator{Type: kind, Value: value, Action: indicator.Audit, GenerateAlert: true, Historical: true, Title: title, Description: "d"}
		if change != nil {
			change(i)
		}
		if _, err := service.Put(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	put(indicator.IPAddress, "203.0.113.9", "address", nil)
	put(indicator.IPAddress, "203.0.113.0/24", "range", nil)
	put(indicator.Domain, "evil.example", "domain", nil)
	put(indicator.Domain, "a.evil.example", "not asked for", func(i *indicator.Indicator) { i.Historical = false })
	put(indicator.URL, "a.evil.example", "allowed", func(i *indicator.Indicator) { i.Action = indicator.Allowed })
	put(indicator.IPAddress, "203.0.113.200", "scoped", func(i *indicator.Indicator) { i.Groups, i.GroupIDs = []string{"x"}, []string{"7"} })
	put(indicator.Certificate, strings.Repeat("0", 40), "nowhere", nil)

	alerts := &kept{alerts: map[ident.AlertID]*alert.Alert{}, fail: errors.New("full")}
	var failed []string
	r := lookback.New(lookback.Config{Store: th, Hunter: hunt.New(hunt.Config{Store: rows, Clock: clock}), Alerts: alerts, Clock: clock,
		Groups: inGroup{ident.DeviceID(fmt.Sprintf("%040x", 2)): "8"},
		Failed: func(l indicator.Lookback, _ error) { failed = append(failed, l.Indicator.Title) }})
	if _, err := r.Work(t.Context()); err == nil {
		t.Error("alerts that cannot be kept are no error")
	}
	alerts.fail = nil
	for range 2 { // the second finds nothing to do
		if _, err := r.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := "address host-1 18 12:00; domain host-2 20 12:00; range host-1 18 12:00; range host-2 20 12:00"
	if got := alerts.text(); got != want {
		t.Errorf("raised %s\nwant   %s", got, want)
	}
	if got := strings.Join(failed, " "); got != "address nowhere" {
		t.Errorf("failed: %s", got)
	}
	for _, a := range alerts.alerts {
		if a.Title == "address" && (!strings.Contains(a.Description, "2 events") || !a.LastEvent.Equal(noon.Add(-2*day)) || len(a.Evidence) == 0) {
			t.Errorf("%+v", a)
		}
	}
	if done, err := r.Work(t.Context()); done || err != nil {
		t.Errorf("something is left to do: %v", err)
	}
	// The same indicator again asks for nothing; a new value does.
	put(indicator.IPAddress, "203.0.113.9", "address", nil)
	if done, err := r.Work(t.Context()); done || err != nil {
		t.Errorf("an update asks again: %v", err)
	}
}
