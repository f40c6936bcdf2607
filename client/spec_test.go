package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

type document struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				}
			}
		}
	}
	Components struct {
		Schemas map[string]struct{ Properties map[string]any }
	}
}

func readDocument(t *testing.T) document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "docs", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var variable = regexp.MustCompile(`\\\{[^}]*\\\}`)

// find returns the schema of an operation's body, and whether the operation is there.
func (d document) find(method, path string) (body string, ok bool) {
	for pattern, methods := range d.Paths {
		re := regexp.MustCompile("(?i)^" + variable.ReplaceAllString(regexp.QuoteMeta(pattern), "[^/]+") + "$")
		if o, there := methods[strings.ToLower(method)]; there && re.MatchString(path) {
			return strings.TrimPrefix(o.RequestBody.Content["application/json"].Schema.Ref, "#/components/schemas/"), true
		}
	}
	return "", false
}

// TestEveryCallIsDocumented calls every method of a Client and looks its request up in the
// OpenAPI document: the operation is there, and so is each member of the body.
func TestEveryCallIsDocumented(t *testing.T) {
	d := readDocument(t)
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprint(w, `{"access_token":"x","expires_in":3600}`)
			return
		}
		calls++
		schema, ok := d.find(r.Method, r.URL.Path)
		if !ok {
			t.Errorf("%s %s is not documented", r.Method, r.URL.Path)
		}
		var body map[string]any
		if json.NewDecoder(r.Body).Decode(&body) == nil {
			for name := range body {
				if _, ok := d.Components.Schemas[schema].Properties[name]; !ok {
					t.Errorf("%s %s: the body's %s is not documented in %q", r.Method, r.URL.Path, name, schema)
				}
			}
		}
		fmt.Fprint(w, `{}`)
	}))
	defer s.Close()
	c, err := client.New(client.Profile{APIURL: s.URL, TokenURL: s.URL + "/token"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, word := t.Context(), "x"
	change := client.AlertChange{Status: &word, AssignedTo: &word, Classification: &word, Determination: &word, Comment: &word}
	now := time.Now()
	one := client.Indicator{ID: "1", Severity: "Low", Expires: &now}
	for name, call := range map[string]func() error{
		"Hunt":    func() error { _, err := c.Hunt(ctx, "x"); return err },
		"Machine": func() error { _, err := c.Machine(ctx, "x"); return err },
		"Health":  func() error { _, err := c.Health(ctx, "x"); return err },
		"Tag":     func() error { _, err := c.Tag(ctx, "x", "y", "Add"); return err },
		"Act": func() error {
			_, err := c.Act(ctx, "x", "isolate", map[string]any{"Comment": "x", "IsolationType": "Full", "ForceSelf": true})
			return err
		},
		"Action":           func() error { _, err := c.Action(ctx, "x"); return err },
		"Alert":            func() error { _, err := c.Alert(ctx, "x"); return err },
		"UpdateAlert":      func() error { _, err := c.UpdateAlert(ctx, "x", change); return err },
		"UpdateAlerts":     func() error { return c.UpdateAlerts(ctx, []string{"x"}, change) },
		"CreateAlert":      func() error { _, err := c.CreateAlert(ctx, client.AlertReference{}); return err },
		"SetValue":         func() error { _, err := c.SetValue(ctx, "x", "Low"); return err },
		"TagMany":          func() error { return c.TagMany(ctx, []string{"x"}, "y", "Add") },
		"FindByIP":         func() error { _, err := c.FindByIP(ctx, "192.0.2.1", now); return err },
		"LogonUsers":       func() error { _, err := c.LogonUsers(ctx, "x"); return err },
		"MachineAlerts":    func() error { _, err := c.MachineAlerts(ctx, "x", client.List{}); return err },
		"Cancel":           func() error { _, err := c.Cancel(ctx, "x", "y"); return err },
		"PutIndicator":     func() error { _, err := c.PutIndicator(ctx, one); return err },
		"ImportIndicators": func() error { _, err := c.ImportIndicators(ctx, []client.Indicator{one}); return err },
		"DeleteIndicator":  func() error { return c.DeleteIndicator(ctx, "1") },
		"AskExpert": func() error {
			_, err := c.AskExpert(ctx, client.ExpertQuestion{AlertID: "x", IncidentID: 1, MachineID: "x", Question: "x", Contact: "x", Receiver: 1, Package: "x", From: &now, To: &now, Wait: 1})
			return err
		},
		"ExpertCase":       func() error { _, err := c.ExpertCase(ctx, "x"); return err },
		"ExpertCases":      func() error { _, err := c.ExpertCases(ctx, client.List{}); return err },
		"RevokeExpertLink": func() error { _, err := c.RevokeExpertLink(ctx, "x"); return err },
		"ExpertReceivers":  func() error { _, err := c.ExpertReceivers(ctx); return err },
		"SignIn and one's own account": func() error {
			p, err := c.SignIn(ctx, client.Credentials{Tenant: "x", Login: "x", Password: "x"})
			if err != nil {
				return err
			}
			proof := client.Proof{Password: "x", Code: "x"}
			_, err1 := p.Account(ctx)
			_, err2 := p.Rename(ctx, "x")
			_, err3 := p.Sessions(ctx)
			_, err4 := p.BeginFactor(ctx, proof)
			_, err5 := p.ConfirmFactor(ctx, "x")
			_, err6 := p.NewRecoveryCodes(ctx, proof)
			return errors.Join(err1, err2, err3, err4, err5, err6, p.ChangePassword(ctx, "x", "y"), p.EndSessions(ctx, ""), p.EndSessions(ctx, "x"), p.RemoveFactor(ctx, proof), p.SignOut(ctx))
		},
		"DeleteIndicators": func() error { return c.DeleteIndicators(ctx, []string{"1"}) },
	} {
		before := calls
		if err := call(); err != nil || calls == before {
			t.Errorf("%s: %d calls, %v", name, calls-before, err)
		}
	}
}

// TestWhatIsReadIsAnswered looks each JSON key that the client reads up in the document.
func TestWhatIsReadIsAnswered(t *testing.T) {
	d := readDocument(t)
	for name, v := range map[string]any{
		"machine": client.Machine{}, "alert": client.Alert{}, "evidence": client.Evidence{}, "action": client.Action{}, "indicator": client.Indicator{},
		"user": client.LogonUser{}, "import": client.Imported{}, "definition": client.Definition{}, "deviceHealth": client.DeviceHealth{},
		"account": client.Account{}, "ownSession": client.PortalSession{}, "enrolment": client.Enrolment{}, "provider": client.IdentityProvider{}, "check": client.IdentityCheck{}, "groupRole": client.GroupRole{}, "person": client.User{},
		"case": client.ExpertCase{}, "receiver": client.ExpertReceiver{}, "bundle": client.ExpertBundle{},
	} {
		known, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("the document has no shape %s", name)
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if _, ok := known.Properties[key]; !ok && key != "" {
				t.Errorf("%s.%s is read and never answered", name, key)
			}
		}
	}
}
