package mde_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/vedette-edr/vedette/server/ident"
)

// reference is a body that is right.
func (s *site) reference() map[string]any {
	return map[string]any{
		"machineId": s.vars["web"], "severity": "Low", "title": "example", "description": "example alert", "recommendedAction": "nothing",
		"eventTime": "2024-06-01T11:50:00.7115183Z", "reportId": "20776", "category": "Exploit",
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	check(t, err)
	return string(raw)
}

// TestEveryMemberOfAReferenceIsRequired leaves out each member in turn, and sends it as
// null, blank, in another case and of another type.
func TestEveryMemberOfAReferenceIsRequired(t *testing.T) {
	s := newSite(t, 0)
	const route = "/api/alerts/CreateAlertByReference"
	for name := range s.reference() {
		for how, spoil := range map[string]func(map[string]any){
			"absent":        func(m map[string]any) { delete(m, name) },
			"null":          func(m map[string]any) { m[name] = nil },
			"blank":         func(m map[string]any) { m[name] = " " },
			"in upper case": func(m map[string]any) { m[strings.ToUpper(name)] = m[name]; delete(m, name) },
		} {
			m := s.reference()
			spoil(m)
			w := s.call("all", "POST", route, text(t, m))
			want := `"code":"MissingRequiredParameter","message":"Required parameter ` + name + ` is missing"`
			if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s %s: %d %s", name, how, w.Code, w.Body)
			}
		}
		m := s.reference()
		m[name] = map[string]any{}
		if w := s.call("all", "POST", route, text(t, m)); w.Code != 400 || !strings.Contains(w.Body.String(), `"code":"InvalidRequestBody"`) {
			t.Errorf("%s as an object: %d %s", name, w.Code, w.Body)
		}
	}
	for name, size := range map[string]int{"title": 1001, "description": 10_001, "recommendedAction": 10_001} {
		m := s.reference()
		m[name] = strings.Repeat("ü", size)
		if w := s.call("all", "POST", route, text(t, m)); w.Code != 400 || !strings.Contains(w.Body.String(), name) {
			t.Errorf("%s of %d characters: %d %s", name, size, w.Code, w.Body)
		}
	}
	if w := s.call("all", "GET", "/api/alerts/$count", ""); w.Body.String() != "3" {
		t.Errorf("%s alerts after requests that were all refused", w.Body)
	}
}

// TestOneAlertForMany reports events at once and expects one alert that tells of all.
func TestOneAlertForMany(t *testing.T) {
	s := newSite(t, 0)
	var wait sync.WaitGroup
	ids := make([]string, 12)
	for i := range ids {
		wait.Go(func() {
			m := s.reference()
			if i%2 == 1 {
				m["eventTime"], m["reportId"] = "2024-06-01T11:50:01.7115183Z", "20777"
			}
			w := s.call("writer", "POST", "/api/alerts/CreateAlertByReference", text(t, m))
			var a struct{ ID string }
			if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			ids[i] = a.ID
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two alerts: %v", ids)
		}
	}
	a, err := s.alerts.Get(t.Context(), s.tenants[0], ident.AlertID(ids[0]))
	check(t, err)
	if got := a.LastEvent.Sub(a.FirstEvent).Seconds(); got != 1 || len(a.Evidence) != 8 {
		t.Errorf("events over %v s, %d pieces of evidence", got, len(a.Evidence))
	}
	if a.Investigation != 1 || a.InvestigationState != "Queued" {
		t.Errorf("the alert has the investigation %d, %q, want its own", a.Investigation, a.InvestigationState)
	}
	verbs := map[string]int{}
	rs, err := s.log.Records(t.Context(), s.tenants[0], 0, 1000)
	check(t, err)
	for _, r := range rs {
		verbs[fmt.Sprint(r.Actor.Kind, " ", r.Verb)]++
	}
	if verbs["app alert.create"] != 1 || verbs["app alert.merge"] != len(ids)-1 || verbs["system hunt.run"] != len(ids) || verbs["app investigation.start"] != 1 {
		t.Errorf("audit: %v", verbs)
	}
}

// TestNothingIsAvailableOnOtherPlatforms asks about a machine whose agent has no responder.
func TestNothingIsAvailableOnOtherPlatforms(t *testing.T) {
	s := newSite(t, 0)
	s.platform = "Windows11"
	s.enrol("windows", 0, "windows.example", "192.0.2.12", now)
	w := s.call("all", "GET", "/api/machines/windows/availableMachineActions", "")
	if body := w.Body.String(); w.Code != 200 || strings.Contains(body, `"isAvailable":true`) || !strings.Contains(body, "The agent for Windows11 does not carry out Isolate") {
		t.Errorf("%d %s", w.Code, body)
	}
}
