package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
)

// operations is every operation that the published documents list, as method and path,
// with a word on it where what is answered here needs one. Rows of one path that differ
// in the method stand together.
const operations = `
# Alerts
GET /api/alerts
GET /api/alerts/{id}
PATCH /api/alerts/{id}
POST /api/alerts/batchUpdate
POST /api/alerts/CreateAlertByReference
GET /api/alerts/{id}/domains
GET /api/alerts/{id}/files
GET /api/alerts/{id}/ips
GET /api/alerts/{id}/machine
GET /api/alerts/{id}/user
# Machines
GET /api/machines
GET /api/machines/{id}
PATCH /api/machines/{id}
POST /api/machines/{id}/tags
POST /api/machines/AddOrRemoveTagForMultipleMachines
POST /api/machines/{id}/setDeviceValue
GET /api/machines/findbyip(ip={ip},timestamp={timestamp})
GET /api/machines/findbytag
GET /api/machines/{id}/logonusers
GET /api/machines/{id}/alerts
GET /api/machines/{id}/software
GET /api/machines/{id}/vulnerabilities
GET /api/machines/{id}/recommendations
GET /api/machines/{id}/getmissingkbs
GET /api/machines/find(timestamp={timestamp},key={ip}) | the older form of findbyip
GET /api/machines/{id}/availableMachineActions | undocumented; clients call it
GET /api/machines/{id}/machineactions | undocumented; clients call it
# Machine actions
POST /api/machines/{id}/isolate
POST /api/machines/{id}/unisolate
POST /api/machines/{id}/runAntiVirusScan
POST /api/machines/{id}/restrictCodeExecution
POST /api/machines/{id}/unrestrictCodeExecution
POST /api/machines/{id}/collectInvestigationPackage
POST /api/machines/{id}/StopAndQuarantineFile
POST /api/machines/{id}/offboard
POST /api/machines/{id}/startInvestigation
POST /api/machines/{id}/InitiateInvestigation | of before 2019
POST /api/machines/{id}/runliveresponse
GET /api/machineactions
GET /api/machineactions/{id}
POST /api/machineactions/{id}/cancel
GET /api/machineactions/{id}/getPackageUri
GET /api/machineactions/{id}/GetLiveResponseResultDownloadLink(index={index})
# Live response library
GET /api/libraryfiles
POST /api/libraryfiles
DELETE /api/libraryfiles/{id}
# Automated investigations
GET /api/investigations
GET /api/investigations/{id} | by its own id or by that of the alert that triggered it
# Indicators
GET /api/indicators
POST /api/indicators
POST /api/indicators/import
DELETE /api/indicators/{id}
POST /api/indicators/BatchDelete
GET /api/tiindicators | the preview's name
POST /api/tiindicators | the preview's name
DELETE /api/tiindicators/{id} | the preview's name
# Files, domains, addresses, users
GET /api/files/{id}
GET /api/files/{id}/alerts
GET /api/files/{id}/machines
GET /api/files/{id}/stats
GET /api/domains/{id}
GET /api/domains/{id}/alerts
GET /api/domains/{id}/machines
GET /api/domains/{id}/stats
GET /api/ips/{id}
GET /api/ips/{id}/alerts
GET /api/ips/{id}/machines
GET /api/ips/{id}/stats
GET /api/users/{id}
GET /api/users/{id}/alerts
GET /api/users/{id}/machines
# Hunting
POST /api/advancedqueries/run
GET /api/advancedqueries
POST /api/advancedhunting/run
POST /v1.0/security/runHuntingQuery
# Vulnerability management
GET /api/exposureScore
GET /api/exposureScore/ByMachineGroups
GET /api/configurationScore
GET /api/Software
GET /api/Software/{id}
GET /api/Software/{id}/distributions
GET /api/Software/{id}/machineReferences
GET /api/Software/{id}/vulnerabilities
GET /api/Software/{id}/getmissingkbs
GET /api/vulnerabilities
GET /api/vulnerabilities/{id}
GET /api/vulnerabilities/{id}/machineReferences
GET /api/vulnerabilities/machinesVulnerabilities
GET /api/recommendations
GET /api/recommendations/{id}
GET /api/recommendations/{id}/software
GET /api/recommendations/{id}/machineReferences
GET /api/recommendations/{id}/vulnerabilities
GET /api/remediationTasks
GET /api/remediationTasks/{id}
GET /api/remediationTasks/{id}/machineReferences
# Exports
GET /api/machines/SecureConfigurationsAssessmentByMachine
GET /api/machines/SecureConfigurationsAssessmentExport
GET /api/machines/SoftwareInventoryByMachine
GET /api/machines/SoftwareInventoryExport
GET /api/machines/SoftwareInventoryNoProductCodeByMachine
GET /api/machines/SoftwareInventoryNonCpeExport
GET /api/machines/SoftwareVulnerabilitiesByMachine
GET /api/machines/SoftwareVulnerabilitiesExport
GET /api/machines/SoftwareVulnerabilityChangesByMachine
GET /api/machines/BrowserExtensionsInventoryByMachine
GET /api/machines/BrowserExtensionsExport
GET /api/machines/certificateAssessmentByMachine
GET /api/machines/certificateAssessmentExport
GET /api/machines/baselineComplianceAssessmentByMachine
GET /api/machines/BaselineComplianceAssessmentExport
GET /api/machines/HardwareFirmwareInventoryByMachine
GET /api/machines/HardwareFirmwareInventoryExport
GET /api/machines/InfoGatheringExport
GET /api/baselineProfiles
GET /api/baselineConfigurations
GET /api/browserextensions/permissionsinfo
GET /api/deviceavinfo
# Authenticated scans
GET /api/DeviceAuthenticatedScanDefinitions
POST /api/DeviceAuthenticatedScanDefinitions
PATCH /api/DeviceAuthenticatedScanDefinitions/{id}
POST /api/DeviceAuthenticatedScanDefinitions/BatchDelete
POST /api/DeviceAuthenticatedScanDefinitions/GetScanHistoryByScanDefinitionId
POST /api/DeviceAuthenticatedScanDefinitions/GetScanHistoryBySessionId
GET /api/DeviceAuthenticatedScanAgents
GET /api/DeviceAuthenticatedScanAgents/{id}
# Incidents
GET /api/incidents
GET /api/incidents/{id}
PATCH /api/incidents/{id}
# Before 2019, below /testwdatppreview
POST /api/files/{id}/block
POST /api/files/{id}/unblock
POST /api/machines/{id}/requestSample
GET /api/fileactions
GET /api/filemachineactions
GET /api/filemachineactions/{id}
GET /api/actors/{id} | nothing here attributes what it sees
GET /api/alerts/{id}/actor | nothing here attributes what it sees
GET /api/cvekbmap | of Linux there are none
GET /api/kbinfo | of Linux there are none
GET /api/machinegroups
GET /api/machinesecuritystates
# Custom detection rules
GET /beta/security/rules/detectionRules
GET /beta/security/rules/detectionRules/{id}
POST /beta/security/rules/detectionRules
PATCH /beta/security/rules/detectionRules/{id}
DELETE /beta/security/rules/detectionRules/{id}
# Custom threat intelligence
GET /V1.0
GET /V1.0/$metadata
GET /V1.0/AlertDefinitions
GET /V1.0/AlertDefinitions({id})
POST /V1.0/AlertDefinitions
PATCH /V1.0/AlertDefinitions({id})
DELETE /V1.0/AlertDefinitions({id})
DELETE /V1.0/AlertDefinitions | all of them
POST /V1.0/AlertDefinitions/Actions.BulkUpload
POST /V1.0/AlertDefinitions({id})/Actions.DeleteIOCs
GET /V1.0/IndicatorsOfCompromise
GET /V1.0/IndicatorsOfCompromise({id})
POST /V1.0/IndicatorsOfCompromise
PATCH /V1.0/IndicatorsOfCompromise({id})
PUT /V1.0/IndicatorsOfCompromise({id})/AlertDefinition/$ref
DELETE /V1.0/IndicatorsOfCompromise({id})
DELETE /V1.0/IndicatorsOfCompromise | all of them
POST /V1.0/IndicatorsOfCompromise/Actions.BulkUpload
`

var pathVariable = regexp.MustCompile(`\{[^}]*\}`)

// shapeOf is what two spellings of one operation share.
func shapeOf(method, pattern string) string {
	return method + " " + strings.ToLower(pathVariable.ReplaceAllString(pattern, "{}"))
}

// TestEveryPublishedOperationIsServed finds each published operation in the route table,
// and compares docs/api.md with what the table says of it.
func TestEveryPublishedOperationIsServed(t *testing.T) {
	all, err := routes(hollow())
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]*api.Route{}
	for i, r := range all {
		table[shapeOf(r.Method, r.Pattern)] = &all[i]
	}
	var b bytes.Buffer
	b.WriteString(apiHead)
	listed := map[*api.Route]bool{}
	for line := range strings.Lines(operations) {
		line = strings.TrimSpace(line)
		if section, ok := strings.CutPrefix(line, "# "); ok {
			fmt.Fprintf(&b, "\n## %s\n\n%s", section, apiColumns)
			continue
		}
		if line == "" {
			continue
		}
		operation, note, _ := strings.Cut(line, " | ")
		method, path, _ := strings.Cut(operation, " ")
		r := table[shapeOf(method, path)]
		if r == nil {
			t.Errorf("%s is published and not served", operation)
			continue
		}
		if listed[r] {
			t.Errorf("%s stands twice", operation)
		}
		listed[r] = true
		b.WriteString(rowOf(r, note))
	}
	fmt.Fprintf(&b, "\n## Beyond the published operations\n\n%s", apiColumns)
	for i := range all {
		if r := &all[i]; !listed[r] {
			b.WriteString(rowOf(r, ""))
		}
	}
	file := filepath.Join("..", "docs", "api.md")
	if *write {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is not what the routes say; make generate writes it anew", file)
	}
}

const apiHead = `# The API, operation by operation

Made from the route table by ` + "`make generate`" + `. The sections follow the published operations of the endpoint, custom threat-intelligence and
Graph security APIs; the last has what this server adds. Paths are matched in any case; ` + "`/api/v1.0/…`" + ` is the same as ` + "`/api/…`" + `. Any one
of the permissions suffices; where people need another one than applications, it follows after a slash. Calls in a minute and an hour are
those of one caller on one route; 100 and 1500 where nothing stands. Shapes of bodies and answers are in ` + "`docs/openapi.json`" + `.
`

const apiColumns = "| operation | permission | success | calls | what it does |\n|---|---|---|---|---|\n"

// rowOf is the row of a route in docs/api.md.
func rowOf(r *api.Route, note string) string {
	names := func(ps []access.Permission) string {
		var out []string
		for _, p := range ps {
			out = append(out, "`"+string(p)+"`")
		}
		return strings.Join(out, ", ")
	}
	need := names(r.Need)
	if len(r.NeedDelegated) > 0 {
		need += " / " + names(r.NeedDelegated)
	}
	if r.Open != "" {
		need = "none: " + r.Open
	}
	status := r.Doc.Status
	if status == 0 {
		status = 200
	}
	calls := func(n int) string {
		switch n {
		case 0:
			return "–"
		case api.Unlimited:
			return "∞"
		}
		return fmt.Sprint(n)
	}
	limit := ""
	if r.Limit.PerMinute != 0 || r.Limit.PerHour != 0 {
		limit = calls(r.Limit.PerMinute) + ", " + calls(r.Limit.PerHour)
	}
	what := r.Doc.Summary
	if note != "" {
		what += "; " + note
	}
	return fmt.Sprintf("| `%s %s` | %s | %d | %s | %s |\n", r.Method, r.Pattern, need, status, limit, strings.ReplaceAll(what, "|", `\|`))
}
