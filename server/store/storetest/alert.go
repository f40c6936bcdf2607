package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

func newAlert(tenant ident.TenantID, n int) *alert.Alert {
	at := base.Add(time.Duration(n) * time.Second)
	return &alert.Alert{
		ID: ident.AlertID(fmt.Sprintf("da%018d_-%d", n, n)), Tenant: tenant, Device: device(n % 3), DeviceName: "host.example",
		Title: "Contact with Ünknown", Severity: alert.High, Status: alert.New, Category: "Malware", DetectionSource: "CustomerTI",
		Source: alert.Source{Rule: "ioc", Indicator: "7", ReportID: 9}, Techniques: []string{"T1071"},
		Created: at, FirstEvent: at.Add(-time.Minute), LastEvent: at, Updated: at, User: alert.User{Name: "eve", Domain: "host"},
		Evidence: []alert.Evidence{{Type: "Process", FileName: "curl", ProcessID: 42, CommandLine: "curl \x01 \"x\" <&>"}},
	}
}

// Alerts tests an alert.Store. open returns an empty one.
func Alerts(t *testing.T, open func(testing.TB) alert.Store) {
	t.Run("create once", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a, b := newAlert(tenantA, 1), newAlert(tenantA, 2)
		made, err := s.CreateAlerts(ctx, []*alert.Alert{a, a, b})
		check(t, err)
		wantEqual(t, "created", made, []*alert.Alert{a, b})
		again := newAlert(tenantA, 1)
		again.Title = "another"
		made, err = s.CreateAlerts(ctx, []*alert.Alert{again})
		check(t, err)
		if len(made) != 0 {
			t.Errorf("created again: %v", made)
		}
		got, err := s.Alert(ctx, tenantA, a.ID)
		check(t, err)
		wantEqual(t, "kept", got, a)
		errs := together(20, func(i int) error {
			_, err := s.CreateAlerts(ctx, []*alert.Alert{newAlert(tenantA, 100+i%4)})
			return err
		})
		for _, err := range errs {
			check(t, err)
		}
		page, err := s.Alerts(ctx, tenantA, filter.Query{Count: true})
		check(t, err)
		if page.Total != 6 {
			t.Errorf("%d alerts, want 6", page.Total)
		}
	})
	t.Run("tenants", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a := newAlert(tenantA, 1)
		_, err := s.CreateAlerts(ctx, []*alert.Alert{a, newAlert(tenantB, 2)})
		check(t, err)
		_, err = s.Alert(ctx, tenantB, a.ID)
		wantKind(t, "read across tenants", err, errs.NotFound)
		_, err = s.UpdateAlert(ctx, tenantB, a.ID, func(*alert.Alert) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		page, err := s.Alerts(ctx, tenantB, filter.Query{Where: filter.Or{filter.And{}}})
		check(t, err)
		if len(page.Items) != 1 || page.Items[0].Tenant != tenantB {
			t.Errorf("list of B: %v", page.Items)
		}
	})
	t.Run("update", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a := newAlert(tenantA, 1)
		_, err := s.CreateAlerts(ctx, []*alert.Alert{a})
		check(t, err)
		_, err = s.UpdateAlert(ctx, tenantA, a.ID, func(x *alert.Alert) error { x.Title = "half"; return errChange })
		wantOwn(t, err)
		for _, err := range together(25, func(i int) error {
			_, err := s.UpdateAlert(ctx, tenantA, a.ID, func(x *alert.Alert) error {
				x.Comments = append(x.Comments, alert.Comment{Text: fmt.Sprint(i), Created: base})
				return nil
			})
			return err
		}) {
			check(t, err)
		}
		got, err := s.Alert(ctx, tenantA, a.ID)
		check(t, err)
		if len(got.Comments) != 25 || got.Title != a.Title {
			t.Errorf("%d comments, title %q", len(got.Comments), got.Title)
		}
	})
	t.Run("filter", func(t *testing.T) { filterAlerts(t, open(t)) })
}

func alertValue(a *alert.Alert, field string) any {
	switch field {
	case "id":
		return string(a.ID)
	case "incidentId":
		return zeroIsNull(int64(a.Incident))
	case "investigationId":
		return zeroIsNull(a.Investigation)
	case "classification":
		return a.Classification
	case "determination":
		return a.Determination
	case "suppressed":
		return a.Suppression != 0
	case "assignedTo":
		return a.AssignedTo
	case "severity":
		return string(a.Severity)
	case "status":
		return string(a.Status)
	case "category":
		return a.Category
	case "detectionSource":
		return a.DetectionSource
	case "machineId":
		return string(a.Device)
	case "title":
		return a.Title
	case "alertCreationTime":
		return a.Created
	case "firstEventTime":
		return a.FirstEvent
	case "lastEventTime":
		return a.LastEvent
	case "lastUpdateTime":
		return a.Updated
	}
	panic(field)
}

func filterAlerts(t *testing.T, s alert.Store) {
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := ident.TenantID(guid(round))
		var rows []*alert.Alert
		for n := range rapid.IntRange(1, 12).Draw(r, "rows") {
			rows = append(rows, &alert.Alert{
				ID: ident.AlertID(fmt.Sprintf("da%d_1", n)), Tenant: tenant, Title: drawText(r), AssignedTo: drawText(r), Category: drawText(r),
				Severity: alert.Severity(drawText(r)), Incident: ident.IncidentID(drawInt(r)), Created: drawSet(r), Updated: drawSet(r), FirstEvent: drawTime(r), LastEvent: drawTime(r), Device: device(n % 2),
				Investigation: drawInt(r), Classification: drawText(r), Determination: drawText(r), Suppression: ident.SuppressionID(rapid.IntRange(0, 1).Draw(r, "suppressed")),
			})
		}
		_, err := s.CreateAlerts(t.Context(), rows)
		check(t, err)
		for range 5 {
			q := drawQuery(r, alert.Fields)
			page, err := s.Alerts(t.Context(), tenant, q)
			if err != nil {
				t.Fatalf("%s: %v", show(q), err)
			}
			compare(r, q, page, rows, alertValue, func(a *alert.Alert) string { return string(a.ID) })
			walk(r, q, func(q filter.Query) (filter.Page[*alert.Alert], error) { return s.Alerts(t.Context(), tenant, q) },
				func(a *alert.Alert) string { return string(a.ID) })
		}
		all, err := s.Alerts(t.Context(), tenant, filter.Query{})
		check(t, err)
		if !slices.IsSortedFunc(all.Items, func(a, b *alert.Alert) int { return b.Created.Compare(a.Created) }) {
			r.Fatalf("not newest first")
		}
	})
}
