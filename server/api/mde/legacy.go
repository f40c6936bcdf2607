package mde

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/api/preview"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// This file has the forms of before 2019 that older clients still call: tiindicators, find,
// and blocking a file. They work on the same state as what took their place.

// tiIndicatorEntity is the indicator as tiindicators names it.
type tiIndicatorEntity struct {
	Indicator string `json:"indicator"`
	indicatorEntity
}

type tiIndicatorBody struct {
	Indicator string `json:"indicator" doc:"required"`
	indicatorBody
}

func (a *API) legacyRoutes() []api.Route {
	need := []access.Permission{access.TIReadWriteOwn, access.TIReadWrite}
	return []api.Route{
		get("/tiindicators", need, a.getTIIndicators),
		get("/tiindicators/{id}", need, a.getTIIndicator),
		post("/tiindicators", need, a.putTIIndicator),
		{Method: http.MethodDelete, Pattern: "/api/tiindicators/{id}", Need: need, Handle: a.deleteTIIndicator},
		post("/files/{id}/block", need, a.blockFile),
		post("/files/{id}/unblock", need, a.unblockFile),
		get("/machines/find(timestamp={timestamp},key={ip})", machineRead, a.findByIP),
		get("/machines/findbytag(tag={tag},useStartsWithFilter={prefix})", machineRead, a.findByTagArgs),
		get("/machines/findbytag(tag={tag})", machineRead, a.findByTagArgs),
	}
}

func (a *API) legacyDocs() docs {
	body := []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.QuotaExceeded}
	value := api.Param{Name: "id", About: "The value of the indicator, or its id."}
	tag := listed("Find machines by a tag; an older form", a.machineSpec(), []machineEntity{})
	tag.Params = append([]api.Param{{Name: "tag", Example: "'Executive'"}}, tag.Params...)
	tag.Errors = append(tag.Errors, errs.InvalidInput)
	prefix := tag
	prefix.Params = append([]api.Param{{Name: "prefix", Type: "boolean", About: "Whether the tag's beginning suffices.", Example: "true"}}, tag.Params...)
	find := listed("Find machines by an address that they had; an older form", a.machineSpec(), []machineEntity{})
	find.Params = append([]api.Param{{Name: "ip", Example: "'192.0.2.10'"}, {Name: "timestamp", Type: "date-time"}}, find.Params...)
	find.Errors = append(find.Errors, errs.InvalidInput)
	block := func(summary string) api.Doc {
		return api.Doc{Summary: summary, Body: commentBody{}, Answer: preview.FileAction{}, Errors: append([]errs.Code{errs.InvalidHashValue, errs.ResourceNotFound}, body...)}
	}
	return docs{
		"GET /tiindicators":                                  listed("List indicators; of before 2019", a.indicatorSpec(), []tiIndicatorEntity{}),
		"GET /tiindicators/{id}":                             {Summary: "Get an indicator by its value; of before 2019", Params: []api.Param{value}, Answer: tiIndicatorEntity{}, Errors: []errs.Code{errs.ResourceNotFound}},
		"POST /tiindicators":                                 {Summary: "Create or change an indicator; of before 2019", Body: tiIndicatorBody{}, Answer: tiIndicatorEntity{}, Errors: body},
		"DELETE /tiindicators/{id}":                          {Summary: "Delete an indicator by its value; of before 2019", Params: []api.Param{value}, Status: 204, Errors: []errs.Code{errs.ResourceNotFound}},
		"POST /files/{id}/block":                             block("Block a file; of before 2019"),
		"POST /files/{id}/unblock":                           block("Block a file no more; of before 2019"),
		"GET /machines/find(timestamp={timestamp},key={ip})": find,
		"GET /machines/findbytag(tag={tag},useStartsWithFilter={prefix})": prefix,
		"GET /machines/findbytag(tag={tag})":                              tag,
	}
}

func tiIndicatorOf(i *indicator.Indicator) tiIndicatorEntity {
	return tiIndicatorEntity{Indicator: i.Value, indicatorEntity: indicatorOf(i)}
}

func (a *API) getTIIndicators(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.indicatorSpec())
	if err != nil {
		return err
	}
	page, err := a.indicators.Indicators(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("TiIndicators"), o, page, tiIndicatorOf)
}

// indicatorOfValue finds the indicator of a value, or of an id.
func (a *API) indicatorOfValue(r *api.Request, value string) (*indicator.Indicator, error) {
	f, _ := indicator.Fields.Find("indicatorValue")
	page, err := a.indicators.Indicators(r.Context(), filter.Query{Top: 1, Where: filter.Compare{Field: f, Value: filter.Value{Type: filter.String, S: value}}})
	if err != nil {
		return nil, err
	}
	if len(page.Items) > 0 {
		return page.Items[0], nil
	}
	id, err := indicatorID(value)
	if err != nil {
		return nil, err
	}
	return a.indicators.Indicator(r.Context(), id)
}

func (a *API) getTIIndicator(w http.ResponseWriter, r *api.Request) error {
	i, err := a.indicatorOfValue(r, r.Var("id"))
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("TiIndicators/$entity"), tiIndicatorOf(i))
}

func (a *API) putTIIndicator(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	in, err := readIndicator(body.Alias("indicator", "indicatorValue"))
	if err != nil {
		return err
	}
	out, err := a.indicators.Put(r.Context(), in)
	if err != nil {
		return quotaAsInput(err)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("TiIndicators/$entity"), tiIndicatorOf(out))
}

func (a *API) deleteTIIndicator(w http.ResponseWriter, r *api.Request) error {
	i, err := a.indicatorOfValue(r, r.Var("id"))
	if err != nil {
		return err
	}
	if err := a.indicators.DeleteIndicators(r.Context(), []ident.IndicatorID{i.ID}); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

// fileChange reads what block and unblock take.
func fileChange(r *api.Request) (thing, string, error) {
	t, err := namedFile(r)
	if err != nil {
		return t, "", err
	}
	body, err := r.JSON()
	if err != nil {
		return t, "", err
	}
	comment, err := body.RequireString("Comment")
	return t, comment, err
}

// blockFile keeps an indicator that blocks the file and puts it into quarantine, which is
// what took the place of blocking.
func (a *API) blockFile(w http.ResponseWriter, r *api.Request) error {
	t, comment, err := fileChange(r)
	if err != nil {
		return err
	}
	kind := indicator.FileSHA1
	if len(t.value) == 64 {
		kind = indicator.FileSHA256
	}
	i, err := a.indicators.Put(r.Context(), &indicator.Indicator{CreatedBySource: publicAPI, Value: t.value, Type: kind,
		Action: indicator.BlockAndRemediate, Title: "Blocked file " + t.value, Description: comment})
	if err != nil {
		return quotaAsInput(err)
	}
	return writeFileAction(w, r, preview.ActionOn(i, preview.Block, preview.Blocked), comment)
}

func (a *API) unblockFile(w http.ResponseWriter, r *api.Request) error {
	t, comment, err := fileChange(r)
	if err != nil {
		return err
	}
	i, err := a.indicatorOfValue(r, t.value)
	if err != nil {
		return err
	}
	if !slices.Contains([]indicator.Action{indicator.Block, indicator.BlockAndRemediate, "AlertAndBlock"}, i.Action) {
		return errs.New("mde.unblock", errs.NotFound, errs.ResourceNotFound, "File %s is not blocked", t.value)
	}
	if err := a.indicators.DeleteIndicators(r.Context(), []ident.IndicatorID{i.ID}); err != nil {
		return err
	}
	return writeFileAction(w, r, preview.ActionOn(i, preview.Unblock, preview.Unblocked), comment)
}

// writeFileAction answers with what the caller has just done.
func writeFileAction(w http.ResponseWriter, r *api.Request, f preview.FileAction, comment string) error {
	f.Requestor, f.RequestorComment = cmp.Or(r.Caller.Name, r.Caller.ID), comment
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("FileActions/$entity"), f)
}

// findByTagArgs takes the tag as an argument in the path.
func (a *API) findByTagArgs(w http.ResponseWriter, r *api.Request) error {
	r.Query["tag"], r.Query["usestartswithfilter"] = r.Var("tag"), r.Var("prefix")
	return a.findByTag(w, r)
}
