package tvm_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/api/tvm"
)

// published is the entities of vulnerability management as they are documented: each
// property's exact name and its type. s, b, l, n, d are string, boolean, integer, number
// and date-time; [x] is a list. What is behind a bar was seen in later samples.
var published = map[string]string{
	"Software":         `id:s name:s vendor:s weaknesses:l publicExploit:b activeAlert:b exposedMachines:l impactScore:n`,
	"Distribution":     `version:s installations:l vulnerabilities:l`,
	"MachineReference": `id:s computerDnsName:s osPlatform:s rbacGroupName:s | rbacGroupId:l`,
	"Vulnerability": `id:s name:s description:s severity:s cvssV3:n exposedMachines:l publishedOn:d updatedOn:d publicExploit:b exploitVerified:b
		exploitInKit:b exploitTypes:[s] exploitUris:[s] | cvssVector:s firstDetected:d cveSupportability:s`,
	"PublicAssetVulnerabilityDto": `id:s cveId:s machineId:s fixingKbId:s productName:s productVendor:s productVersion:s severity:s`,
	"PublicProductFixDto":         `id:s name:s productsNames:[s] url:s machineMissedOn:l cveAddressed:l | osBuild:l releaseDate:d`,
	"Recommendation": `id:s productName:s recommendationName:s weaknesses:l vendor:s recommendedVersion:s recommendedProgram:s recommendedVendor:s
		recommendationCategory:s subCategory:s severityScore:n publicExploit:b activeAlert:b associatedThreats:[s] remediationType:s status:s
		configScoreImpact:n exposureImpact:n totalMachineCount:l exposedMachinesCount:l nonProductivityImpactedAssets:l relatedComponent:s`,
	"Score": `time:d score:n rbacGroupName:s | rbacGroupId:l`,
	"RemediationTask": `id:s title:s createdOn:d requesterId:s requesterEmail:s status:s statusLastModifiedOn:d description:s relatedComponent:s
		targetDevices:l rbacGroupNames:[s] fixedDevices:l requesterNotes:s dueOn:d category:s productivityImpactRemediationType:s priority:s
		completionMethod:s completerId:s completerEmail:s scid:s type:s productId:s vendorId:s nameId:s recommendedVersion:s recommendedVendor:s
		recommendedProgram:s | recommendationReference:s`,
	"DeviceAvInfo": `id:s machineId:s computerDnsName:s osKind:s osPlatform:s osVersion:s avMode:s avSignatureVersion:s avEngineVersion:s
		avPlatformVersion:s avSignatureUpdateTime:d avEngineUpdateTime:d avPlatformUpdateTime:d avSignaturePublishTime:d avIsSignatureUpToDate:s
		avIsEngineUpToDate:s avIsPlatformUpToDate:s lastSeenTime:d dataRefreshTimestamp:d quickScanResult:s quickScanError:s quickScanTime:d
		fullScanResult:s fullScanError:s fullScanTime:d rbacGroupName:s rbacGroupId:l | avSignatureDataRefreshTime:d avModeDataRefreshTime:d
		cloudProtectionState:s`,
	"AssetConfiguration": `deviceId:s rbacGroupId:l rbacGroupName:s deviceName:s osPlatform:s osVersion:s timestamp:s configurationId:s
		configurationCategory:s configurationSubcategory:s configurationImpact:n isCompliant:b isApplicable:b isExpectedUserImpact:b
		configurationName:s recommendationReference:s`,
	"AssetSoftware": `deviceId:s rbacGroupId:l rbacGroupName:s deviceName:s osPlatform:s softwareVendor:s softwareName:s softwareVersion:s
		numberOfWeaknesses:l diskPaths:[s] registryPaths:[s] softwareFirstSeenTimestamp:s endOfSupportStatus:s endOfSupportDate:s`,
	"AssetVulnerability":      asset,
	"DeltaAssetVulnerability": asset + ` status:s eventTimestamp:s`,
	"AssetHardwareFirmware": `deviceId:s rbacGroupId:l rbacGroupName:s deviceName:s componentType:s manufacturer:s componentName:s componentVersion:s
		additionalFields:s`,
	"ExportFilesResponse": `exportFiles:[s] generatedTime:d`,
}

const asset = `id:s deviceId:s rbacGroupId:l rbacGroupName:s deviceName:s osPlatform:s osVersion:s osArchitecture:s softwareVendor:s softwareName:s
	softwareVersion:s cveId:s vulnerabilitySeverityLevel:s cvssScore:n recommendedSecurityUpdate:s recommendedSecurityUpdateId:s
	recommendedSecurityUpdateUrl:s diskPaths:[s] registryPaths:[s] lastSeenTimestamp:s firstSeenTimestamp:s exploitabilityLevel:s
	recommendationReference:s securityUpdateAvailable:b`

// TestEntitiesAreAsPublished compares names and types of the entities that $metadata tells
// of with the published ones.
func TestEntitiesAreAsPublished(t *testing.T) {
	base := odata.Model{Namespace: "n", Container: "c", Sets: []odata.Set{{Name: "Machines", Type: "Machine", Key: "id", Entity: struct {
		ID string `json:"id"`
	}{}}}}
	raw, err := base.With(tvm.Model()).EDMX()
	check(t, err)
	type typ struct {
		Name       string `xml:",attr"`
		Properties []struct {
			Name string `xml:",attr"`
			Type string `xml:",attr"`
		} `xml:"Property"`
		Navigations []struct {
			Name string `xml:",attr"`
		} `xml:"NavigationProperty"`
	}
	var doc struct {
		Entities []typ `xml:"DataServices>Schema>EntityType"`
		Complex  []typ `xml:"DataServices>Schema>ComplexType"`
	}
	check(t, xml.Unmarshal(raw, &doc))
	short := map[string]string{"Edm.String": "s", "Edm.Boolean": "b", "Edm.Int64": "l", "Edm.Int32": "l", "Edm.Double": "n", "Edm.DateTimeOffset": "d"}
	seen := 0
	for _, d := range append(doc.Entities, doc.Complex...) {
		want, ok := published[d.Name]
		if !ok {
			continue
		}
		seen++
		var have, wanted []string
		for _, p := range d.Properties {
			inner, list := strings.CutPrefix(p.Type, "Collection(")
			s := short[strings.TrimSuffix(inner, ")")]
			if list {
				s = "[" + s + "]"
			}
			have = append(have, p.Name+":"+s)
		}
		wanted = strings.Fields(strings.ReplaceAll(want, "|", " "))
		slices.Sort(have)
		slices.Sort(wanted)
		if !slices.Equal(have, wanted) {
			t.Errorf("%s is\n%v, want\n%v", d.Name, have, wanted)
		}
	}
	if seen != len(published) {
		t.Errorf("$metadata has %d of %d published types", seen, len(published))
	}
	for _, d := range doc.Entities {
		if d.Name == "Machine" && len(d.Navigations) != 3 {
			t.Errorf("machines lead to %v", d.Navigations)
		}
	}
}

// TestCountsAreThoseOfTheLists asks every list for its number in both published ways, and
// finds them alike, filtered too.
func TestCountsAreThoseOfTheLists(t *testing.T) {
	s := newSite(t)
	s.report(deviceID(1), "software", pkg("deb", "alpha", "1.2-3", "libalpha", "1.2-3", "debian:12"), pkg("deb", "beta", "2", "beta", "2", "debian:12"))
	s.report(deviceID(2), "software", pkg("deb", "alpha", "1.2-3", "libalpha", "1.2-3", "debian:12"))
	s.feed("all", tracker, "ready")
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer all")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	ids := map[string]string{"/api/machines/": string(deviceID(1)), "/api/Software/": "debian-_-alpha", "/api/vulnerabilities/": "CVE-2099-0001",
		"/api/recommendations/": "va-_-debian-_-alpha", "/api/remediationTasks/": s.ask("all", "POST", "/api/vedette/remediationTasks", `{"recommendationId": "va-_-debian-_-alpha"}`, 201)["id"].(string)}
	lists, some := 0, 0
	for _, route := range s.routes {
		path, ok := strings.CutSuffix(route.Pattern, "/$count")
		if !ok {
			continue
		}
		for prefix, id := range ids {
			if strings.HasPrefix(path, prefix) {
				path = strings.Replace(path, "{id}", id, 1)
			}
		}
		lists++
		queries := []string{""}
		for _, p := range route.Doc.Params {
			if p.Name == "$filter" {
				queries = append(queries, "$filter="+url.QueryEscape(p.Example), "$filter="+url.QueryEscape("not("+p.Example+")"))
			}
		}
		for _, q := range queries {
			list := s.ask("all", "GET", path+"?$count=true&"+q, "", 200)
			w := get(path + "/$count?" + q)
			want := fmt.Sprint(list["@odata.count"])
			if w.Code != 200 || w.Body.String() != want || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
				t.Errorf("%s/$count?%s: %d %s %s, want %s", path, q, w.Code, w.Header().Get("Content-Type"), w.Body, want)
			}
			if want != "0" {
				some++
			}
		}
		if w := get(path + "/$count?$filter=" + url.QueryEscape("nonsense eq 1")); w.Code != 400 {
			t.Errorf("%s/$count takes a filter by what is not there: %d", path, w.Code)
		}
	}
	if lists < 20 || some < 15 {
		t.Errorf("%d lists have a count, %d of them are not empty", lists, some)
	}
}
