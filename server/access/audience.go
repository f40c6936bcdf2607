package access

import "strings"

// published is what clients of the published API name as the resource they want a token
// for: its hosts past and present, per region and cloud, and the ids of its services.
var published = []string{
	"https://api.securitycenter.microsoft.com",
	"https://api.securitycenter.windows.com",
	"https://api.security.microsoft.com",
	"https://api-us.securitycenter.microsoft.com", "https://api-eu.securitycenter.microsoft.com", "https://api-uk.securitycenter.microsoft.com",
	"https://api-us.securitycenter.windows.com", "https://api-eu.securitycenter.windows.com", "https://api-uk.securitycenter.windows.com",
	"https://api-us.security.microsoft.com", "https://api-eu.security.microsoft.com", "https://api-uk.security.microsoft.com",
	"https://us.api.security.microsoft.com", "https://eu.api.security.microsoft.com", "https://uk.api.security.microsoft.com",
	"https://au.api.security.microsoft.com", "https://swa.api.security.microsoft.com", "https://ina.api.security.microsoft.com",
	"https://api-gcc.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us",
	"https://api-gcc.security.microsoft.us", "https://api-gov.security.microsoft.us",
	"https://securitycenter.onmicrosoft.com/windowsatpservice",
	"https://ti.securitycenter.windows.com",
	"https://graph.windows.net",
	"https://graph.microsoft.com", "https://graph.microsoft.us", "https://dod-graph.microsoft.us",
	"fc780465-2017-40d4-a0c5-307022471b92", // WindowsDefenderATP
	"8ee8fdad-f234-4243-8f3b-15c294843740", // Microsoft Threat Protection
	"00000003-0000-0000-c000-000000000000", // Microsoft Graph
	"00000002-0000-0000-c000-000000000000", // Azure AD Graph
}

// audiences is a set of resources, compared without regard to case and trailing slashes.
type audiences map[string]bool

func newAudiences(own []string) audiences {
	a := audiences{}
	for _, s := range append(own, published...) {
		a[resourceKey(s)] = true
	}
	return a
}

func (a audiences) has(resource string) bool { return a[resourceKey(resource)] }

// TrimResource returns the resource without trailing slashes, as tokens name it.
func TrimResource(s string) string { return strings.TrimRight(s, "/") }

func resourceKey(s string) string { return strings.ToLower(TrimResource(s)) }
