package tvm

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

func stamp(t time.Time) odata.DateTime { return odata.DateTime(t) }

func (a *API) scoreRoutes() []api.Route {
	return []api.Route{
		get("/exposureScore", "Get the exposure score", scoreRead, scoreEntity{}, a.exposureScore),
		get("/exposureScore/ByMachineGroups", "List the exposure scores of device groups", scoreRead, []scoreEntity{}, a.groupScores),
		get("/configurationScore", "Get the configuration score", scoreRead, scoreEntity{}, a.configurationScore),
		limited(30, 1000, get("/deviceavinfo", "List the antivirus health of devices", machineRead, []deviceAVEntity{}, a.deviceAV)),
		limited(30, 1000, get("/public/avdeviceshealth", "List the antivirus health of devices; its name in the release notes", machineRead, []deviceAVEntity{}, a.deviceAV)),
	}
}

func (a *API) exposureScore(w http.ResponseWriter, r *api.Request) error {
	x, _, err := a.service.ExposureScore(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("ExposureScore/$entity"), scoreEntity{Time: stamp(x.Time), Score: x.Score})
}

func (a *API) groupScores(w http.ResponseWriter, r *api.Request) error {
	_, all, err := a.service.ExposureScore(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	f := a.fleet(r)
	return whole(w, r, "ExposureScore", all, func(x vulnerability.Exposure) scoreEntity {
		return scoreEntity{Time: stamp(x.Time), Score: x.Score, RBACGroupName: optional(f.groups[x.Group]), RBACGroupID: &x.Group}
	})
}

func (a *API) configurationScore(w http.ResponseWriter, r *api.Request) error {
	score, err := a.service.ConfigurationScore(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("ConfigurationScore/$entity"), scoreEntity{Time: stamp(a.now()), Score: score})
}

// deviceAV answers what the agents' scans tell of antivirus on devices. It has no mode: an
// agent looks for malware when it is asked to, and in what indicators block, so that it is
// none of the published ones. Whether versions are the newest is not known here.
func (a *API) deviceAV(w http.ResponseWriter, r *api.Request) error {
	f := a.fleet(r)
	return listing(w, r, "DeviceAvInfo", f.protection, func(ctx context.Context, q filter.Query) (filter.Page[*device.Protection], error) {
		return a.devices.Protections(ctx, r.Caller.Tenant, q)
	})
}

func (f *fleet) protection(p *device.Protection) deviceAVEntity {
	d, av := p.Device, &p.Antivirus
	return deviceAVEntity{ID: string(d.ID), MachineID: string(d.ID), ComputerDNSName: optional(d.Name), OSKind: device.OSKind(d.Platform), OSPlatform: optional(d.Platform),
		OSVersion: optional(d.Inventory.Version), AVPlatformVersion: optional(d.AgentVersion), AVEngineVersion: optional(av.Engine), AVSignatureVersion: optional(av.Signatures),
		AVSignaturePublishTime: stamp(av.Published), AVIsSignatureUpToDate: device.UpToDate, AVIsEngineUpToDate: device.UpToDate, AVIsPlatformUpToDate: device.UpToDate,
		QuickScanResult: string(av.Quick.Result), QuickScanError: av.Quick.Error, QuickScanTime: stamp(av.Quick.At),
		FullScanResult: string(av.Full.Result), FullScanError: av.Full.Error, FullScanTime: stamp(av.Full.At),
		AVSignatureRefreshTime: stamp(av.Seen), DataRefreshTimestamp: stamp(d.LastReport), LastSeenTime: stamp(d.LastSeen),
		RBACGroupName: optional(f.groups[d.Group]), RBACGroupID: d.Group}
}

func (a *API) softwareRoutes() []api.Route {
	return []api.Route{
		get("/Software", "List software", softwareRead, []softwareEntity{}, a.listSoftware),
		get("/Software/{id}", "Get a product", softwareRead, softwareEntity{}, a.getSoftware),
		get("/Software/{id}/distributions", "List the versions of a product", softwareRead, []distributionEntity{}, a.distributions),
		get("/Software/{id}/machineReferences", "List the devices that hold a product", softwareRead, []machineReference{}, a.softwareMachines),
		get("/Software/{id}/vulnerabilities", "List the vulnerabilities of a product", vulnerabilityRead, []vulnerabilityEntity{}, a.softwareVulnerabilities),
		get("/Software/{id}/getmissingkbs", "List the Microsoft updates that a product lacks", softwareRead, []fixEntity{}, a.softwareFixes),
		get("/machines/{id}/software", "List the software of a device", softwareRead, []softwareEntity{}, a.machineSoftware),
		limited(50, 1500, get("/machines/{id}/vulnerabilities", "List the vulnerabilities of a device", vulnerabilityRead, []vulnerabilityEntity{}, a.machineVulnerabilities)),
		get("/machines/{id}/recommendations", "List the recommendations for a device", recommendationRead, []recommendationEntity{}, a.machineRecommendations),
		get("/machines/{id}/getmissingkbs", "List the Microsoft updates that a device lacks", softwareRead, []fixEntity{}, a.machineFixes),
	}
}

func softwareOf(p *vulnerability.Product) softwareEntity {
	e := softwareEntity{ID: p.ID, Name: p.Name, Vendor: p.Vendor, Weaknesses: p.Weaknesses, ExposedMachines: p.Exposed}
	if p.Installed > 0 {
		e.ImpactScore = vulnerability.Score(p.Points / float64(p.Installed))
	}
	return e
}

func (a *API) products(w http.ResponseWriter, r *api.Request, n vulnerability.Narrow) error {
	return listing(w, r, "Software", softwareOf, func(ctx context.Context, q filter.Query) (filter.Page[*vulnerability.Product], error) {
		return a.service.Products(ctx, r.Caller.Tenant, n, q)
	})
}

func (a *API) listSoftware(w http.ResponseWriter, r *api.Request) error {
	return a.products(w, r, vulnerability.Narrow{})
}

func (a *API) getSoftware(w http.ResponseWriter, r *api.Request) error {
	p, err := a.service.Product(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Software/$entity"), softwareOf(p))
}

// product returns the product that a path names: each of its lists is 404 without it.
func (a *API) product(r *api.Request) (string, error) {
	p, err := a.service.Product(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return "", err
	}
	return p.ID, nil
}

func (a *API) distributions(w http.ResponseWriter, r *api.Request) error {
	id, err := a.product(r)
	if err != nil {
		return err
	}
	all, err := a.service.Distributions(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return err
	}
	return whole(w, r, "Distributions", all, func(d vulnerability.Distribution) distributionEntity { return distributionEntity(d) })
}

func (a *API) softwareMachines(w http.ResponseWriter, r *api.Request) error {
	id, err := a.product(r)
	if err != nil {
		return err
	}
	return a.references(w, r, vulnerability.Narrow{Product: id})
}

func (a *API) softwareVulnerabilities(w http.ResponseWriter, r *api.Request) error {
	id, err := a.product(r)
	if err != nil {
		return err
	}
	return a.vulnerabilities(w, r, "Collection(Analytics.Contracts.PublicAPI.PublicVulnerabilityDto)", vulnerability.Narrow{Product: id})
}

// fixes answers the Microsoft updates that are missing: of Linux there are none.
func fixes(w http.ResponseWriter, r *api.Request) error {
	return whole(w, r, "Collection(microsoft.windowsDefenderATP.api.PublicProductFixDto)", []fixEntity{}, func(f fixEntity) fixEntity { return f })
}

func (a *API) softwareFixes(w http.ResponseWriter, r *api.Request) error {
	if _, err := a.product(r); err != nil {
		return err
	}
	return fixes(w, r)
}

func (a *API) machineFixes(w http.ResponseWriter, r *api.Request) error {
	if _, err := a.device(r); err != nil {
		return err
	}
	return fixes(w, r)
}

func (a *API) machineSoftware(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r)
	if err != nil {
		return err
	}
	return a.products(w, r, vulnerability.Narrow{Device: d.ID})
}

func (a *API) machineVulnerabilities(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r)
	if err != nil {
		return err
	}
	return a.vulnerabilities(w, r, "Collection(Analytics.Contracts.PublicAPI.PublicVulnerabilityDto)", vulnerability.Narrow{Device: d.ID})
}

func (a *API) machineRecommendations(w http.ResponseWriter, r *api.Request) error {
	d, err := a.device(r)
	if err != nil {
		return err
	}
	return a.recommendations(w, r, vulnerability.Narrow{Device: d.ID})
}

func (a *API) vulnerabilityRoutes() []api.Route {
	return []api.Route{
		get("/vulnerabilities", "List vulnerabilities", vulnerabilityRead, []vulnerabilityEntity{}, a.listVulnerabilities),
		get("/vulnerabilities/machinesVulnerabilities", "List the vulnerabilities of devices by software", vulnerabilityRead, []assetEntity{}, a.listAssets),
		get("/vulnerabilities/{id}", "Get a vulnerability", vulnerabilityRead, vulnerabilityEntity{}, a.getVulnerability),
		get("/vulnerabilities/{id}/machineReferences", "List the devices that have a vulnerability", vulnerabilityRead, []machineReference{}, a.vulnerabilityMachines),
	}
}

func vulnerabilityOf(v *vulnerability.Vulnerability) vulnerabilityEntity {
	return vulnerabilityEntity{ID: v.ID, Name: v.ID, Description: optional(v.Description), Severity: optional(v.Severity), CVSSV3: optional(v.CVSS),
		CVSSVector: optional(v.Vector), ExposedMachines: v.Exposed, PublishedOn: stamp(v.Published), UpdatedOn: stamp(v.Modified), FirstDetected: stamp(v.Detected),
		ExploitVerified: v.Verified, ExploitTypes: []string{}, ExploitURIs: []string{}, CVESupportability: "Supported"}
}

func (a *API) vulnerabilities(w http.ResponseWriter, r *api.Request, set string, n vulnerability.Narrow) error {
	return listing(w, r, set, vulnerabilityOf, func(ctx context.Context, q filter.Query) (filter.Page[*vulnerability.Vulnerability], error) {
		return a.service.Vulnerabilities(ctx, r.Caller.Tenant, n, q)
	})
}

func (a *API) listVulnerabilities(w http.ResponseWriter, r *api.Request) error {
	return a.vulnerabilities(w, r, "Vulnerabilities", vulnerability.Narrow{})
}

func (a *API) getVulnerability(w http.ResponseWriter, r *api.Request) error {
	v, err := a.service.Vulnerability(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Vulnerabilities/$entity"), vulnerabilityOf(v))
}

func (a *API) vulnerabilityMachines(w http.ResponseWriter, r *api.Request) error {
	v, err := a.service.Vulnerability(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	return a.references(w, r, vulnerability.Narrow{Vulnerability: v.ID})
}

func (a *API) listAssets(w http.ResponseWriter, r *api.Request) error {
	render := func(x *vulnerability.Asset) assetEntity {
		id := strings.Join([]string{string(x.Device), x.Finding.Vulnerability, x.Software.Vendor, x.Software.Name, x.Software.Version, ""}, "-_-")
		return assetEntity{ID: id, CVEID: x.Finding.Vulnerability, MachineID: string(x.Device), ProductName: x.Software.Name,
			ProductVendor: x.Software.Vendor, ProductVersion: x.Software.Version, Severity: optional(x.Severity)}
	}
	return listing(w, r, "Collection(microsoft.windowsDefenderATP.api.PublicAssetVulnerabilityDto)", render,
		func(ctx context.Context, q filter.Query) (filter.Page[*vulnerability.Asset], error) {
			return a.service.Assets(ctx, r.Caller.Tenant, vulnerability.Narrow{}, q)
		})
}

type exceptionBody struct {
	Reason  string `json:"reason" doc:"required,max=2000"`
	Expires string `json:"expirationDateTimeUtc" doc:"format=date-time"`
}

// exceptionEntity is why a recommendation is not followed, and until when.
type exceptionEntity struct {
	Reason  string         `json:"reason"`
	By      string         `json:"createdBy"`
	At      odata.DateTime `json:"creationDateTimeUtc"`
	Expires odata.DateTime `json:"expirationDateTimeUtc"` // null for never
}

func (a *API) recommendationRoutes() []api.Route {
	const own = "/vedette/recommendations/{id}/exception"
	return []api.Route{
		get("/recommendations", "List recommendations", recommendationRead, []recommendationEntity{}, a.listRecommendations),
		get("/recommendations/{id}", "Get a recommendation", recommendationRead, recommendationEntity{}, a.getRecommendation),
		delegated(access.RecommendationRead, get("/recommendations/{id}/software", "Get the product of a recommendation", softwareRead, softwareEntity{}, a.recommendationSoftware)),
		get("/recommendations/{id}/machineReferences", "List the devices that a recommendation is for", recommendationRead, []machineReference{}, a.recommendationMachines),
		get("/recommendations/{id}/vulnerabilities", "List what a recommendation mends", vulnerabilityRead, []vulnerabilityEntity{}, a.recommendationVulnerabilities),
		get(own, "Get the exception of a recommendation", recommendationRead, exceptionEntity{}, a.getException),
		change(http.MethodPost, own, "Make an exception of a recommendation", configure, exceptionBody{}, recommendationEntity{}, a.except),
		change(http.MethodDelete, own, "End the exception of a recommendation", configure, nil, recommendationEntity{}, a.unexcept),
	}
}

func recommendationOf(v *vulnerability.Recommendation) recommendationEntity {
	e := recommendationEntity{ID: v.ID, RecommendationName: v.Title, Weaknesses: v.Weakness, Vendor: optional(v.Vendor), RecommendedVersion: optional(v.Version),
		RecommendationCategory: v.Category, SubCategory: optional(v.Subcategory), SeverityScore: optional(v.Severity), AssociatedThreats: []string{},
		RemediationType: v.Remediation, Status: v.Status(), TotalMachineCount: v.Total, ExposedMachinesCount: v.Exposed, RelatedComponent: v.Name}
	if v.Check == "" {
		e.ProductName, e.RecommendedVendor = optional(v.Name), optional(v.Vendor)
	}
	if v.Total > 0 {
		e.ConfigScoreImpact = v.Impact * float64(v.Exposed) / float64(v.Total)
		e.ExposureImpact = vulnerability.Score(v.Points / float64(v.Total))
	}
	return e
}

func (a *API) recommendations(w http.ResponseWriter, r *api.Request, n vulnerability.Narrow) error {
	return listing(w, r, "Recommendations", recommendationOf, func(ctx context.Context, q filter.Query) (filter.Page[*vulnerability.Recommendation], error) {
		return a.service.Recommendations(ctx, r.Caller.Tenant, n, q)
	})
}

func (a *API) listRecommendations(w http.ResponseWriter, r *api.Request) error {
	return a.recommendations(w, r, vulnerability.Narrow{})
}

func (a *API) recommendation(r *api.Request) (*vulnerability.Recommendation, error) {
	return a.service.Recommendation(r.Context(), r.Caller.Tenant, r.Var("id"))
}

func (a *API) writeRecommendation(w http.ResponseWriter, r *api.Request, v *vulnerability.Recommendation, err error) error {
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Recommendations/$entity"), recommendationOf(v))
}

func (a *API) getRecommendation(w http.ResponseWriter, r *api.Request) error {
	v, err := a.recommendation(r)
	return a.writeRecommendation(w, r, v, err)
}

func (a *API) except(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	reason, err := body.RequireString("reason")
	if err != nil {
		return err
	}
	expires, err := body.Time("expirationDateTimeUtc")
	if err != nil {
		return err
	}
	v, err := a.service.Except(r.Context(), r.Caller, r.Var("id"), &vulnerability.Exception{Reason: reason, Expires: expires})
	return a.writeRecommendation(w, r, v, err)
}

func (a *API) getException(w http.ResponseWriter, r *api.Request) error {
	v, err := a.recommendation(r)
	if err != nil {
		return err
	}
	e := v.Exception
	if e == nil {
		return errs.New("tvm.exception", errs.NotFound, errs.ResourceNotFound, "There is no exception of the recommendation %s", v.ID)
	}
	return api.WriteJSON(w, r, http.StatusOK, exceptionEntity{e.Reason, e.By, stamp(e.At), stamp(e.Expires)})
}

func (a *API) unexcept(w http.ResponseWriter, r *api.Request) error {
	v, err := a.service.Except(r.Context(), r.Caller, r.Var("id"), nil)
	return a.writeRecommendation(w, r, v, err)
}

func (a *API) recommendationSoftware(w http.ResponseWriter, r *api.Request) error {
	v, err := a.recommendation(r)
	if err != nil {
		return err
	}
	if v.Product == "" {
		return errs.New("tvm.recommendation", errs.NotFound, errs.ResourceNotFound, "The recommendation is about no product")
	}
	p, err := a.service.Product(r.Context(), r.Caller.Tenant, v.Product)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Analytics.Contracts.PublicAPI.PublicProductDto"), softwareOf(p))
}

func (a *API) recommendationMachines(w http.ResponseWriter, r *api.Request) error {
	v, err := a.recommendation(r)
	if err != nil {
		return err
	}
	return a.references(w, r, vulnerability.Needing(v.Product, v.Check))
}

func (a *API) recommendationVulnerabilities(w http.ResponseWriter, r *api.Request) error {
	v, err := a.recommendation(r)
	if err != nil {
		return err
	}
	const set = "Collection(Analytics.Contracts.PublicAPI.PublicVulnerabilityDto)"
	if v.Product == "" {
		return whole(w, r, set, []vulnerabilityEntity{}, func(e vulnerabilityEntity) vulnerabilityEntity { return e })
	}
	return a.vulnerabilities(w, r, set, vulnerability.Narrow{Product: v.Product, Fixable: true})
}

type taskBody struct {
	Recommendation string `json:"recommendationId" doc:"required"`
	Title          string `json:"title" doc:"max=512"`
	Description    string `json:"description" doc:"max=4000"`
	Priority       string `json:"priority" doc:"enum=Low|Medium|High"`
	Notes          string `json:"requesterNotes" doc:"max=4000"`
	Due            string `json:"dueOn" doc:"format=date-time"`
}

func (a *API) taskRoutes() []api.Route {
	created := change(http.MethodPost, "/vedette/remediationTasks", "Ask for a remediation", configure, taskBody{}, taskEntity{}, a.createTask)
	created.Doc.Status = http.StatusCreated
	return []api.Route{
		get("/remediationTasks", "List remediation activities", tasksRead, []taskEntity{}, a.listTasks),
		get("/remediationTasks/{id}", "Get a remediation activity", tasksRead, taskEntity{}, a.getTask),
		get("/remediationTasks/{id}/machineReferences", "List the devices that a remediation activity has left", tasksRead, []machineReference{}, a.taskMachines),
		created,
		change(http.MethodPost, "/vedette/remediationTasks/{id}/complete", "Complete a remediation activity", configure, nil, taskEntity{}, a.completeTask),
	}
}

func taskOf(t *vulnerability.Task) taskEntity {
	e := taskEntity{ID: t.ID, Title: t.Title, CreatedOn: stamp(t.Created), RequesterID: t.RequesterID, RequesterEmail: optional(t.Requester), Status: t.Status,
		StatusLastModified: stamp(t.Changed), Description: optional(t.Description), TargetDevices: t.Targets, RBACGroupNames: []string{},
		FixedDevices: max(0, t.Targets-t.Remaining), RequesterNotes: optional(t.Notes), DueOn: stamp(t.Due), Priority: t.Priority, Type: t.Type,
		SCID: optional(t.Check), ProductID: optional(t.Product), RecommendedVersion: optional(t.Version), RecommendationRefID: t.Recommendation}
	e.Category, e.RelatedComponent = "Software", t.Product
	if t.Check != "" {
		e.Category, e.RelatedComponent = "Security controls", t.Check
	}
	if vendor, name, ok := strings.Cut(t.Product, "-_-"); ok {
		e.VendorID, e.NameID, e.RecommendedVendor = &vendor, &name, &vendor
	}
	if t.Status == "Completed" {
		method := "Manual"
		e.CompletionMethod, e.CompleterEmail = &method, optional(t.Completer)
	}
	return e
}

func (a *API) listTasks(w http.ResponseWriter, r *api.Request) error {
	return listing(w, r, "RemediationTasks", taskOf, func(ctx context.Context, q filter.Query) (filter.Page[*vulnerability.Task], error) {
		return a.service.Tasks(ctx, r.Caller.Tenant, q)
	})
}

func (a *API) writeTask(w http.ResponseWriter, r *api.Request, status int, t *vulnerability.Task, err error) error {
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, status, kindOf("RemediationTasks/$entity"), taskOf(t))
}

func (a *API) getTask(w http.ResponseWriter, r *api.Request) error {
	t, err := a.service.Task(r.Context(), r.Caller.Tenant, r.Var("id"))
	return a.writeTask(w, r, http.StatusOK, t, err)
}

func (a *API) taskMachines(w http.ResponseWriter, r *api.Request) error {
	t, err := a.service.Task(r.Context(), r.Caller.Tenant, r.Var("id"))
	if err != nil {
		return err
	}
	return a.references(w, r, vulnerability.Needing(t.Product, t.Check))
}

func (a *API) createTask(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var req vulnerability.TaskRequest
	if req.Recommendation, err = body.RequireString("recommendationId"); err != nil {
		return err
	}
	for name, to := range map[string]*string{"title": &req.Title, "description": &req.Description, "priority": &req.Priority, "requesterNotes": &req.Notes} {
		if *to, err = body.String(name); err != nil {
			return err
		}
	}
	if req.Due, err = body.Time("dueOn"); err != nil {
		return err
	}
	t, err := a.service.NewTask(r.Context(), r.Caller, req)
	return a.writeTask(w, r, http.StatusCreated, t, err)
}

func (a *API) completeTask(w http.ResponseWriter, r *api.Request) error {
	t, err := a.service.CompleteTask(r.Context(), r.Caller, r.Var("id"))
	return a.writeTask(w, r, http.StatusOK, t, err)
}
