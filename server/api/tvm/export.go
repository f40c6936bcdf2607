package tvm

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

// Published bounds of exports.
const (
	defaultPage = 50_000
	maxPage     = 200_000
	chunk       = 2000
	linkHours   = 3
	maxHours    = 24
)

// sheet is one list that is exported: it returns up to limit records after a place, and
// the place of the last.
type sheet func(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error)

// exported is a sheet with its routes.
type exported struct {
	json, files string // paths below /api/machines; "" for none
	what        string
	need        []access.Permission
	record      any
	kind        string
	sheet       sheet
}

func (a *API) sheets() []exported {
	return []exported{
		{"SoftwareInventoryByMachine", "SoftwareInventoryExport", "software", softwareRead, []assetSoftware{}, "AssetSoftware", a.softwareSheet},
		{"", "Api/Machines/SoftwareInventoryNonCpeExport", "software without a product code", softwareRead, []assetSoftware{}, "AssetNonCpeSoftware", nothing}, // as one page prints it
		{"SoftwareInventoryNoProductCodeByMachine", "SoftwareInventoryNonCpeExport", "software without a product code", softwareRead, []assetSoftware{}, "AssetNonCpeSoftware", nothing},
		{"SoftwareVulnerabilitiesByMachine", "SoftwareVulnerabilitiesExport", "vulnerabilities", vulnerabilityRead, []assetVulnerability{}, "AssetVulnerability", a.vulnerabilitySheet},
		{"SoftwareVulnerabilityChangesByMachine", "", "changes of vulnerabilities", vulnerabilityRead, []deltaVulnerability{}, "DeltaAssetVulnerability", a.changeSheet},
		{"SecureConfigurationsAssessmentByMachine", "SecureConfigurationsAssessmentExport", "configurations", vulnerabilityRead, []assetConfiguration{}, "AssetConfiguration", a.configurationSheet},
		{"BrowserExtensionsInventoryByMachine", "BrowserExtensionsExport", "browser extensions", softwareRead, []assetExtension{}, "AssetBrowserExtension", a.extensionSheet},
		{"", "browserextensionsinventoryExport", "browser extensions", softwareRead, []assetExtension{}, "AssetBrowserExtension", a.extensionSheet},
		{"certificateAssessmentByMachine", "certificateAssessmentExport", "certificates", softwareRead, []assetCertificate{}, "AssetCertificateAssessment", a.certificateSheet},
		{"HardwareFirmwareInventoryByMachine", "HardwareFirmwareInventoryExport", "hardware and firmware", softwareRead, []assetHardware{}, "AssetHardwareFirmware", a.hardwareSheet},
		{"baselineComplianceAssessmentByMachine", "BaselineComplianceAssessmentExport", "baseline compliance", baselinesRead, []assetBaseline{}, "AssetBaselineAssessment", nothing},
		{"", "InfoGatheringExport", "gathered information", vulnerabilityRead, []gathered{}, "AssetInfoGathering", nothing},
	}
}

func (a *API) exportRoutes() []api.Route {
	routes := []api.Route{
		{Method: http.MethodGet, Pattern: "/api/vedette/exports/{file}", Open: "the link is signed and expires", Handle: a.download,
			Doc: api.Doc{Summary: "Fetch a file of an export", AnswerMedia: "application/gzip"}},
	}
	for _, s := range a.sheets() {
		if s.json != "" {
			routes = append(routes, limited(30, 1000, sheetRoute(get("/machines/"+s.json, "List the "+s.what+" of devices", s.need, s.record, a.jsonExport(s)), pageParams(s))))
		}
		if s.files != "" {
			routes = append(routes, limited(5, 20, sheetRoute(get("/machines/"+s.files, "Export the "+s.what+" of devices as files", s.need, exportFiles{}, a.fileExport(s)), fileParams())))
		}
	}
	return routes
}

func sheetRoute(r api.Route, params []api.Param) api.Route {
	r.Doc.Params = params
	return r
}

// pageParams is what a page of a sheet is asked for with.
func pageParams(s exported) []api.Param {
	out := []api.Param{{Name: "pageSize", Type: "integer", Min: 1, Max: maxPage, About: "Records of a page; 50,000 when absent.", Example: "10"},
		{Name: "$top", Type: "integer", Min: 1, Max: maxPage, About: "So many records, and no link to more.", Example: "10"},
		{Name: "$skiptoken", About: "Where the list goes on, from @odata.nextLink."}}
	if s.kind == "DeltaAssetVulnerability" {
		out = append(out, api.Param{Name: "sinceTime", Type: "date-time", Required: true, About: "Of the first change, 14 days back at most."})
	}
	return out
}

func fileParams() []api.Param {
	return []api.Param{{Name: "sasValidHours", Type: "integer", Min: 1, Max: maxHours, About: "How long the links are good; 3 when absent.", Example: "1"}}
}

func (a *API) baselineRoutes() []api.Route {
	return []api.Route{
		get("/baselineProfiles", "List baseline profiles", baselinesRead, []baselineProfile{}, none[baselineProfile]("BaselineProfile")),
		get("/baselineConfigurations", "List baseline configurations", baselinesRead, []baselineConfiguration{}, none[baselineConfiguration]("BaselineConfiguration")),
		get("/browserextensions/permissionsinfo", "List what permissions of browser extensions mean", softwareRead, []permissionInfo{}, none[permissionInfo]("BrowserExtension")),
	}
}

// none answers the empty list of a noun that nothing here has any of.
func none[E any](set string) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		return whole(w, r, set, []E{}, func(e E) E { return e })
	}
}

func nothing(*api.Request, vulnerability.Cursor, int) ([]any, vulnerability.Cursor, error) {
	return nil, vulnerability.Cursor{}, nil
}

type exportFiles struct {
	ExportFiles   []string       `json:"exportFiles"`
	GeneratedTime odata.DateTime `json:"generatedTime"`
}

// jsonExport answers a page of a sheet. Pages follow each other by $skiptoken, which is a
// place in the list and not a count, so that what changes meanwhile shifts nothing.
func (a *API) jsonExport(s exported) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		size, err := number(r, "pageSize", defaultPage, maxPage)
		if err != nil {
			return err
		}
		top := 0
		if r.Query.Has("$top") {
			if top, err = number(r, "$top", 0, maxPage); err != nil {
				return err
			}
			size = top
		}
		after, err := place(r.Query.Get("$skiptoken"))
		if err != nil {
			return err
		}
		var all []any
		more := true
		for len(all) < size && more {
			rows, last, err := s.sheet(r, after, min(chunk, size-len(all)))
			if err != nil {
				return err
			}
			more = len(rows) > 0
			if more {
				all, after = append(all, rows...), last
			}
		}
		next := ""
		if more && top == 0 {
			token, err := json.Marshal(after)
			if err != nil {
				return err
			}
			next = r.BaseURL() + r.URL.EscapedPath() + "?pageSize=" + strconv.Itoa(size) + "&$skiptoken=" + base64.RawURLEncoding.EncodeToString(token)
			if since := r.Query.Get("sinceTime"); since != "" {
				next += "&sinceTime=" + strings.ReplaceAll(since, "+", "%2B")
			}
		}
		body := struct {
			Context string `json:"@odata.context,omitempty"`
			Value   []any  `json:"value"`
			Next    string `json:"@odata.nextLink,omitempty"`
		}{Value: list(all), Next: next}
		if !r.NoMetadata() {
			body.Context = r.BaseURL() + kindOf("Collection(microsoft.windowsDefenderATP.api."+s.kind+")")
		}
		return api.WriteJSON(w, r, http.StatusOK, body)
	}
}

func number(r *api.Request, name string, otherwise, most int) (int, error) {
	text := r.Query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, errs.New("tvm.export", errs.Invalid, errs.ODataError, "%s is %q, not between 1 and %d", name, text[:min(len(text), 32)], most)
	}
	return n, nil
}

func place(token string) (vulnerability.Cursor, error) {
	var c vulnerability.Cursor
	if token == "" {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || len(token) > 1024 {
		return c, errs.New("tvm.export", errs.Invalid, errs.ODataError, "$skiptoken is not one that this server gave out")
	}
	return c, nil
}

// fileExport writes a sheet into files and answers their links.
func (a *API) fileExport(s exported) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		hours, err := number(r, "sasValidHours", linkHours, maxHours)
		if err != nil {
			return err
		}
		links, err := a.files.Create(r.Context(), s.kind, time.Duration(hours)*time.Hour, func(emit func(any) error) error {
			for after := (vulnerability.Cursor{}); ; {
				rows, last, err := s.sheet(r, after, chunk)
				if err != nil || len(rows) == 0 {
					return err
				}
				for _, v := range rows {
					if err := emit(v); err != nil {
						return err
					}
				}
				after = last
			}
		})
		if err != nil {
			return err
		}
		for i := range links {
			links[i] = r.BaseURL() + links[i]
		}
		return odata.WriteEntity(w, r, http.StatusOK, kindOf("microsoft.windowsDefenderATP.api.ExportFilesResponse"), exportFiles{links, stamp(a.now())})
	}
}

func (a *API) download(w http.ResponseWriter, r *api.Request) error {
	f, size, name, err := a.files.Open(r.Var("file"), r.Query.Get("sig"))
	if err != nil {
		return err
	}
	defer f.Close()
	api.Attachment(w.Header(), name, "application/gzip")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("Cache-Control", "private, no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, f) // a write fails only when the client is gone
	}
	return nil
}

// onDevice is what every record of an export says of its device.
type onDevice struct {
	DeviceID      string  `json:"deviceId"`
	RBACGroupID   int64   `json:"rbacGroupId"`
	RBACGroupName string  `json:"rbacGroupName"`
	DeviceName    string  `json:"deviceName"`
	OSPlatform    *string `json:"osPlatform"`
}

type assetSoftware struct {
	onDevice
	SoftwareVendor     string   `json:"softwareVendor"`
	SoftwareName       string   `json:"softwareName"`
	SoftwareVersion    string   `json:"softwareVersion"`
	NumberOfWeaknesses int64    `json:"numberOfWeaknesses"`
	DiskPaths          []string `json:"diskPaths"`
	RegistryPaths      []string `json:"registryPaths"`
	FirstSeen          *string  `json:"softwareFirstSeenTimestamp"`
	EndOfSupportStatus *string  `json:"endOfSupportStatus"`
	EndOfSupportDate   *string  `json:"endOfSupportDate"`
}

func (a *API) softwareSheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	rows, err := a.service.InstallationsAfter(r.Context(), r.Caller.Tenant, after, limit)
	if err != nil {
		return nil, after, err
	}
	f := a.fleet(r)
	out := make([]any, 0, len(rows))
	for _, x := range rows {
		on, _, _, err := f.on(x.Device)
		if err != nil {
			return nil, after, err
		}
		out = append(out, assetSoftware{onDevice: on, SoftwareVendor: x.Software.Vendor, SoftwareName: x.Software.Name, SoftwareVersion: x.Software.Version,
			NumberOfWeaknesses: x.Weaknesses, DiskPaths: list(x.Paths), RegistryPaths: []string{}, FirstSeen: plainTime(x.FirstSeen)})
		after = vulnerability.Cursor{Device: string(x.Device), A: x.Software.ID}
	}
	return out, after, nil
}

// on is what records say of a device, with its version and architecture.
func (f *fleet) on(id ident.DeviceID) (onDevice, *string, *string, error) {
	d, err := f.device(id)
	if err != nil {
		return onDevice{}, nil, nil, err
	}
	return onDevice{DeviceID: string(id), RBACGroupID: d.Group, RBACGroupName: f.group(d), DeviceName: d.Name, OSPlatform: optional(d.Platform)},
		optional(d.Inventory.Version), optional(d.Inventory.Architecture), nil
}

type assetVulnerability struct {
	ID string `json:"id"`
	onDevice
	OSVersion               *string  `json:"osVersion"`
	OSArchitecture          *string  `json:"osArchitecture"`
	SoftwareVendor          string   `json:"softwareVendor"`
	SoftwareName            string   `json:"softwareName"`
	SoftwareVersion         string   `json:"softwareVersion"`
	CVEID                   string   `json:"cveId"`
	SeverityLevel           *string  `json:"vulnerabilitySeverityLevel"`
	CVSSScore               *float64 `json:"cvssScore"`
	RecommendedUpdate       *string  `json:"recommendedSecurityUpdate"`
	RecommendedUpdateID     *string  `json:"recommendedSecurityUpdateId"`
	RecommendedUpdateURL    *string  `json:"recommendedSecurityUpdateUrl"`
	DiskPaths               []string `json:"diskPaths"`
	RegistryPaths           []string `json:"registryPaths"`
	LastSeen                *string  `json:"lastSeenTimestamp"`
	FirstSeen               *string  `json:"firstSeenTimestamp"`
	ExploitabilityLevel     string   `json:"exploitabilityLevel"`
	RecommendationReference *string  `json:"recommendationReference"`
	SecurityUpdateAvailable bool     `json:"securityUpdateAvailable"`
}

type deltaVulnerability struct {
	assetVulnerability
	Status    string  `json:"status"`
	EventTime *string `json:"eventTimestamp"`
}

func (f *fleet) asset(x *vulnerability.Asset) (assetVulnerability, error) {
	on, version, arch, err := f.on(x.Device)
	e := assetVulnerability{ID: x.ID(), onDevice: on, OSVersion: version, OSArchitecture: arch, SoftwareVendor: x.Software.Vendor, SoftwareName: x.Software.Name,
		SoftwareVersion: x.Software.Version, CVEID: x.Finding.Vulnerability, SeverityLevel: optional(x.Severity), CVSSScore: optional(x.CVSS),
		DiskPaths: list(x.Paths), RegistryPaths: []string{}, LastSeen: plainTime(x.LastSeen), FirstSeen: plainTime(x.FirstSeen),
		ExploitabilityLevel: "NoExploit", SecurityUpdateAvailable: x.Finding.Fixed != ""}
	if x.Verified {
		e.ExploitabilityLevel = "ExploitIsVerified"
	}
	if x.Finding.Fixed != "" {
		e.RecommendedUpdate, e.RecommendedUpdateID = optional(x.Finding.Fixed), optional(x.Finding.Advisory)
		e.RecommendationReference = optional("va-_-" + x.Software.Product)
	}
	return e, err
}

func cursorOf(x *vulnerability.Asset) vulnerability.Cursor {
	return vulnerability.Cursor{Device: string(x.Device), A: x.Software.ID, B: x.Finding.Vulnerability}
}

func (a *API) vulnerabilitySheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	return a.assetSheet(r, after, time.Time{}, limit)
}

func (a *API) assetSheet(r *api.Request, after vulnerability.Cursor, since time.Time, limit int) ([]any, vulnerability.Cursor, error) {
	rows, err := a.service.AssetsAfter(r.Context(), r.Caller.Tenant, after, since, limit)
	if err != nil {
		return nil, after, err
	}
	f := a.fleet(r)
	out := make([]any, 0, len(rows))
	for _, x := range rows {
		e, err := f.asset(x)
		if err != nil {
			return nil, after, err
		}
		after = cursorOf(x)
		if since.IsZero() {
			out = append(out, e)
			continue
		}
		status, at := x.Change(since)
		out = append(out, deltaVulnerability{e, string(status), plainTime(at)})
	}
	return out, after, nil
}

func (a *API) changeSheet(r *api.Request, after vulnerability.Cursor, limit int) ([]any, vulnerability.Cursor, error) {
	const op = "tvm.changes"
	text := r.Query.Get("sinceTime")
	if text == "" {
		return nil, after, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter sinceTime is missing")
	}
	since, ok := api.ParseTime(text)
	if !ok {
		return nil, after, errs.New(op, errs.Invalid, errs.InvalidInput, "sinceTime is no time such as 2021-05-19T18:35:49.924Z")
	}
	if a.now().Sub(since) > vulnerability.KeepHistory+time.Minute {
		return nil, after, errs.New(op, errs.Invalid, errs.InvalidInput, "sinceTime is more than 14 days ago")
	}
	return a.assetSheet(r, after, since, limit)
}
