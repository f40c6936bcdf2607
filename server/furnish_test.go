package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect/backtest"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/notify"
)

// ruleQuery is what a custom detection rule may ask, however it runs.
const ruleQuery = `DeviceLogonEvents | where AccountName == "nobody at all"`

// ruleFile is a rule file that is ready to run, and ruleTest the tests beside it; %[1]s is
// its name.
const (
	ruleFile = `id: %[2]s
name: %[1]s
title: The rule %[1]s
description: A rule of the tests.
severity: Low
category: Execution
techniques: [T1059.004]
recommendedAction: Nothing.
platforms: [Linux]
falsePositives: [Everything.]
references: ["https://www.example.org/"]
entities:
  process: [ProcessId]
query: |
  DeviceProcessEvents
  | where ActionType == "ProcessCreated" and FileName == "%[1]s"
`
	ruleTest = `fires:
  - name: the program starts
    events:
      - table: DeviceProcessEvents
        columns: {ActionType: ProcessCreated, FileName: %[1]s, ProcessId: 1}
silent:
  - name: another program starts
    events:
      - table: DeviceProcessEvents
        columns: {ActionType: ProcessCreated, FileName: other, ProcessId: 1}
`
)

func ruleFileOf(name string, id ident.TenantID) (rule, test string) {
	return fmt.Sprintf(ruleFile, name, id), fmt.Sprintf(ruleTest, name)
}

// furnishRules makes one of each thing that belongs to a tenant as a whole, named after
// mark, and returns their ids by the keys of things. A backtest is in it as well, which
// only those may see who see every device.
func (s *Server) furnishRules(t testing.TB, tenant ident.TenantID, mark, file string) map[string]string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	by := principal(ident.ActorApp, tenant, string(access.AdvancedHuntRead), string(access.CustomDetectionReadWrite))
	ctx := access.WithPrincipal(context.Background(), by)
	sup, err := s.control.alerts.CreateSuppression(ctx, by, alert.Suppression{Name: mark, Enabled: true, Action: alert.Resolve,
		Conditions: []alert.Condition{{Field: "title", Op: "equals", Values: []string{"nothing at all"}}}})
	must(err)
	rule, err := s.control.notices.CreateRule(ctx, by, notify.Rule{Name: mark, Enabled: true, URL: "https://" + mark + ".example/", Subject: notify.OfAlerts})
	must(err)
	sub, err := s.control.notices.Subscribe(ctx, by, notify.Subscription{URL: "https://" + mark + ".example/", Resource: "alerts", ChangeType: "created",
		Expires: time.Now().Add(time.Hour)})
	must(err)
	cus, err := s.detect.rules.Create(ctx, &custom.Rule{Name: mark, Enabled: true, Period: custom.Hourly,
		Query: ruleQuery, Alert: custom.Template{Title: mark, Severity: "low", Category: "Execution"}})
	must(err)
	text, tests := ruleFileOf(mark, ident.TenantID(file))
	fil, err := s.detect.library.Import(ctx, text, tests)
	must(err)
	job, err := s.detect.backtests.Start(ctx, backtest.Request{Query: ruleQuery, From: time.Now().Add(-time.Hour)})
	must(err)
	for end := time.Now().Add(20 * time.Second); job.Status == backtest.Running; time.Sleep(time.Millisecond) {
		job, err = s.detect.backtests.Get(ctx, job.ID)
		must(err)
		if time.Now().After(end) {
			t.Fatal("the backtest does not end")
		}
	}
	pol, err := s.control.actions.CreatePolicy(ctx, by, action.Policy{Name: mark, Enabled: true, Kinds: []action.Kind{action.CollectPackage}, Need: 2, Self: true})
	must(err)
	name := mark + ".sh"
	_, err = s.control.library.Put(ctx, by, library.Upload{Name: name, Content: strings.NewReader("exit 0 # " + mark)})
	must(err)
	return map[string]string{"libraryfiles/{id}": name, "suppressions/{id}": sup.ID.String(), "notifications/{id}": rule.ID.String(), "subscriptions/{id}": string(sub.ID),
		"detectionrules/{id}": fmt.Sprint(cus.ID), "detections/{id}": fil.Compiled.ID, "backtests/{id}": job.ID, "approvalpolicies/{id}": pol.ID.String()}
}

// TestARuleIsConfinedToItsOrganizationalScope holds the devices that a custom detection
// rule sees against the groups that it names and those of its author.
func TestARuleIsConfinedToItsOrganizationalScope(t *testing.T) {
	s := newSite(t)
	tenants, err := s.control.store.Access().Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := principal(ident.ActorApp, tenants[0].ID, string(access.CustomDetectionReadWrite))
	web, err := s.control.groups.Create(t.Context(), by, group.Request{Name: "Web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.control.groups.Create(t.Context(), by, group.Request{Name: "Hidden", Access: group.Access{UserGroups: []ident.UserGroupID{"x"}}}); err != nil {
		t.Fatal(err)
	}
	n := 0
	made := func(p *access.Principal, scope string) (*custom.Rule, error) {
		n++
		return s.detect.rules.Create(access.WithPrincipal(t.Context(), p), &custom.Rule{Name: fmt.Sprint("r", n), Enabled: true, Period: custom.Hourly, Query: ruleQuery,
			Scope: scope, Alert: custom.Template{Title: "t", Severity: "low", Category: "Execution"}})
	}
	r, err := made(by, `{"@odata.type":"#microsoft.graph.security.organizationalScope","scopeType":"deviceGroup","scopeNames":["WEB"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if want := (access.Scope{Groups: []int64{web.ID}}); cmp.Diff(want, r.Sees) != "" {
		t.Errorf("it sees %+v, want %+v", r.Sees, want)
	}
	out, err := s.detect.rules.Update(access.WithPrincipal(t.Context(), by), r.ID, func(r *custom.Rule) error { r.Scope = ""; return nil })
	if err != nil || !out.Sees.All {
		t.Errorf("without a scope it sees %+v, %v", out, err)
	}
	some := *by
	some.Scope = access.Scope{Groups: []int64{web.ID}}
	for _, c := range []struct {
		by          *access.Principal
		scope, says string
	}{
		{by, `{"scopeType":"deviceGroup","scopeNames":["nowhere"]}`, "nowhere"},
		{&some, `{"scopeType":"deviceGroup","scopeNames":["Web","Hidden"]}`, "Hidden"},
		{by, `{"scopeType":"user","scopeNames":["Web"]}`, "scopeType"},
		{by, `{"scopeType":"deviceGroup","scopeNames":[]}`, "scopeNames"},
		{by, `{"scopeType":"deviceGroup","scopeNames":["Web"],"except":["Web"]}`, "except"},
		{by, `["Web"]`, "organizationalScope"},
	} {
		if _, err := made(c.by, c.scope); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.scope, err)
		}
	}
}
