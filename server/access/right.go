package access

import "slices"

// Right is a permission of a portal role: what its holders may do, whatever program they
// use. A delegated token acts within both the application's permissions and the person's
// rights.
type Right string

// The rights, as the published page on user roles names them.
const (
	ViewOperations       Right = "ViewData.SecurityOperations"          // see all data of security operations
	ViewVulnerabilities  Right = "ViewData.VulnerabilityManagement"     // see all data of vulnerability management
	Remediate            Right = "ActiveRemediation.SecurityOperations" // response actions, pending remediations, indicators
	HandleExceptions     Right = "VulnerabilityManagement.Exceptions"   // exceptions from recommendations
	HandleRemediation    Right = "VulnerabilityManagement.Remediation"  // remediation requests and tickets
	HandleApplications   Right = "VulnerabilityManagement.Applications" // block vulnerable applications
	ManageBaselines      Right = "VulnerabilityManagement.Baselines"    // security baseline profiles
	InvestigateAlerts    Right = "AlertsInvestigation"                  // alerts, investigations, scans, packages, tags
	ManagePortal         Right = "ManageSystemSettings"                 // applications, people, roles, groups: of the global administrator alone
	ManageSecurity       Right = "ManageSecuritySettings"               // suppression, rules, tags, onboarding, notifications, library
	LiveResponseBasic    Right = "LiveResponse.Basic"                   // sessions, read-only commands
	LiveResponseAdvanced Right = "LiveResponse.Advanced"                // scripts, files put on devices
)

// Rights returns every right, in a fixed order.
func Rights() []Right {
	return []Right{
		ViewOperations, ViewVulnerabilities, Remediate, HandleExceptions, HandleRemediation, HandleApplications,
		ManageBaselines, InvestigateAlerts, ManagePortal, ManageSecurity, LiveResponseBasic, LiveResponseAdvanced,
	}
}

// Known reports whether r is one of Rights.
func (r Right) Known() bool { return slices.Contains(Rights(), r) }
