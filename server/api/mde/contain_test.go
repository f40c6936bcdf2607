package mde_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// codes stands for the key that signs release codes.
type codes struct{}

func (codes) ReleaseCode(d ident.DeviceID, _ uint64, _ time.Time) (string, error) {
	return "CODE-" + string(d), nil
}

// TestContainmentByTheAPI asks for what this server has beyond the published containment.
func TestContainmentByTheAPI(t *testing.T) {
	s := newSite(t, 0)
	web := "/api/machines/" + s.vars["web"] + "/"
	own := "/api/vedette/machines/" + s.vars["web"] + "/"
	s.report("web", map[string]string{"isolate": "working", "isolate-selective": "working", "restrictcodeexecution": "working", "notifyuser": "working"})
	for _, c := range []struct {
		path, body string
		code       int
		want       string
	}{
		{web + "isolate", `{"Comment":"c","IsolationType":"Selective","Allow":{"Addresses":["10.0.0.1:99999/tcp"]}}`, 400, "Allow.Addresses[0]"},
		{web + "isolate", `{"Comment":"c","IsolationType":"Selective","Allow":{"Programs":"x"}}`, 400, "Programs"},
		{web + "isolate", `{"Comment":"c","IsolationType":"Full","Allow":{"Programs":["/bin/a"]}}`, 400, "Selective"},
		{web + "isolate", `{"Comment":"c","IsolationType":"Selective","Allow":{"Addresses":["10.0.0.1:443/tcp"]}}`, 201, `"scope":"Selective"`},
		{web + "restrictCodeExecution", `{"Comment":"c","Allow":{"Hashes":["x"]}}`, 400, "Allow.Hashes[0]"},
		{web + "restrictCodeExecution", `{"Comment":"c","Allow":{"Directories":["opt"]}}`, 400, "Allow.Directories[0]"},
		{web + "restrictCodeExecution", `{"Comment":"c","Allow":{"Directories":["/opt/app"]}}`, 201, `"RestrictCodeExecution"`},
		{own + "notifyUser", `{"Comment":"c"}`, 400, "Message"},
		{own + "notifyUser", `{"Comment":"c","Message":"Hello\u001b[2J"}`, 400, "control characters"},
		{own + "notifyUser", `{"Comment":"c","Message":"Hello","Level":"Critical"}`, 201, `"NotifyUser"`},
		{own + "releaseCode", `{"Minutes":5}`, 400, "Comment"},
		{own + "releaseCode", `{"Comment":"c","Minutes":20000}`, 400, "release code"},
		{own + "releaseCode", `{"Comment":"c","Minutes":-5}`, 400, "Minutes"},
		{"/api/vedette/machines/nobody/releaseCode", `{"Comment":"c"}`, 404, "nobody"},
		{own + "releaseCode", `{"Comment":"c","Minutes":5}`, 200, `"code":"CODE-` + s.vars["web"][:4]},
	} {
		w := s.call("all", "POST", c.path, c.body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: no JSON", c.path)
		}
	}
	// Only who may isolate may have a code.
	if w := s.call("machines", "POST", own+"releaseCode", `{"Comment":"c"}`); w.Code != 403 {
		t.Errorf("who may only read: %d %s", w.Code, w.Body)
	}
}
