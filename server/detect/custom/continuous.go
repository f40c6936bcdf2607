package custom

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// sourcePrefix begins the Source.Rule of the alerts of custom rules; the id follows.
const sourcePrefix = "custom/"

func sourceOf(id int64) string { return sourcePrefix + strconv.FormatInt(id, 10) }

// ruleOf is the inverse of sourceOf.
func ruleOf(a *alert.Alert) (int64, bool) {
	s, ok := strings.CutPrefix(a.Source.Rule, sourcePrefix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil
}

// Continuous returns a tenant's enabled continuous rules, ready to run. One that cannot be
// compiled any more, because tables changed since it was kept, is left out and told of.
func (s *Service) Continuous(ctx context.Context, tenant ident.TenantID, failed func(*Rule, error)) ([]behavior.Rule, error) {
	const op = "custom.Continuous"
	var out []behavior.Rule
	enabled, _ := Fields.Find("isEnabled")
	q := filter.Query{Top: 1000, Where: filter.Compare{Field: enabled, Op: filter.Eq, Value: filter.Value{Type: filter.Bool, B: true}}}
	for {
		p, err := s.cfg.Store.Rules(ctx, tenant, q)
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		for _, r := range p.Items {
			if r.Period != Continuous {
				continue
			}
			b, err := r.Stream()
			if err != nil {
				failed(r, err)
				continue
			}
			if !r.Sees.All && s.cfg.GroupOf != nil {
				b.Admits = func(ctx context.Context, id ident.DeviceID) (bool, error) {
					g, err := s.cfg.GroupOf(ctx, tenant, id)
					return err == nil && r.Sees.Holds(g), err
				}
			}
			out = append(out, b)
		}
		if !p.More {
			return out, nil
		}
		q.Skip += len(p.Items)
	}
}

// Stream compiles a continuous rule: it finds every event of its query, each once.
func (r *Rule) Stream() (behavior.Rule, error) {
	extra := []string{"ReportId"}
	columns := slices.Collect(maps.Values(r.Alert.Details))
	for _, re := range r.Responses {
		columns = append(columns, re.Target)
	}
	slices.Sort(columns)
	for _, column := range columns {
		if !slices.Contains(extra, column) {
			extra = append(extra, column)
		}
	}
	c, err := detection.Compile(&detection.Rule{
		ID: r.DetectorID, Name: fmt.Sprintf("custom_%d", r.ID), Title: r.Alert.Title, Description: r.Alert.Description,
		Severity: r.Alert.Severity, Category: r.Alert.Category, Techniques: r.Alert.Techniques, Recommended: r.Alert.Recommended,
		Query: r.Query, Deduplicate: detection.Deduplicate{By: []string{"ReportId"}, Within: detection.Duration(time.Minute)},
	}, nil, extra...)
	if err != nil {
		return behavior.Rule{}, err
	}
	return behavior.Rule{Compiled: c, Finish: func(a *alert.Alert, f *detection.Finding) {
		// By the device's own clock: it says the same when the event is sent again.
		a.ID = alert.NewCustomID(r.DetectorID, a.Device, fmt.Sprintf("%d/%d", f.Report, f.Raw.UnixNano()))
		r.finish(a, func(name string) (string, bool) { v, ok := f.Columns[name]; return v, ok })
	}}, nil
}
