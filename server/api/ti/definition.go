package ti

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// definition is an AlertDefinition as it is rendered, members in the samples' order.
type definition struct {
	Name                string  `json:"Name"`
	Severity            string  `json:"Severity"`
	InternalDescription string  `json:"InternalDescription"`
	Title               string  `json:"Title"`
	UxDescription       string  `json:"UxDescription"`
	RecommendedAction   *string `json:"RecommendedAction"`
	Category            string  `json:"Category"`
	ID                  int64   `json:"Id"`
	CreatedAt           when    `json:"CreatedAt"`
	CreatedBy           string  `json:"CreatedBy"`
	LastModifiedAt      when    `json:"LastModifiedAt"`
	LastModifiedBy      *string `json:"LastModifiedBy"`
	Enabled             bool    `json:"Enabled"`
}

func renderDefinition(d *indicator.Definition) definition {
	return definition{
		Name: d.Name, Severity: string(d.Severity), InternalDescription: d.InternalDescription,
		Title: d.Title, UxDescription: d.Description, RecommendedAction: nullable(d.RecommendedAction),
		Category: d.Category, ID: int64(d.ID), Enabled: d.Enabled,
		CreatedAt: when(d.Created), CreatedBy: d.CreatedByName,
		LastModifiedAt: when(d.Modified), LastModifiedBy: nullable(d.ModifiedBy),
	}
}

const definitionSet = "AlertDefinitions"

var definitionSpec = odata.Spec{Fields: indicator.DefinitionFields, Entity: definition{}}

// readDefinition puts the members of o that are there into d. ShortUxDescription is what
// Title was called before February 2017.
func readDefinition(o *api.Object, d *indicator.Definition) error {
	severity := string(d.Severity)
	if err := texts(o, map[string]*string{"ShortUxDescription": &d.Title}); err != nil {
		return err
	}
	err := texts(o, map[string]*string{
		"Name": &d.Name, "Severity": &severity, "InternalDescription": &d.InternalDescription,
		"Title": &d.Title, "UxDescription": &d.Description,
		"RecommendedAction": &d.RecommendedAction, "Category": &d.Category,
	})
	if err != nil {
		return err
	}
	d.Severity = indicator.Severity(severity)
	if o.Has("Enabled") {
		d.Enabled, err = o.Bool("Enabled")
	}
	return err
}

func (h *handler) definitions(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, definitionSpec)
	if err != nil {
		return err
	}
	page, err := h.s.Definitions(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, root+"/$metadata#"+definitionSet, o, page, renderDefinition)
}

func (h *handler) countDefinitions(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, definitionSpec)
	if err != nil {
		return err
	}
	page, err := h.s.Definitions(r.Context(), filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return api.WriteText(w, http.StatusOK, strconv.FormatInt(page.Total, 10))
}

func (h *handler) definition(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	o, err := odata.Parse(r.Query, definitionSpec)
	if err != nil {
		return err
	}
	d, err := h.s.Definition(r.Context(), ident.DefinitionID(n))
	if err != nil {
		return err
	}
	return single(w, r, definitionSet, renderDefinition(d), o.Select)
}

func (h *handler) createDefinition(w http.ResponseWriter, r *api.Request) error {
	o, err := body(r)
	if err != nil {
		return err
	}
	d := &indicator.Definition{Enabled: true}
	if err := readDefinition(o, d); err != nil {
		return err
	}
	if err := h.s.CreateDefinitions(r.Context(), []*indicator.Definition{d}); err != nil {
		return err
	}
	return created(w, r, definitionSet, d.ID.String(), renderDefinition(d))
}

func (h *handler) uploadDefinitions(w http.ResponseWriter, r *api.Request) error {
	list, err := upload(r, "alertDefinitions")
	if err != nil {
		return err
	}
	ds, err := entities("alertDefinitions", list, readDefinition, func() *indicator.Definition { return &indicator.Definition{Enabled: true} })
	if err != nil {
		return err
	}
	if err := h.s.CreateDefinitions(r.Context(), ds); err != nil {
		return err
	}
	return odata.WriteCollection(w, r, root+"/$metadata#"+definitionSet, odata.Options{}, pageOf(ds...), renderDefinition)
}

// upload reads the one list of a bulk upload, and refuses a list that is too long before
// its entities are read.
func upload(r *api.Request, name string) ([]*api.Object, error) {
	o, err := body(r)
	if err != nil {
		return nil, err
	}
	// As published, the object has exactly this one field: what else a client means to
	// upload would be lost without a word.
	for _, other := range o.Names() {
		if !strings.EqualFold(other, name) && !strings.HasPrefix(other, "@") {
			return nil, errs.New("ti.upload", errs.Invalid, errs.InvalidInput, "the body has the member %q; an upload has exactly one, %s", clip(other), name)
		}
	}
	list, err := o.Objects(name)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, errs.New("ti.upload", errs.Invalid, errs.MissingRequiredParameter, "Required parameter %s is missing", name)
	}
	if len(list) > indicator.MaxBulk {
		return nil, errs.New("ti.upload", errs.Invalid, errs.MaximumBatchSizeExceeded, "%s: received %d, allowed %d", name, len(list), indicator.MaxBulk)
	}
	return list, nil
}

// entities reads the entities of a bulk upload into fresh ones. An error names the index.
func entities[E any](name string, list []*api.Object, read func(*api.Object, *E) error, fresh func() *E) ([]*E, error) {
	out := make([]*E, len(list))
	for n, o := range list {
		out[n] = fresh()
		err := read(o.Fold(), out[n])
		var e *errs.E
		place := fmt.Sprintf("%s[%d]", name, n)
		if errors.As(err, &e) && !strings.Contains(e.Detail, place) {
			return nil, &errs.E{Op: "ti.upload", Kind: e.Kind, Code: e.Code, Detail: place + ": " + e.Detail, Err: err}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pageOf[T any](items ...T) filter.Page[T] { return filter.Page[T]{Items: items, Total: -1} }

func (h *handler) patchDefinition(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	o, err := body(r)
	if err != nil {
		return err
	}
	d, err := h.s.UpdateDefinition(r.Context(), ident.DefinitionID(n), func(d *indicator.Definition) error {
		return readDefinition(o, d)
	})
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, root+"/$metadata#"+definitionSet+"/$entity", renderDefinition(d))
}

func (h *handler) deleteDefinition(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	if err := h.s.DeleteDefinition(r.Context(), ident.DefinitionID(n)); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (h *handler) deleteDefinitions(w http.ResponseWriter, r *api.Request) error {
	if err := h.s.DeleteAllDefinitions(r.Context()); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (h *handler) deleteIOCsOf(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	if err := h.s.DeleteIOCsOf(r.Context(), ident.DefinitionID(n)); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
