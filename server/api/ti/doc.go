package ti

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
)

type definitionBody struct {
	Name                string `json:"Name" doc:"required,max=100"`
	Severity            string `json:"Severity" doc:"required,enum=Informational|Low|Medium|High"`
	InternalDescription string `json:"InternalDescription" doc:"max=350"`
	Title               string `json:"Title" doc:"required,max=120"`
	UxDescription       string `json:"UxDescription" doc:"required,max=500"`
	RecommendedAction   string `json:"RecommendedAction" doc:"max=2000"`
	Category            string `json:"Category"`
	Enabled             bool   `json:"Enabled"`
}

type definitionsBody struct {
	AlertDefinitions []definitionBody `json:"alertDefinitions" doc:"required"`
}

type definitionPatch struct {
	Name                *string `json:"Name" doc:"max=100"`
	Severity            *string `json:"Severity" doc:"enum=Informational|Low|Medium|High"`
	InternalDescription *string `json:"InternalDescription" doc:"max=350"`
	Title               *string `json:"Title" doc:"max=120"`
	UxDescription       *string `json:"UxDescription" doc:"max=500"`
	RecommendedAction   *string `json:"RecommendedAction" doc:"max=2000"`
	Category            *string `json:"Category"`
	Enabled             *bool   `json:"Enabled"`
}

type iocBody struct {
	Type              string  `json:"Type" doc:"required,enum=SHA1|SHA256|MD5|IpAddress|DomainName"`
	Value             string  `json:"Value" doc:"required"`
	DetectionFunction string  `json:"DetectionFunction" doc:"required,enum=Equals|StartWith|EndWith|Contains"`
	ExpiresAt         *string `json:"ExpiresAt" doc:"format=date-time"`
	Enabled           bool    `json:"Enabled"`
	AlertDefinition   string  `json:"AlertDefinition@odata.bind" doc:"required"`
}

type iocsBody struct {
	IOCs []iocBody `json:"iocs" doc:"required"`
}

type iocPatch struct {
	Type              *string `json:"Type" doc:"enum=SHA1|SHA256|MD5|IpAddress|DomainName"`
	Value             *string `json:"Value"`
	DetectionFunction *string `json:"DetectionFunction" doc:"enum=Equals|StartWith|EndWith|Contains"`
	ExpiresAt         *string `json:"ExpiresAt" doc:"format=date-time"`
	Enabled           *bool   `json:"Enabled"`
	AlertDefinition   *string `json:"AlertDefinition@odata.bind"`
}

type referenceBody struct {
	Target string `json:"@odata.id" doc:"required"`
}

// docs is what the routes say of themselves, by method and the path below the root.
func docs() map[string]api.Doc {
	key := []api.Param{{Name: "id", Type: "integer", Example: "1"}}
	list := func(summary string, s odata.Spec, entities any) api.Doc {
		return api.Doc{Summary: summary, Params: odata.Params(s), Answer: entities, Errors: []errs.Code{errs.ODataError}}
	}
	number := func(summary string, s odata.Spec) api.Doc {
		return api.Doc{Summary: summary, Params: odata.CountParams(s), Answer: "", Errors: []errs.Code{errs.ODataError}}
	}
	wrong := []errs.Code{errs.InvalidRequestBody, errs.InvalidInput, errs.MissingRequiredParameter, errs.QuotaExceeded}
	bulk := append(wrong[:len(wrong):len(wrong)], errs.MaximumBatchSizeExceeded)
	gone := func(summary string) api.Doc { return api.Doc{Summary: summary, Status: http.StatusNoContent} }
	keyed := func(d api.Doc) api.Doc { d.Params = append(key, d.Params...); return d }
	const defs, def, iocs, ioc1 = "/AlertDefinitions", "/AlertDefinitions({id})", "/IndicatorsOfCompromise", "/IndicatorsOfCompromise({id})"
	return map[string]api.Doc{
		"GET ":                                  {Summary: "The service document", Answer: []odata.ServiceSet{}},
		"GET /$metadata":                        {Summary: "The model as EDMX", Answer: "", AnswerMedia: "application/xml"},
		"GET " + defs:                           list("List alert definitions", definitionSpec, []definition{}),
		"GET " + defs + "/$count":               number("Count alert definitions", definitionSpec),
		"POST " + defs:                          {Summary: "Create an alert definition", Body: definitionBody{}, Answer: definition{}, Status: http.StatusCreated, Errors: wrong},
		"DELETE " + defs:                        gone("Delete every alert definition"),
		"GET " + def:                            keyed(api.Doc{Summary: "Get an alert definition", Answer: definition{}}),
		"PATCH " + def:                          keyed(api.Doc{Summary: "Change an alert definition", Body: definitionPatch{}, Answer: definition{}, Errors: wrong}),
		"DELETE " + def:                         keyed(gone("Delete an alert definition")),
		"POST " + defs + "/Actions.BulkUpload":  {Summary: "Create alert definitions, all or none", Body: definitionsBody{}, Answer: []definition{}, Errors: bulk},
		"POST " + def + "/Actions.DeleteIOCs":   keyed(gone("Delete the indicators of compromise of an alert definition")),
		"GET " + ioc1 + "/Stats":                keyed(api.Doc{Summary: "What was seen of an indicator of compromise", Answer: stats{}}),
		"GET " + iocs:                           list("List indicators of compromise", iocSpec, []ioc{}),
		"GET " + iocs + "/$count":               number("Count indicators of compromise", iocSpec),
		"POST " + iocs:                          {Summary: "Create an indicator of compromise", Body: iocBody{}, Answer: ioc{}, Status: http.StatusCreated, Errors: wrong},
		"DELETE " + iocs:                        gone("Delete every indicator of compromise"),
		"GET " + ioc1:                           keyed(api.Doc{Summary: "Get an indicator of compromise", Answer: ioc{}}),
		"PATCH " + ioc1:                         keyed(api.Doc{Summary: "Change an indicator of compromise", Body: iocPatch{}, Answer: ioc{}, Errors: wrong}),
		"DELETE " + ioc1:                        keyed(gone("Delete an indicator of compromise")),
		"GET " + ioc1 + "/AlertDefinition":      keyed(api.Doc{Summary: "Get the alert definition of an indicator of compromise", Answer: definition{}}),
		"GET " + ioc1 + "/AlertDefinition/$ref": keyed(api.Doc{Summary: "Get the link of an indicator of compromise to its alert definition", Answer: target{}}),
		"PUT " + ioc1 + "/AlertDefinition/$ref": keyed(api.Doc{Summary: "Bind an indicator of compromise to another alert definition", Body: referenceBody{}, Status: http.StatusNoContent, Errors: wrong}),
		"POST " + iocs + "/Actions.BulkUpload":  {Summary: "Create indicators of compromise, all or none", Body: iocsBody{}, Answer: []ioc{}, Errors: bulk},
	}
}
