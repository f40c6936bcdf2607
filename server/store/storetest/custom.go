package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// DetectionStore is what keeps detection rules.
type DetectionStore interface {
	custom.Store
	custom.AnswerStore
	behavior.FileStore
}

func rule(n int) *custom.Rule {
	return &custom.Rule{Tenant: tenantA, DetectorID: guid(n), Name: fmt.Sprintf("Rule %d", n), Enabled: true, Query: "q", Period: custom.Hourly,
		Alert: custom.Template{Title: "t", Details: map[string]string{"a": "b"}}, Created: base, Modified: base, Next: base.Add(time.Duration(n) * time.Minute)}
}

// Detections is the suite of custom.Store and custom.AnswerStore.
func Detections(t *testing.T, open func(testing.TB) DetectionStore) {
	ctx := context.Background()
	t.Run("rules", func(t *testing.T) {
		s := open(t)
		for n := 1; n <= 3; n++ {
			r := rule(n)
			check(t, s.CreateRule(ctx, r))
			if r.ID != int64(n) {
				t.Errorf("the id of rule %d is %d", n, r.ID)
			}
			got, err := s.Rule(ctx, tenantA, r.ID)
			check(t, err)
			wantEqual(t, "rule", got, r)
		}
		twin := rule(4)
		twin.Name = "RULE 2"
		wantKind(t, "a name that another has", s.CreateRule(ctx, twin), errs.Conflict)
		twin.Tenant, twin.Name = tenantB, "Rule 2"
		check(t, s.CreateRule(ctx, twin))
		_, err := s.Rule(ctx, tenantB, 3)
		wantKind(t, "another tenant's rule", err, errs.NotFound)
		_, err = s.UpdateRule(ctx, tenantA, 1, func(r *custom.Rule) error { r.Name = "rule 3"; return nil })
		wantKind(t, "a name that another has", err, errs.Conflict)
		_, err = s.UpdateRule(ctx, tenantA, 1, func(*custom.Rule) error { return errChange })
		wantOwn(t, err)
		got, err := s.UpdateRule(ctx, tenantA, 1, func(r *custom.Rule) error { r.Name, r.Last.Alerts = "rule 1", 7; return nil })
		check(t, err)
		again, err := s.Rule(ctx, tenantA, 1)
		check(t, err)
		wantEqual(t, "what was written", again, got)
		p, err := s.Rules(ctx, tenantA, filter.Query{Top: 2, Count: true})
		check(t, err)
		if len(p.Items) != 2 || !p.More || p.Total != 3 || p.Items[0].ID != 1 {
			t.Errorf("a page of rules: %d items, more %v, total %d", len(p.Items), p.More, p.Total)
		}
		check(t, s.DeleteRule(ctx, tenantA, 3))
		wantKind(t, "deleting again", s.DeleteRule(ctx, tenantA, 3), errs.NotFound)
		r := rule(5)
		check(t, s.CreateRule(ctx, r))
		if r.ID != 4 {
			t.Errorf("the id of a deleted rule was given again: %d", r.ID)
		}
	})
	t.Run("due rules", func(t *testing.T) {
		s := open(t)
		for n := 1; n <= 4; n++ {
			r := rule(n)
			if r.Enabled = n != 2; n == 3 {
				r.Tenant = tenantB
			}
			check(t, s.CreateRule(ctx, r))
		}
		due, err := s.DueRules(ctx, base.Add(3*time.Minute), 10)
		check(t, err)
		if len(due) != 2 || due[0].Name != "Rule 1" || due[1].Name != "Rule 3" {
			t.Errorf("due: %+v", due)
		}
		_, err = s.UpdateRule(ctx, tenantA, due[0].ID, func(r *custom.Rule) error { r.Next = time.Time{}; return nil })
		check(t, err)
		due, err = s.DueRules(ctx, base.Add(time.Hour), 1)
		check(t, err)
		if len(due) != 1 || due[0].Name != "Rule 3" {
			t.Errorf("due then: %+v", due)
		}
	})
	t.Run("answers", func(t *testing.T) {
		s := open(t)
		a := &custom.Answer{Tenant: tenantA, Alert: "ca1", Place: 0, Rule: 1, Kind: custom.Isolate, Device: device(1), At: base}
		b := &custom.Answer{Tenant: tenantA, Alert: "ca1", Place: 1, Rule: 1, Kind: custom.BlockFile, At: base.Add(time.Second)}
		check(t, s.AddAnswers(ctx, []*custom.Answer{b, a}))
		changed := *a
		changed.Rule = 9
		check(t, s.AddAnswers(ctx, []*custom.Answer{&changed}))
		open, err := s.OpenAnswers(ctx, 10)
		check(t, err)
		wantEqual(t, "open answers", open, []*custom.Answer{a, b})
		a.Done, a.Object = base.Add(time.Minute), "x"
		check(t, s.EndAnswer(ctx, a))
		check(t, s.AddAnswers(ctx, []*custom.Answer{&changed}))
		open, err = s.OpenAnswers(ctx, 10)
		check(t, err)
		wantEqual(t, "open answers then", open, []*custom.Answer{b})
	})
	t.Run("rule files", func(t *testing.T) {
		s := open(t)
		on := true
		a := &behavior.RuleFile{Tenant: tenantA, ID: guid(1), Name: "a", Rule: "text", Test: "test", By: "me", Modified: base}
		b := &behavior.RuleFile{Tenant: tenantA, ID: guid(2), Name: "b", Enabled: &on, Modified: base}
		check(t, s.PutRuleFile(ctx, b))
		check(t, s.PutRuleFile(ctx, a))
		a.Enabled = &on
		check(t, s.PutRuleFile(ctx, a))
		got, err := s.RuleFiles(ctx, tenantA)
		check(t, err)
		wantEqual(t, "rule files", got, []*behavior.RuleFile{a, b})
		wantKind(t, "another tenant's", s.DeleteRuleFile(ctx, tenantB, a.ID), errs.NotFound)
		check(t, s.DeleteRuleFile(ctx, tenantA, a.ID))
		got, err = s.RuleFiles(ctx, tenantA)
		check(t, err)
		wantEqual(t, "rule files then", got, []*behavior.RuleFile{b})
	})
}
