package mde_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

func TestCoverageCountsWhatDevicesAcknowledged(t *testing.T) {
	s := newSite(t, 0)
	const target = "/api/vedette/indicators/coverage"
	want := func(as, json string) {
		t.Helper()
		w := s.call(as, http.MethodGet, target, "")
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if err := subset("answer", decode(t, []byte(json)), decode(t, w.Body.Bytes())); err != nil {
			t.Error(err)
		}
	}
	says := func(label string, revision uint64, facilities ...device.Facility) {
		t.Helper()
		_, err := s.devices.Heartbeat(context.Background(), s.tenants[0], ident.DeviceID(s.vars[label]),
			device.Report{AgentVersion: "1", Protocol: 1, Indicators: revision, Facilities: facilities})
		check(t, err)
	}
	says("server", 1)
	body := `{"indicatorValue":"203.0.113.9","indicatorType":"IpAddress","action":"Block","title":"t","description":"d"}`
	if w := s.call("all", http.MethodPost, "/api/indicators", body); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want("all", `{"revision":1,"devices":3,"upToDate":1,"enforcingByType":{"IpAddress":0,"DomainName":0,"Url":0,"FileSha1":0,"FileSha256":0,"FileMd5":0}}`)
	says("web", 1, device.Facility{Name: "enforce:address", State: "working"}, device.Facility{Name: "enforce:file", State: "missing", Detail: "later"})
	want("all", `{"revision":1,"upToDate":2,"enforcingByType":{"IpAddress":1,"FileSha256":0},"outdated":[{"machineId":"`+s.vars["db"]+`","revision":0}],"outdatedTruncated":false}`)
	says("db", 1) // it has the revision, and nothing to enforce it with
	want("own", `{"upToDate":3,"enforcingByType":{"IpAddress":1},"outdated":[]}`)
	want("other", `{"revision":0}`)
	if w := s.call("machines", http.MethodGet, target, ""); w.Code != http.StatusForbidden {
		t.Errorf("without the permission: %d", w.Code)
	}
	s.later(8 * 24 * time.Hour)
	want("all", `{"devices":0,"upToDate":0}`)
}
