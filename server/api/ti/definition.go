package ti

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
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

func definitionsOf(s *indicator.Service) *entitySet[indicator.Definition, definition, ident.DefinitionID] {
	return &entitySet[indicator.Definition, definition, ident.DefinitionID]{
		name: definitionSet, member: "alertDefinitions", spec: definitionSpec, read: readDefinition, render: renderDefinition,
		fresh: func() *indicator.Definition { return &indicator.Definition{Enabled: true} },
		key:   func(d *indicator.Definition) ident.DefinitionID { return d.ID },
		list:  s.Definitions, create: s.CreateDefinitions, update: s.UpdateDefinition, remove: s.DeleteDefinition, removeAll: s.DeleteAllDefinitions,
	}
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

func pageOf[T any](items ...T) filter.Page[T] { return filter.Page[T]{Items: items, Total: -1} }
