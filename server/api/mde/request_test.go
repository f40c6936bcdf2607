package mde_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// upload puts a file into the library as "all".
func (s *site) upload(name, content string) *httptest.ResponseRecorder {
	s.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	part, err := m.CreateFormFile("file", name)
	check(s.t, err)
	_, err = io.WriteString(part, content)
	check(s.t, err)
	check(s.t, m.Close())
	r := httptest.NewRequest(http.MethodPost, "/api/libraryfiles", &body)
	r.Header.Set("Content-Type", m.FormDataContentType())
	r.Header.Set("Authorization", "Bearer "+s.token["all"])
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// report has the device say what commands it carries out.
func (s *site) report(label string, commands map[string]string) {
	s.t.Helper()
	r := device.Report{AgentVersion: "1.0.0", Protocol: 1, ExternalIP: "198.51.100.1"}
	for c, state := range commands {
		r.Facilities = append(r.Facilities, device.Facility{Name: "respond:" + c, State: state})
	}
	_, err := s.devices.Heartbeat(s.t.Context(), s.tenants[0], ident.DeviceID(s.vars[label]), r)
	check(s.t, err)
}

// TestWhatADeviceCannotDoIsRefused asks a present device for what its agent lacks, and an
// absent one, which may come back with an agent that has it.
func TestWhatADeviceCannotDoIsRefused(t *testing.T) {
	s := newSite(t, 0)
	s.report("web", map[string]string{"isolate": "working", "unisolate": "missing"})
	for path, want := range map[string]string{"isolate": `"Pending"`, "unisolate": "ClientVersionNotSupported", "runAntiVirusScan": "ClientVersionNotSupported"} {
		w := s.call("all", "POST", "/api/machines/"+s.vars["web"]+"/"+path, `{"Comment":"c"}`)
		if !strings.Contains(w.Body.String(), want) || (w.Code == 201) != (path == "isolate") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := s.call("all", "GET", "/api/machines/"+s.vars["web"]+"/availableMachineActions", "")
	if n := strings.Count(w.Body.String(), `"isAvailable":true`); n != 1 {
		t.Errorf("%d actions are available: %s", n, w.Body)
	}
	s.later(time.Hour)
	s.report("db", map[string]string{"isolate": "working"})
	s.platform = "Windows11"
	s.enrol("windows", 0, "windows.example", "192.0.2.12", now)
	// The clock of actions stands still: the device's report lies in its future, and is new.
	if w := s.call("all", "POST", "/api/machines/"+s.vars["windows"]+"/isolate", `{"Comment":"c"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "OsPlatformNotSupported") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestAnAbsentDeviceKeepsItsActionsPending asks for what the agent lacked when it was seen.
func TestAnAbsentDeviceKeepsItsActionsPending(t *testing.T) {
	s := newSite(t, 0)
	s.passed = -time.Hour
	s.report("web", map[string]string{"isolate": "working"})
	if w := s.call("all", "POST", "/api/machines/"+s.vars["web"]+"/runAntiVirusScan", `{"Comment":"c"}`); w.Code != 201 || !strings.Contains(w.Body.String(), `"status":"Pending"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestResultsAreDownloadedByLinks follows a package from the device to who has its link.
func TestResultsAreDownloadedByLinks(t *testing.T) {
	s := newSite(t, 0)
	ctx := t.Context()
	w := s.call("all", "POST", "/api/machines/"+s.vars["web"]+"/collectInvestigationPackage", `{"Comment":"c"}`)
	var made struct{ ID string }
	check(t, json.Unmarshal(w.Body.Bytes(), &made))
	d, err := s.devices.Get(ctx, s.tenants[0], ident.DeviceID(s.vars["web"]))
	check(t, err)
	if _, err := s.dispatch.Pending(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	check(t, s.dispatch.Keep(ctx, d, ident.ActionID(made.ID), 0, "web.zip", strings.NewReader("the package")))
	uri := "/api/machineactions/" + made.ID + "/getPackageUri"
	if w := s.call("all", "GET", uri, ""); w.Code != 404 {
		t.Errorf("before the action ended: %d %s", w.Code, w.Body)
	}
	check(t, s.dispatch.Result(ctx, d, action.Result{ID: ident.ActionID(made.ID), State: "verified"}))
	w = s.call("machines", "GET", uri, "")
	var answer struct{ Value string }
	check(t, json.Unmarshal(w.Body.Bytes(), &answer))
	var link string
	check(t, json.Unmarshal([]byte(answer.Value), &link)) // a quoted string within the string
	path := strings.TrimPrefix(link, address)
	w = s.call("", "GET", path, "")
	if w.Code != 200 || w.Body.String() != "the package" || w.Header().Get("Content-Disposition") != `attachment; filename="web.zip"` {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, bad := range []string{path + "A", path[:len(path)-2], "/api/vedette/downloads/x", path[:30] + "AAAA" + path[34:]} {
		if w := s.call("all", "GET", bad, ""); w.Code != 404 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	if w := s.call("other", "GET", uri, ""); w.Code != 404 {
		t.Errorf("another tenant: %d", w.Code)
	}
	s.later(16 * time.Minute)
	if w := s.call("", "GET", path, ""); w.Code != 404 {
		t.Errorf("after its time: %d %s", w.Code, w.Body)
	}
	verbs := map[string]int{}
	rs, err := s.log.Records(ctx, s.tenants[0], 0, 1000)
	check(t, err)
	for _, r := range rs {
		if r.Object == made.ID {
			verbs[fmt.Sprint(r.Actor.Kind, " ", r.Actor.Name != "", " ", r.Verb)]++
		}
	}
	if verbs["app true action.link"] != 1 || verbs["app true action.download"] != 1 {
		t.Errorf("audit: %v", verbs)
	}
}

// TestTheLibraryIsBounded uploads a file that is too large, and more than the quota, which
// is 25 MiB here, and names that would lead elsewhere.
func TestTheLibraryIsBounded(t *testing.T) {
	s := newSite(t, 0)
	big := strings.Repeat("x", 20<<20)
	if w := s.upload("exact", big); w.Code != 200 {
		t.Fatalf("20 MiB: %d %s", w.Code, w.Body)
	}
	if w := s.upload("same", big); w.Code != 200 {
		t.Errorf("the same content again takes no room: %d %s", w.Code, w.Body)
	}
	if w := s.upload("larger", big+"x"); w.Code != 400 && w.Code != 413 {
		t.Errorf("20 MiB and a byte: %d %s", w.Code, w.Body)
	}
	if w := s.upload("full", strings.Repeat("y", 6<<20)); w.Code != 400 || !strings.Contains(w.Body.String(), "QuotaExceeded") {
		t.Errorf("over the quota: %d %s", w.Code, w.Body)
	}
	for _, name := range []string{"..", strings.Repeat("n", 300)} {
		if w := s.upload(name, "x"); w.Code != 400 {
			t.Errorf("%q: %d %s", name, w.Code, w.Body)
		}
	}
	for _, name := range []string{"exact", "same"} {
		if w := s.call("all", "DELETE", "/api/libraryfiles/"+name, ""); w.Code != 204 || w.Body.Len() > 0 {
			t.Errorf("delete: %d %s", w.Code, w.Body)
		}
	}
	if w := s.upload("full", strings.Repeat("y", 6<<20)); w.Code != 200 {
		t.Errorf("after the others are gone: %d %s", w.Code, w.Body)
	}
}

// TestTwentyFiveSessions asks for one live response too many.
func TestTwentyFiveSessions(t *testing.T) {
	s := newSite(t, 0)
	for i := range 26 {
		name := fmt.Sprintf("host%d.example", i)
		s.enrol(name, 0, name, fmt.Sprintf("192.0.2.%d", 20+i), now)
		w := s.call("all", "POST", "/api/machines/"+s.vars[name]+"/runliveresponse", `{"Comment":"c","Commands":[{"type":"GetFile","params":[{"key":"Path","value":"/x"}]}]}`)
		want := 201
		if i == 25 {
			want = http.StatusTooManyRequests
		}
		if w.Code != want {
			t.Errorf("session %d: %d %s", i+1, w.Code, w.Body)
		}
	}
}
