package mde

import (
	"errors"
	"net/http"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

func (a *API) getMachineActions(w http.ResponseWriter, r *api.Request) error {
	only, err := a.actionsOf(r)
	if err != nil {
		return err
	}
	return a.listActions(w, r, only)
}

func (a *API) countMachineActions(w http.ResponseWriter, r *api.Request) error {
	only, err := a.actionsOf(r)
	if err != nil {
		return err
	}
	return a.numberOfActions(w, r, only)
}

// actionsOf is the predicate of the actions of the machine that the path names.
func (a *API) actionsOf(r *api.Request) (filter.Expr, error) {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return nil, err
	}
	f, _ := action.Fields.Find("machineId")
	return filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: string(d.ID)}}, nil
}

// availability is one of the actions that clients of the published service ask about.
type availability struct {
	name string
	kind action.Kind // that carries it out; "" for none
	why  string      // there is none
	// refusal judges a device; nil for action.Refusal of the kind.
	refusal func(*device.Device) error
}

// published lists the actions in the words of the route, which are not those of machine
// actions. The route is not documented; a client's code tells the words.
var published = [...]availability{
	{name: "FullIsolation", kind: action.Isolate},
	{name: "SelectiveIsolation", kind: action.Isolate, refusal: action.RefusalOfSelective},
	{name: "RunAntiVirusScan", kind: action.RunAntiVirusScan},
	{name: "CollectInvestigationPackage", kind: action.CollectPackage},
	{name: "StopAndQuarantineFile", kind: action.StopAndQuarantineFile},
	{name: "RestrictCodeExecution", kind: action.RestrictCodeExecution},
	{name: "InitiateInvestigation", why: "Investigations are kept as requested; nothing on this server carries them out yet"},
	{name: "OffBoard", kind: action.Offboard},
	{name: "RunCustomPlaybook", why: "This server does not offer the action"},
}

type availabilityEntity struct {
	Action             string  `json:"action"`
	IsAvailable        bool    `json:"isAvailable"`
	NotSupportedReason *string `json:"notSupportedReason"`
}

// isolating is the one kind that agents carry out which do not say what they do.
const isolating = action.Isolate

// getAvailableActions answers what can be done to a machine now, and why the rest cannot.
func (a *API) getAvailableActions(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	out := make([]availabilityEntity, len(published))
	for i, p := range published {
		why := p.why
		if p.kind != "" {
			_, known := d.Responds("")
			refusal := p.refusal
			if refusal == nil {
				refusal = func(d *device.Device) error { return action.Refusal(d, p.kind) }
			}
			if err := refusal(d); err != nil {
				why = detail(err)
			} else if !known && p.kind != isolating {
				why = "The agent of " + d.Name + " does not say that it carries out the action"
			}
		}
		out[i] = availabilityEntity{Action: p.name, IsAvailable: why == "", NotSupportedReason: optional(why)}
	}
	return derived(a, w, r, "Collection(microsoft.windowsDefenderATP.api.ActionAvailabilityStatus)", out)
}

// detail returns what an error says to callers.
func detail(err error) string {
	var e *errs.E
	if errors.As(err, &e) {
		return e.Detail
	}
	return ""
}
