// Package detection is the custom detection rules of Microsoft Graph's security API (beta):
// /beta/security/rules/detectionRules.
//
// It holds no rules and no state: package detect/custom knows the noun. The invariant: the
// answer to a rule has every property of the published entity, null where there is nothing.
// Start at Routes; entity.go has the published shapes.
package detection

import (
	"context"
	"net/http"
	"strconv"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

// Rules is what this package needs of custom.Service, which acts for the principal of the
// context.
type Rules interface {
	Create(ctx context.Context, r *custom.Rule) (*custom.Rule, error)
	Update(ctx context.Context, id int64, change func(*custom.Rule) error) (*custom.Rule, error)
	Delete(ctx context.Context, id int64) error
	Get(ctx context.Context, id int64) (*custom.Rule, error)
	List(ctx context.Context, q filter.Query) (filter.Page[*custom.Rule], error)
}

const (
	root = "/beta/security/rules/detectionRules"
	set  = "/beta/$metadata#security/rules/detectionRules"
)

var spec = odata.Spec{Fields: custom.Fields, Entity: entity{}}

// Routes returns the route table of the API.
func Routes(s Rules) []api.Route {
	h := &handler{s}
	read := []access.Permission{access.CustomDetectionRead, access.CustomDetectionReadWrite}
	write := []access.Permission{access.CustomDetectionReadWrite}
	id := []api.Param{{Name: "id", Type: "string", Required: true, About: "The rule's id."}}
	query := []api.Param{{Name: "$filter"}, {Name: "$orderby"}, {Name: "$select"}, {Name: "$top", Type: "integer"}, {Name: "$skip", Type: "integer"}, {Name: "$count", Type: "boolean"}}
	wrong := []errs.Code{errs.InvalidInput, errs.MissingRequiredParameter, errs.BadRequest, errs.InvalidRequestBody}
	return []api.Route{
		{Method: http.MethodGet, Pattern: root, Need: read, Handle: h.list,
			Doc: api.Doc{Summary: "List custom detection rules", Params: query, Answer: []entity{}, Errors: []errs.Code{errs.ODataError}}},
		{Method: http.MethodGet, Pattern: root + "/{id}", Need: read, Handle: h.get,
			Doc: api.Doc{Summary: "Get a custom detection rule", Params: id, Answer: entity{}, Errors: []errs.Code{errs.ResourceNotFound}}},
		{Method: http.MethodPost, Pattern: root, Need: write, Handle: h.create, MaxBody: 512 << 10,
			Doc: api.Doc{Summary: "Create a custom detection rule", Body: body{}, Answer: entity{}, Status: http.StatusCreated, Errors: wrong}},
		{Method: http.MethodPatch, Pattern: root + "/{id}", Need: write, Handle: h.update, MaxBody: 512 << 10,
			Doc: api.Doc{Summary: "Change a custom detection rule", Params: id, Body: body{}, Answer: entity{}, Errors: append(wrong, errs.ResourceNotFound)}},
		{Method: http.MethodDelete, Pattern: root + "/{id}", Need: write, Handle: h.delete,
			Doc: api.Doc{Summary: "Delete a custom detection rule", Params: id, Status: http.StatusNoContent, Errors: []errs.Code{errs.ResourceNotFound}}},
	}
}

type handler struct{ rules Rules }

func ruleID(r *api.Request) (int64, error) {
	id, err := strconv.ParseInt(r.Var("id"), 10, 64)
	if err != nil {
		return 0, errs.New("detection.id", errs.NotFound, errs.ResourceNotFound, "there is no detection rule %q", r.Var("id"))
	}
	return id, nil
}

func (h *handler) list(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, spec)
	if err != nil {
		return err
	}
	page, err := h.rules.List(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, set, o, page, render)
}

func (h *handler) get(w http.ResponseWriter, r *api.Request) error {
	id, err := ruleID(r)
	if err != nil {
		return err
	}
	o, err := odata.Parse(r.Query, odata.Spec{Entity: entity{}})
	if err != nil {
		return err
	}
	rule, err := h.rules.Get(r.Context(), id)
	if err != nil {
		return err
	}
	return odata.WriteSelected(w, r, http.StatusOK, set+"/$entity", render(rule), o.Select)
}

func (h *handler) create(w http.ResponseWriter, r *api.Request) error {
	var b body
	if err := read(r, &b); err != nil {
		return err
	}
	rule := &custom.Rule{Enabled: true}
	if err := b.apply(rule); err != nil {
		return err
	}
	rule, err := h.rules.Create(r.Context(), rule)
	if err != nil {
		return err
	}
	w.Header().Set("Location", r.BaseURL()+root+"/"+strconv.FormatInt(rule.ID, 10))
	return odata.WriteEntity(w, r, http.StatusCreated, set+"/$entity", render(rule))
}

func (h *handler) update(w http.ResponseWriter, r *api.Request) error {
	id, err := ruleID(r)
	if err != nil {
		return err
	}
	var b body
	if err := read(r, &b); err != nil {
		return err
	}
	rule, err := h.rules.Update(r.Context(), id, b.apply)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, set+"/$entity", render(rule))
}

func (h *handler) delete(w http.ResponseWriter, r *api.Request) error {
	id, err := ruleID(r)
	if err != nil {
		return err
	}
	if err := h.rules.Delete(r.Context(), id); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
