package hunt

import (
	"context"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Devices says which devices a caller sees.
type Devices interface {
	// Within returns the devices of the tenant that are in access.ScopeOf the context.
	Within(ctx context.Context, tenant ident.TenantID) ([]ident.DeviceID, error)
}

// within keeps the plans of one request to the devices of its caller. nil restricts
// nothing.
//
// Few devices stand in the plan itself, where the store may pass over what has rows of none
// of them. Many are a relation that the store gets beside the plan, once for the query, and
// joins: a text of 100,000 ids takes longer to read than the answer (docs/design/0046-scope.md).
type within struct{ devices []string }

// inline is how many devices stand in the plan.
const inline = 64

// givenDevices names the relation of the caller's devices.
const givenDevices = "devices of the caller"

// holds is the predicate that x is one of the devices.
func (w *within) holds(x plan.Expr) plan.Expr {
	if len(w.devices) <= inline {
		return plan.InStrings(x, w.devices)
	}
	return plan.InGiven(x, givenDevices)
}

// give answers telemetry.Query.External: the caller's devices, and by others what else the
// query reads.
func (w *within) give(others func(context.Context, *plan.External, telemetry.Sink) error) func(context.Context, *plan.External, telemetry.Sink) error {
	if w == nil || len(w.devices) <= inline {
		return others
	}
	return func(ctx context.Context, x *plan.External, sink telemetry.Sink) error {
		switch {
		case x.Given == givenDevices:
			row := make([]types.Value, 1)
			for _, id := range w.devices {
				row[0] = types.NewString(id)
				if err := sink(row); err != nil {
					return err
				}
			}
			return nil
		case others == nil:
			return errs.New("hunt.external", errs.Unsupported, errs.DisabledFeature,
				"externaldata is not available on this server: queries read the tables of telemetry alone, no addresses and no files")
		}
		return others(ctx, x, sink)
	}
}

// within returns what restricts the queries of p, who is not always the principal of ctx:
// lookups run as the server itself.
func (s *Service) within(ctx context.Context, p *access.Principal) (*within, error) {
	if p.Scope.All {
		return nil, nil
	}
	w := &within{}
	if s.scope == nil || len(p.Scope.Groups) == 0 {
		return w, nil
	}
	ids, err := s.scope.Within(access.WithPrincipal(ctx, p), p.Tenant)
	if err != nil {
		return nil, errs.Wrap("hunt.within", err)
	}
	for _, id := range ids {
		w.devices = append(w.devices, string(id))
	}
	return w, nil
}

// The columns by which rows belong to devices.
const (
	deviceColumn  = "DeviceId"
	alertColumn   = "AlertId"
	evidenceTable = "AlertEvidence"
	// evidenceID is the number of a column that the binder, which counts up from 1, and
	// Scan.Read, which counts down from -1, do not give.
	evidenceID = -1 << 20
)

// restrict puts the scope on every scan of a plan. A table of whose rows it cannot be said
// which device they are about shows nothing to a caller who does not see every device.
func (w *within) restrict(root plan.Node) {
	if w == nil {
		return
	}
	plan.RestrictScans(root, func(s *plan.Scan) plan.Expr {
		if s.External != nil {
			return nil // no telemetry; what may be read there is decided elsewhere, or it is the scope itself
		}
		if knowledge(s.Base) {
			return nil
		}
		p := w.predicate(s)
		if s.Pred != nil {
			p = plan.NewCall("and", types.Bool, s.Pred, p)
		}
		return p
	})
}

// knowledge reports whether a table says what things mean and nothing of any device: those
// are for everybody.
func knowledge(table string) bool { return strings.HasSuffix(table, "KB") }

// predicate is the scope on one scan.
func (w *within) predicate(s *plan.Scan) plan.Expr {
	nothing := &plan.Const{V: types.NewBool(false)}
	t, ok := schema.Lookup(s.Base)
	if !ok {
		return nothing
	}
	if _, ok := t.Column(deviceColumn); ok {
		return w.holds(s.Read(deviceColumn, types.String))
	}
	if _, ok := t.Column(alertColumn); ok {
		// An alert is seen by who sees a device of its evidence. RestrictScans walks into the
		// predicate as well and keeps the evidence to the scope.
		c := plan.ScanColumn{Column: plan.Column{ID: evidenceID, Name: alertColumn, Type: types.String}, Source: alertColumn, BaseType: types.String}
		return &plan.InTable{Op: "in", X: s.Read(alertColumn, types.String),
			Root: &plan.Scan{Table: evidenceTable, Base: evidenceTable, Cols: []plan.ScanColumn{c}}}
	}
	return nothing
}
