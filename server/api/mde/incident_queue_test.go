package mde_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// TestTheQueueCountsWhatThePublishedListLists compares the queue of incidents with the
// published list of the same, alert by alert, and its size with that of the incident.
func TestTheQueueCountsWhatThePublishedListLists(t *testing.T) {
	s := newSite(t, 0)
	for n := range 60 {
		label := fmt.Sprint("crowd", n/2)
		if n%2 == 0 {
			s.enrol(label, 0, label+".example", fmt.Sprint("192.0.2.", 20+n), now)
		}
		status := alert.New
		if n%3 == 0 {
			status = alert.Resolved
		}
		_, err := s.alerts.Raise(context.Background(), []*alert.Alert{{
			ID: ident.AlertID(fmt.Sprintf("da%018d_9", n)), Tenant: s.tenants[0], Device: ident.DeviceID(s.vars[label]), DeviceName: label + ".example", Title: "Alert",
			Category: []string{"Malware", "Discovery", ""}[n%3], Severity: alert.High, Status: status, Created: now, FirstEvent: now, LastEvent: now,
			Evidence: []alert.Evidence{{Type: "Ip", Created: now, IP: "203.0.113.99"}, {Type: "User", Created: now, Account: fmt.Sprint("user", n/4), Domain: "corp"}},
		}})
		check(t, err)
	}
	type thing struct {
		IncidentID     int64
		IncidentName   string
		Status         string
		LastUpdateTime string
		Tags           []string
		Alerts         []struct {
			Status   string
			Category *string
			Devices  []struct{ MDATPDeviceID string }
			Entities []struct{ EntityType, AccountName, DomainName string }
		}
		AlertCount, OpenAlertCount, DeviceCount, UserCount int
		Categories, Users                                  []string
		Devices                                            []struct{ MDATPDeviceID, DeviceDNSName string }
	}
	list := func(path string) (out []thing, size int) {
		t.Helper()
		w := s.call("all", http.MethodGet, path, "")
		var v struct{ Value []thing }
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %v %s", path, w.Code, err, w.Body)
		}
		return v.Value, w.Body.Len()
	}
	const query = "?$filter=status+ne+%27Redirected%27&$orderby=lastUpdateTime+desc&$count=true"
	published, _ := list("/api/incidents" + query)
	queue, size := list("/api/vedette/incidents" + query)
	if len(queue) == 0 || len(queue) != len(published) {
		t.Fatalf("%d incidents in the queue, %d published", len(queue), len(published))
	}
	many := 0
	for n, q := range queue {
		p := published[n]
		if q.IncidentID != p.IncidentID || q.IncidentName != p.IncidentName || q.Status != p.Status || q.LastUpdateTime != p.LastUpdateTime {
			t.Errorf("incident %+v, published %+v", q, p)
		}
		open, devices, users, categories := 0, map[string]int{}, map[string]int{}, map[string]int{}
		for _, a := range p.Alerts {
			if a.Status != "Resolved" {
				open++
			}
			if a.Category != nil {
				categories[*a.Category]++
			}
			for _, d := range a.Devices {
				devices[d.MDATPDeviceID]++
			}
			for _, e := range a.Entities {
				if e.EntityType == "User" {
					users[e.DomainName+`\`+e.AccountName]++
				}
			}
		}
		if q.AlertCount != len(p.Alerts) || q.OpenAlertCount != open || q.DeviceCount != len(devices) || q.UserCount != len(users) || len(q.Categories) != len(categories) {
			t.Errorf("incident %d: %+v of %d alerts, %d open, %d devices, %d users", q.IncidentID, q, len(p.Alerts), open, len(devices), len(users))
		}
		if len(q.Devices) != min(5, len(devices)) || len(q.Users) != min(5, len(users)) {
			t.Errorf("incident %d names %d devices and %d users", q.IncidentID, len(q.Devices), len(q.Users))
		}
		for _, d := range q.Devices {
			if devices[d.MDATPDeviceID] == 0 || d.DeviceDNSName == "" {
				t.Errorf("incident %d names the device %+v", q.IncidentID, d)
			}
		}
		for _, u := range q.Users {
			if users[u] == 0 {
				t.Errorf("incident %d names the user %s", q.IncidentID, u)
			}
		}
		many = max(many, q.DeviceCount)
	}
	if many < 30 || size > 2000*len(queue) {
		t.Errorf("the largest incident has %d devices; the queue of %d has %d bytes", many, len(queue), size)
	}
	if w := s.call("all", http.MethodGet, "/api/vedette/incidents?$select=incidentId,nope", ""); w.Code != http.StatusBadRequest {
		t.Errorf("a property that there is not: %d", w.Code)
	}
}
