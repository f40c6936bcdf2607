package mde

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
)

// Model is what this package serves of the published service, as $metadata tells it.
func Model() odata.Model {
	return odata.Model{
		Namespace: "microsoft.windowsDefenderATP.api", Container: "Container",
		Sets: []odata.Set{
			{Name: "Alerts", Type: "Alert", Entity: alertEntity{}, Key: "id", Navigate: []odata.Navigation{
				{Name: "machine", Set: "Machines"}, {Name: "user", Set: "Users"}, {Name: "files", Set: "Files", Many: true},
				{Name: "ips", Set: "Ips", Many: true}, {Name: "domains", Set: "Domains", Many: true}}},
			{Name: "Machines", Type: "Machine", Entity: machineEntity{}, Key: "id", Navigate: []odata.Navigation{
				{Name: "alerts", Set: "Alerts", Many: true}, {Name: "logonusers", Set: "Users", Many: true},
				{Name: "machineactions", Set: "MachineActions", Many: true}}},
			{Name: "MachineActions", Type: "MachineAction", Entity: actionEntity{}, Key: "id"},
			{Name: "Indicators", Type: "Indicator", Entity: indicatorEntity{}, Key: "id"},
			{Name: "Investigations", Type: "Investigation", Entity: investigationEntity{}, Key: "id"},
			{Name: "Incidents", Type: "Incident", Entity: incidentEntity{}, Key: "incidentId"},
			{Name: "LibraryFiles", Type: "LibraryFile", Entity: libraryEntity{}, Key: "fileName"},
			{Name: "Users", Type: "User", Entity: userEntity{}, Key: "id", Hidden: true},
			{Name: "Files", Type: "File", Entity: fileEntity{}, Key: "sha1", Hidden: true},
			{Name: "Ips", Type: "Ip", Entity: ipReference{}, Key: "id", Hidden: true},
			{Name: "Domains", Type: "Domain", Entity: domainReference{}, Key: "host", Hidden: true},
		},
		Complex: []odata.Complex{
			{Type: "ImportIndicatorResult", Value: importEntity{}},
			{Type: "InOrgFileStats", Value: fileStats{}}, {Type: "InOrgDomainStats", Value: domainStats{}}, {Type: "InOrgIPStats", Value: ipStats{}},
			{Type: "ActionAvailabilityStatus", Value: availabilityEntity{}},
		},
	}
}

func (a *API) serviceRoutes() []api.Route {
	const open = "it describes the published service and none of its data; clients read it before they have a token"
	return []api.Route{
		{Method: http.MethodGet, Pattern: "/api", Open: open, Handle: a.service,
			Doc: api.Doc{Summary: "The service document", Answer: []odata.ServiceSet{}}},
		{Method: http.MethodGet, Pattern: "/api/$metadata", Open: open, Handle: a.metadata,
			Doc: api.Doc{Summary: "The model as EDMX", Answer: "", AnswerMedia: "application/xml"}},
	}
}

func (a *API) service(w http.ResponseWriter, r *api.Request) error {
	return odata.WriteService(w, r, "/api", Model().With(a.more))
}

func (a *API) metadata(w http.ResponseWriter, _ *api.Request) error {
	doc, err := Model().With(a.more).EDMX()
	if err != nil {
		return err
	}
	return odata.WriteMetadata(w, doc)
}
