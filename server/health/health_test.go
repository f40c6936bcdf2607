package health

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReadyIsTheWorstOfTheParts(t *testing.T) {
	states := map[string]State{"a": Working, "b": Working}
	r := New(time.Now())
	for _, p := range []string{"a", "b"} {
		r.Add(p, func(context.Context) Report { return Report{State: states[p], Detail: p + " says so"} })
	}
	for _, c := range []struct {
		a, b, want State
		status     int
	}{
		{Working, Working, Working, 200},
		{Working, Degraded, Degraded, 200},
		{Degraded, Working, Degraded, 200},
		{Failed, Degraded, Failed, 503},
		{Degraded, Failed, Failed, 503},
	} {
		states["a"], states["b"] = c.a, c.b
		w := httptest.NewRecorder()
		r.Ready(w, httptest.NewRequest("GET", "/readyz", nil), true)
		var s Summary
		if err := json.NewDecoder(w.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		if s.Status != c.want || w.Code != c.status || len(s.Parts) != 2 || s.Parts[1].Part != "b" {
			t.Errorf("%s and %s: status %s, HTTP %d, parts %+v", c.a, c.b, s.Status, w.Code, s.Parts)
		}
	}
}

func TestStrangersGetNoDetail(t *testing.T) {
	r := New(time.Now())
	r.Add("disk", func(context.Context) Report { return Report{State: Degraded, Detail: "/srv/data is full"} })
	for trusted, want := range map[bool]bool{true: true, false: false} {
		w := httptest.NewRecorder()
		r.Ready(w, httptest.NewRequest("GET", "/readyz", nil), trusted)
		if got := strings.Contains(w.Body.String(), "/srv"); got != want || !strings.Contains(w.Body.String(), "degraded") {
			t.Errorf("trusted %v: %s", trusted, w.Body)
		}
	}
}
