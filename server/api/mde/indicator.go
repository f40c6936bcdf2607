package mde

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// indicatorFields is what indicators may be filtered and ordered by. The time of the last
// update is not among them, as in the published API: an indicator that was never changed
// shows its creation there.
var indicatorFields = slices.DeleteFunc(slices.Clone(indicator.Fields), func(f filter.Field) bool { return f.Name == "lastUpdateTime" })

func (a *API) indicatorRoutes() []api.Route {
	need := []access.Permission{access.TIReadWriteOwn, access.TIReadWrite}
	return []api.Route{
		get("/indicators", need, a.getIndicators),
		get("/indicators/$count", need, a.countIndicators),
		get("/indicators/{id}", need, a.getIndicator),
		get("/indicators/{id}/stats", need, a.getIndicatorStats),
		get("/vedette/indicators/coverage", need, a.getCoverage),
		get("/vedette/indicators/expired", need, a.getExpiredIndicators),
		post("/indicators", need, a.putIndicator),
		limited(api.Limit{PerMinute: 30}, post("/indicators/import", need, a.importIndicators)),
		limited(api.Limit{PerMinute: 30}, post("/indicators/BatchDelete", need, a.deleteIndicators)),
		{Method: http.MethodDelete, Pattern: "/api/indicators/{id}", Need: need, Handle: a.deleteIndicator},
	}
}

func (a *API) getIndicators(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.indicatorSpec())
	if err != nil {
		return err
	}
	page, err := a.indicators.Indicators(r.Context(), o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("Indicators"), o, page, indicatorOf)
}

func (a *API) countIndicators(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.indicatorSpec())
	if err != nil {
		return err
	}
	page, err := a.indicators.Indicators(r.Context(), filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

// indicatorID reads an id. What is no id names no indicator.
func indicatorID(s string) (ident.IndicatorID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, errs.New("mde.indicator", errs.NotFound, errs.ResourceNotFound, "Indicator %s was not found", s)
	}
	return ident.IndicatorID(n), nil
}

func (a *API) getIndicator(w http.ResponseWriter, r *api.Request) error {
	id, err := indicatorID(r.Var("id"))
	if err != nil {
		return err
	}
	i, err := a.indicators.Indicator(r.Context(), id)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Indicators/$entity"), indicatorOf(i))
}

func (a *API) putIndicator(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	in, err := readIndicator(body)
	if err != nil {
		return err
	}
	out, err := a.indicators.Put(r.Context(), in)
	if err != nil {
		return quotaAsInput(err)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Indicators/$entity"), indicatorOf(out))
}

// quotaAsInput answers a used-up quota as the published API does here: with 400. The
// custom TI API alone has 507 for it.
func quotaAsInput(err error) error {
	var e *errs.E
	if errors.As(err, &e) && e.Kind == errs.Exhausted {
		return &errs.E{Op: e.Op, Kind: errs.Invalid, Code: e.Code, Detail: e.Detail, Err: err}
	}
	return err
}

// readIndicator reads one indicator of a body; what is in it is the service's to judge.
func readIndicator(body *api.Object) (*indicator.Indicator, error) {
	i := &indicator.Indicator{CreatedBySource: publicAPI}
	var kind, action, severity string
	for name, to := range map[string]*string{
		"indicatorValue": &i.Value, "indicatorType": &kind, "action": &action, "application": &i.Application, "title": &i.Title,
		"description": &i.Description, "severity": &severity, "recommendedActions": &i.Recommended, "educateUrl": &i.EducateURL,
		"externalId": &i.ExternalID,
	} {
		s, err := body.String(name)
		if err != nil {
			return nil, err
		}
		*to = s
	}
	i.Type, i.Action, i.Severity = indicator.Type(kind), indicator.Action(action), indicator.Severity(severity)
	for _, name := range []string{"indicatorValue", "indicatorType", "action", "title", "description"} {
		if _, err := body.RequireString(name); err != nil {
			return nil, err
		}
	}
	id, err := body.Int("id")
	if err != nil {
		return nil, err
	}
	i.ID = ident.IndicatorID(id)
	for name, to := range map[string]*bool{"generateAlert": &i.GenerateAlert, "historicalDetection": &i.Historical} {
		if *to, err = body.Bool(name); err != nil {
			return nil, err
		}
	}
	for name, to := range map[string]*[]string{"rbacGroupNames": &i.Groups, "rbacGroupIds": &i.GroupIDs, "mitreTechniques": &i.Techniques} {
		if *to, err = body.Texts(name); err != nil {
			return nil, err
		}
	}
	// Playbooks fill what they do not know with "".
	if s, err := body.String("expirationTime"); err != nil || s != "" {
		if i.Expires, err = body.Time("expirationTime"); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func (a *API) importIndicators(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	items, err := body.Objects("Indicators")
	if err != nil {
		return err
	}
	switch {
	case len(items) == 0:
		return errs.New("mde.import", errs.Invalid, errs.MissingRequiredParameter, "Required parameter Indicators is missing or empty")
	case len(items) > indicator.MaxImport:
		return errs.New("mde.import", errs.Invalid, errs.MaximumBatchSizeExceeded, "Indicators: received %d, allowed %d", len(items), indicator.MaxImport)
	}
	out := make([]importEntity, len(items))
	var good []*indicator.Indicator
	var index []int
	for n, item := range items {
		i, err := readIndicator(item)
		if err != nil {
			out[n] = failed(item, err)
			continue
		}
		good, index = append(good, i), append(index, n)
	}
	if len(good) > 0 {
		results, err := a.indicators.Import(r.Context(), good)
		if err != nil {
			return quotaAsInput(err)
		}
		for k, res := range results {
			if res.Err != nil {
				out[index[k]] = failed(items[index[k]], res.Err)
				continue
			}
			out[index[k]] = importEntity{ID: optional(res.Indicator.ID.String()), Indicator: res.Indicator.Value}
		}
	}
	return odata.WriteCollection(w, r, kindOf("Collection(microsoft.windowsDefenderATP.api.ImportIndicatorResult)"), odata.Options{}, filter.Page[importEntity]{Items: out},
		func(e importEntity) importEntity { return e })
}

// failed is the result of an item that was not imported, under the value it was sent with.
func failed(item *api.Object, err error) importEntity {
	value, _ := item.String("indicatorValue")
	reason := "an internal error occurred"
	var e *errs.E
	if errors.As(err, &e) && e.Kind != errs.Internal {
		reason = e.Detail
	}
	return importEntity{Indicator: value, IsFailed: true, FailureReason: &reason}
}

func (a *API) deleteIndicator(w http.ResponseWriter, r *api.Request) error {
	id, err := indicatorID(r.Var("id"))
	if err != nil {
		return err
	}
	if err := a.indicators.DeleteIndicators(r.Context(), []ident.IndicatorID{id}); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (a *API) deleteIndicators(w http.ResponseWriter, r *api.Request) error {
	const op = "mde.BatchDelete"
	body, err := r.JSON()
	if err != nil {
		return err
	}
	texts, err := body.Texts("IndicatorIds")
	if err != nil {
		return err
	}
	switch {
	case len(texts) == 0:
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter IndicatorIds is missing or empty")
	case len(texts) > indicator.MaxImport:
		return errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "IndicatorIds: received %d, allowed %d", len(texts), indicator.MaxImport)
	}
	ids := make([]ident.IndicatorID, len(texts))
	for n, s := range texts {
		id, err := strconv.ParseInt(s, 10, 64)
		if err != nil || id <= 0 {
			return errs.New(op, errs.Invalid, errs.InvalidInput, "Invalid input: IndicatorIds[%d] is %q, not the id of an indicator", n, s)
		}
		ids[n] = ident.IndicatorID(id)
	}
	if err := a.indicators.DeleteIndicators(r.Context(), ids); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func indicatorOf(i *indicator.Indicator) indicatorEntity {
	e := indicatorEntity{
		ID: i.ID.String(), IndicatorValue: i.Value, IndicatorType: string(i.Type), Action: string(i.Action),
		CreatedBy: i.CreatedBy, CreatedByDisplayName: i.CreatedByName, CreatedBySource: optional(i.CreatedBySource),
		Severity: string(i.Severity), Category: 1, Application: optional(i.Application), EducateURL: optional(i.EducateURL),
		Title: i.Title, Description: i.Description, RecommendedActions: optional(i.Recommended),
		CreationTimeDateTimeUTC: stamp(i.Created), ExpirationTime: stamp(i.Expires), LastUpdateTime: stamp(i.Modified),
		LastUpdatedBy: optional(i.ModifiedBy), RBACGroupNames: list(i.Groups), RBACGroupIDs: list(i.GroupIDs),
		MITRETechniques: list(i.Techniques), HistoricalDetection: i.Historical, GenerateAlert: i.GenerateAlert,
		ExternalID: optional(i.ExternalID),
	}
	if i.Modified.IsZero() {
		e.LastUpdateTime = stamp(i.Created)
	}
	return e
}
