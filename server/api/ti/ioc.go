package ti

import (
	"context"
	"net/http"
	"slices"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// ioc is an IndicatorOfCompromise as it is rendered, members in the samples' order.
type ioc struct {
	Type              string      `json:"Type"`
	Value             string      `json:"Value"`
	DetectionFunction string      `json:"DetectionFunction"`
	ExpiresAt         when        `json:"ExpiresAt"`
	ID                int64       `json:"Id"`
	CreatedAt         when        `json:"CreatedAt"`
	CreatedBy         string      `json:"CreatedBy"`
	LastModifiedAt    when        `json:"LastModifiedAt"`
	LastModifiedBy    *string     `json:"LastModifiedBy"`
	Enabled           bool        `json:"Enabled"`
	AlertDefinition   *definition `json:"AlertDefinition,omitempty"` // when expanded
}

// typeNames are the types as the service wrote them. Only SHA1 is on record.
var typeNames = map[indicator.Type]string{
	indicator.SHA1: "SHA1", indicator.SHA256: "SHA256", indicator.MD5: "MD5",
	indicator.IPAddress: "IpAddress", indicator.Domain: "DomainName",
}

func renderIOC(i *indicator.IOC) ioc {
	return ioc{
		Type: typeNames[i.Type], Value: i.Value, DetectionFunction: string(i.Function),
		ExpiresAt: when(i.Expires), ID: int64(i.ID), Enabled: i.Enabled,
		CreatedAt: when(i.Created), CreatedBy: i.CreatedByName,
		LastModifiedAt: when(i.Modified), LastModifiedBy: nullable(i.ModifiedBy),
	}
}

const (
	iocSet     = "IndicatorsOfCompromise"
	link       = "AlertDefinition"
	linkBind   = link + "@odata.bind"
	linkTarget = "@odata.id"
)

var iocSpec = odata.Spec{Fields: indicator.IOCFields, Entity: ioc{}, Expand: []string{link}}

// readIOC puts the members of o that are there into i.
func readIOC(o *api.Object, i *indicator.IOC) error {
	typ, function := string(i.Type), string(i.Function)
	err := texts(o, map[string]*string{"Type": &typ, "Value": &i.Value, "DetectionFunction": &function})
	if err != nil {
		return err
	}
	i.Type, i.Function = indicator.Type(typ), indicator.Function(function)
	if o.Has("Enabled") {
		if i.Enabled, err = o.Bool("Enabled"); err != nil {
			return err
		}
	}
	if o.Has("ExpiresAt") {
		if i.Expires, err = o.Time("ExpiresAt"); err != nil {
			return err
		}
	}
	if o.Has(linkBind) {
		target, err := o.String(linkBind)
		if err != nil {
			return err
		}
		n, err := reference(linkBind, target)
		if err != nil {
			return err
		}
		i.Definition = ident.DefinitionID(n)
	}
	return nil
}

func iocsOf(s *indicator.Service) *entitySet[indicator.IOC, ioc, indicator.IOCID] {
	return &entitySet[indicator.IOC, ioc, indicator.IOCID]{
		name: iocSet, member: "iocs", spec: iocSpec, read: readIOC, render: renderIOC,
		fresh: func() *indicator.IOC { return &indicator.IOC{Enabled: true} },
		key:   func(i *indicator.IOC) indicator.IOCID { return i.ID },
		list:  s.IOCs, create: s.CreateIOCs, update: s.UpdateIOC, remove: s.DeleteIOC, removeAll: s.DeleteAllIOCs,
	}
}

func (h *handler) iocs(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, iocSpec)
	if err != nil {
		return err
	}
	page, err := h.s.IOCs(r.Context(), o.Query)
	if err != nil {
		return err
	}
	render, err := h.expander(r.Context(), &o, page.Items)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, root+"/$metadata#"+iocSet, o, page, render)
}

// expander returns the rendering of IOCs, with their definitions when o asks for them.
func (h *handler) expander(ctx context.Context, o *odata.Options, of []*indicator.IOC) (func(*indicator.IOC) ioc, error) {
	if !o.Expands(link) {
		return renderIOC, nil
	}
	if o.Select != nil && !slices.Contains(o.Select, link) {
		o.Select = append(o.Select, link)
	}
	known := map[ident.DefinitionID]*definition{}
	var ask []filter.Value
	for _, i := range of {
		if _, ok := known[i.Definition]; !ok {
			known[i.Definition] = nil
			ask = append(ask, filter.Value{Type: filter.Int, N: int64(i.Definition)})
		}
	}
	field, _ := indicator.DefinitionFields.Find("id")
	for part := range slices.Chunk(ask, 1000) {
		page, err := h.s.Definitions(ctx, filter.Query{Where: filter.In{Field: field, Values: part}, Top: len(part)})
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			e := renderDefinition(d)
			known[d.ID] = &e
		}
	}
	return func(i *indicator.IOC) ioc {
		e := renderIOC(i)
		e.AlertDefinition = known[i.Definition]
		return e
	}, nil
}

func (h *handler) ioc(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	o, err := odata.Parse(r.Query, iocSpec)
	if err != nil {
		return err
	}
	i, err := h.s.IOC(r.Context(), indicator.IOCID(n))
	if err != nil {
		return err
	}
	render, err := h.expander(r.Context(), &o, []*indicator.IOC{i})
	if err != nil {
		return err
	}
	return single(w, r, iocSet, render(i), o.Select)
}

// definitionOf follows the link of an IOC to its definition.
func (h *handler) definitionOf(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, definitionSpec)
	if err != nil {
		return err
	}
	d, err := h.linked(r)
	if err != nil {
		return err
	}
	return single(w, r, definitionSet, renderDefinition(d), o.Select)
}

// linked is the definition of the IOC in the path.
func (h *handler) linked(r *api.Request) (*indicator.Definition, error) {
	n, err := id(r)
	if err != nil {
		return nil, err
	}
	i, err := h.s.IOC(r.Context(), indicator.IOCID(n))
	if err != nil {
		return nil, err
	}
	return h.s.Definition(r.Context(), i.Definition)
}

// target is the answer of a link, as OData has it.
type target struct {
	ID string `json:"@odata.id"`
}

// refOf answers where the link of an IOC leads.
func (h *handler) refOf(w http.ResponseWriter, r *api.Request) error {
	d, err := h.linked(r)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, root+"/$metadata#$ref", target{r.BaseURL() + root + "/" + definitionSet + "(" + d.ID.String() + ")"})
}

// rebind is the one use of PUT: it links an IOC to another definition.
func (h *handler) rebind(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	o, err := body(r)
	if err != nil {
		return err
	}
	target, err := o.RequireString(linkTarget)
	if err != nil {
		return err
	}
	to, err := reference(linkTarget, target)
	if err != nil {
		return err
	}
	_, err = h.s.UpdateIOC(r.Context(), indicator.IOCID(n), func(i *indicator.IOC) error {
		i.Definition = ident.DefinitionID(to)
		return nil
	})
	if err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
