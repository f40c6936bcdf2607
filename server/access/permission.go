package access

import "slices"

// Permission is an application permission of the published API, such as Alert.Read.All,
// or of this server's own routes. What it is called when a person delegates it, and which
// rights the person needs then, is in the table of usages.
type Permission string

// The permissions, by the name that the roles claim of an application's token holds.
const (
	AlertRead              Permission = "Alert.Read.All"
	AlertReadWrite         Permission = "Alert.ReadWrite.All"
	MachineRead            Permission = "Machine.Read.All"
	MachineReadWrite       Permission = "Machine.ReadWrite.All"
	MachineIsolate         Permission = "Machine.Isolate"
	MachineCollect         Permission = "Machine.CollectForensics"
	MachineScan            Permission = "Machine.Scan"
	MachineRestrict        Permission = "Machine.RestrictExecution"
	MachineQuarantine      Permission = "Machine.StopAndQuarantine"
	MachineOffboard        Permission = "Machine.Offboard"
	MachineLive            Permission = "Machine.LiveResponse"
	LibraryManage          Permission = "Library.Manage"
	TIReadWriteOwn         Permission = "Ti.ReadWrite"
	TIReadWrite            Permission = "Ti.ReadWrite.All"
	AdvancedQueryRead      Permission = "AdvancedQuery.Read.All"
	AdvancedHuntRead       Permission = "AdvancedHunting.Read.All"
	ThreatHuntingRead      Permission = "ThreatHunting.Read.All"
	UserRead               Permission = "User.Read.All"
	FileRead               Permission = "File.Read.All"
	IPRead                 Permission = "Ip.Read.All"
	URLRead                Permission = "URL.Read.All"
	ScoreRead              Permission = "Score.Read.All"
	SoftwareRead           Permission = "Software.Read.All"
	VulnerabilityRead      Permission = "Vulnerability.Read.All"
	RecommendationRead     Permission = "SecurityRecommendation.Read.All"
	ConfigurationRead      Permission = "SecurityConfiguration.Read.All"
	ConfigurationReadWrite Permission = "SecurityConfiguration.ReadWrite.All"
	BaselinesRead          Permission = "SecurityBaselinesAssessment.Read.All"
	RemediationTasksRead   Permission = "RemediationTasks.Read.All"
	IncidentRead           Permission = "Incident.Read.All"
	IncidentReadWrite      Permission = "Incident.ReadWrite.All"
	// The permissions of Microsoft Graph's security API.
	SecurityAlertRead         Permission = "SecurityAlert.Read.All"
	SecurityAlertReadWrite    Permission = "SecurityAlert.ReadWrite.All"
	SecurityIncidentRead      Permission = "SecurityIncident.Read.All"
	SecurityIncidentReadWrite Permission = "SecurityIncident.ReadWrite.All"
	CustomDetectionRead       Permission = "CustomDetection.Read.All"
	CustomDetectionReadWrite  Permission = "CustomDetection.ReadWrite.All"
	// Our own.
	ServerAdmin        Permission = "Vedette.Admin.All"      // applications, people, roles, device groups, enrolment
	ServerHealthDetail Permission = "Vedette.Health.Read"    // what devices say of their own health
	ActionApprove      Permission = "Vedette.Action.Approve" // agree to actions that others ask for, or refuse them
	ExpertAsk          Permission = "Vedette.Expert.Ask"     // hand a case to an expert outside
)

// Usage says what a permission is called and what it takes to use it on a person's behalf.
type Usage struct {
	Permission Permission
	// Delegated is the names that a token's scp claim may hold it under; tokens are issued
	// with the first. Empty for a permission that only applications have.
	Delegated []string
	// Rights is what the person needs, one of them, besides the delegated permission.
	Rights []Right
	// Covers is what the permission allows as well, with the rights that those need: who
	// may write may read.
	Covers []Permission
}

// Usages is the table of every permission, in a fixed order. Names are those of the
// published pages, which are irregular: most lose ".All" when delegated, those of files,
// addresses, users and of Graph do not, and that of remediation tasks changes its number.
func Usages() []Usage {
	is := func(names ...string) []string { return names }
	need := func(rights ...Right) []Right { return rights }
	return []Usage{
		{AlertRead, is("Alert.Read"), need(ViewOperations), nil},
		{AlertReadWrite, is("Alert.ReadWrite"), need(InvestigateAlerts), []Permission{AlertRead}},
		{MachineRead, is("Machine.Read"), need(ViewOperations), nil},
		{MachineReadWrite, is("Machine.ReadWrite"), need(ManageSecurity, InvestigateAlerts), []Permission{MachineRead}},
		{MachineIsolate, is("Machine.Isolate"), need(Remediate), nil},
		{MachineCollect, is("Machine.CollectForensics"), need(InvestigateAlerts), nil},
		{MachineScan, is("Machine.Scan"), need(InvestigateAlerts), nil},
		{MachineRestrict, is("Machine.RestrictExecution"), need(Remediate), nil},
		{MachineQuarantine, is("Machine.StopAndQuarantine"), need(Remediate), nil},
		{MachineOffboard, is("Machine.Offboard"), need(ManagePortal), nil},
		{MachineLive, is("Machine.LiveResponse"), need(LiveResponseBasic, LiveResponseAdvanced), nil},
		{LibraryManage, is("Library.Manage"), need(ManageSecurity, LiveResponseAdvanced), nil},
		{TIReadWriteOwn, is("Ti.ReadWrite"), need(Remediate), nil},
		{TIReadWrite, nil, nil, []Permission{TIReadWriteOwn}},
		{AdvancedQueryRead, is("AdvancedQuery.Read"), need(ViewOperations), nil},
		{AdvancedHuntRead, is("AdvancedHunting.Read"), need(ViewOperations), nil},
		{ThreatHuntingRead, is("ThreatHunting.Read.All"), need(ViewOperations), nil},
		{UserRead, is("User.Read.All"), need(ViewOperations), nil},
		{FileRead, is("File.Read.All"), need(ViewOperations), nil},
		{IPRead, is("Ip.Read.All"), need(ViewOperations), nil},
		{URLRead, is("URL.Read.All"), need(ViewOperations), nil},
		{ScoreRead, is("Score.Read"), need(ViewVulnerabilities), nil},
		{SoftwareRead, is("Software.Read"), need(ViewVulnerabilities), nil},
		{VulnerabilityRead, is("Vulnerability.Read"), need(ViewVulnerabilities), nil},
		{RecommendationRead, is("SecurityRecommendation.Read"), need(ViewVulnerabilities), nil},
		{ConfigurationRead, is("SecurityConfiguration.Read"), need(ViewVulnerabilities), nil},
		{ConfigurationReadWrite, is("SecurityConfiguration.ReadWrite"), need(ManageSecurity), []Permission{ConfigurationRead}},
		{BaselinesRead, is("SecurityBaselinesAssessment.Read"), need(ViewVulnerabilities, ManageBaselines), nil},
		{RemediationTasksRead, is("RemediationTask.Read", "RemediationTask.Read.Read"), need(ViewVulnerabilities), nil},
		{IncidentRead, is("Incident.Read"), need(ViewOperations), nil},
		{IncidentReadWrite, is("Incident.ReadWrite"), need(InvestigateAlerts), []Permission{IncidentRead}},
		{SecurityAlertRead, is("SecurityAlert.Read.All"), need(ViewOperations), nil},
		{SecurityAlertReadWrite, is("SecurityAlert.ReadWrite.All"), need(InvestigateAlerts), []Permission{SecurityAlertRead}},
		{SecurityIncidentRead, is("SecurityIncident.Read.All"), need(ViewOperations), nil},
		{SecurityIncidentReadWrite, is("SecurityIncident.ReadWrite.All"), need(InvestigateAlerts), []Permission{SecurityIncidentRead}},
		{CustomDetectionRead, is("CustomDetection.Read.All"), need(ViewOperations), nil},
		{CustomDetectionReadWrite, is("CustomDetection.ReadWrite.All"), need(ManageSecurity), []Permission{CustomDetectionRead}},
		{ServerAdmin, is("Vedette.Admin"), need(ManagePortal), nil},
		{ServerHealthDetail, is("Vedette.Health.Read"), need(ViewOperations), nil},
		{ActionApprove, is("Vedette.Action.Approve"), need(Remediate), nil},
		{ExpertAsk, is("Vedette.Expert.Ask"), need(InvestigateAlerts), nil},
	}
}

// Permissions returns every permission this server knows, in a fixed order.
func Permissions() []Permission {
	var out []Permission
	for _, g := range Usages() {
		out = append(out, g.Permission)
	}
	return out
}

// usage returns the row of p; that of an unknown permission has its name alone, which
// nobody can delegate.
func (p Permission) usage() Usage {
	for _, g := range Usages() {
		if g.Permission == p {
			return g
		}
	}
	return Usage{Permission: p}
}

// Delegated returns the name of p as a delegated permission, in a token's scp claim; ""
// when only applications have it.
func (p Permission) Delegated() string {
	if names := p.usage().Delegated; len(names) > 0 {
		return names[0]
	}
	return ""
}

// Known reports whether p is one of Permissions.
func (p Permission) Known() bool { return slices.Contains(Permissions(), p) }

// PermissionDelegatedAs returns the permission that the name of a scp claim stands for.
func PermissionDelegatedAs(name string) (Permission, bool) {
	for _, g := range Usages() {
		if slices.Contains(g.Delegated, name) {
			return g.Permission, true
		}
	}
	return "", false
}

// covering returns the rows whose holders have p: its own, and those that cover it.
func (p Permission) covering() []Usage {
	out := []Usage{p.usage()}
	for _, g := range Usages() {
		if slices.Contains(g.Covers, p) {
			out = append(out, g)
		}
	}
	return out
}
