// Package indicator holds what customers say is bad: the alert definitions and indicators
// of compromise of the custom threat-intelligence API, and the indicators of the current
// API, with the rules about who may change them and how many there may be.
//
// It does not match anything: package detect/ioc does, fed through Sink. It does not
// speak HTTP: api/ti and api/mde do.
//
// The invariant: a change that Service acknowledged is stored and visible to the Sink.
// Every stored change carries a revision, one per transaction and tenant, and the Sink
// sees revisions in their order, each once, whichever node or caller made them.
//
// Start at Service, then Feed; the nouns are Definition, IOC and Indicator.
package indicator

import (
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
)

// Type says what an indicator's value is. The custom TI API and the current API name the
// same things differently; Kind brings both together.
type Type string

// The types of an IOC.
const (
	SHA1      Type = "Sha1"
	SHA256    Type = "Sha256"
	MD5       Type = "Md5"
	IPAddress Type = "IpAddress" // both APIs
	Domain    Type = "DomainName"
)

// The types that an Indicator has besides IPAddress and Domain.
const (
	FileSHA1    Type = "FileSha1"
	FileSHA256  Type = "FileSha256"
	FileMD5     Type = "FileMd5"
	Certificate Type = "CertificateThumbprint"
	URL         Type = "Url"
)

// Kind is the observable that an indicator is compared with.
type Kind uint8

// The kinds of observable.
const (
	KindNone Kind = iota
	KindSHA1
	KindSHA256
	KindMD5
	KindIP
	KindDomain
	KindURL
	KindCertificate
	kindEnd
)

// Kinds is the number of kinds, for tables indexed by Kind.
const Kinds = int(kindEnd)

// Kind returns the observable that t names, KindNone for an unknown type.
func (t Type) Kind() Kind {
	switch t {
	case SHA1, FileSHA1:
		return KindSHA1
	case SHA256, FileSHA256:
		return KindSHA256
	case MD5, FileMD5:
		return KindMD5
	case IPAddress:
		return KindIP
	case Domain:
		return KindDomain
	case URL:
		return KindURL
	case Certificate:
		return KindCertificate
	}
	return KindNone
}

// Function is how an IOC's value is compared. All comparisons ignore case.
type Function string

// The detection functions, with their published spelling.
const (
	Equals    Function = "Equals"
	StartWith Function = "StartWith"
	EndWith   Function = "EndWith"
	Contains  Function = "Contains"
)

// Action is what happens where an Indicator of the current API is seen.
type Action string

// The published actions. Alert and AlertAndBlock are legacy names that clients still send.
const (
	Warn              Action = "Warn"
	Block             Action = "Block"
	Audit             Action = "Audit"
	Alert             Action = "Alert"
	AlertAndBlock     Action = "AlertAndBlock"
	BlockAndRemediate Action = "BlockAndRemediate"
	Allowed           Action = "Allowed"
)

// Enforcing reports whether devices act on a themselves, so that the indicator must be
// handed out to them.
func (a Action) Enforcing() bool {
	switch a {
	case Warn, Block, Audit, AlertAndBlock, BlockAndRemediate, Allowed:
		return true
	}
	return false
}

// Severity is how bad a hit is, in the words that alerts use.
type Severity string

// The severities.
const (
	Informational Severity = "Informational"
	Low           Severity = "Low"
	Medium        Severity = "Medium"
	High          Severity = "High"
)

var (
	iocTypes       = []Type{SHA1, SHA256, MD5, IPAddress, Domain}
	indicatorTypes = []Type{FileSHA1, FileSHA256, FileMD5, Certificate, IPAddress, Domain, URL}
	functions      = []Function{Equals, StartWith, EndWith, Contains}
	actions        = []Action{Warn, Block, Audit, Alert, AlertAndBlock, BlockAndRemediate, Allowed}
	severities     = []Severity{Informational, Low, Medium, High}
	// categories are the alert categories of both generations of the API.
	categories = []string{
		"None", "SuspiciousActivity", "Malware", "CredentialTheft", "Exploit", "WebExploit",
		"DocumentExploit", "PrivilegeEscalation", "Persistence", "RemoteAccessTool",
		"CommandAndControl", "SuspiciousNetworkTraffic", "Ransomware", "MalwareDownload",
		"Reconnaissance", "WebFingerprinting", "Weaponization", "Delivery",
		"SocialEngineering", "CredentialStealing", "Installation", "Backdoor", "Trojan",
		"TrojanDownloader", "LateralMovement", "ExplorationEnumeration",
		"NetworkPropagation", "Exfiltration", "NotApplicable", "EnterprisePolicy", "General",
		"Collection", "CredentialAccess", "DefenseEvasion", "Discovery", "Execution",
		"InitialAccess", "UnwantedSoftware",
	}
)

// Categories returns the alert categories a Definition may have, for the API's metadata.
func Categories() []string { return slices.Clone(categories) }

// Severities returns the severities in rising order, for the API's metadata.
func Severities() []Severity { return slices.Clone(severities) }

// IOCTypes returns the types an IOC may have, for the API's metadata.
func IOCTypes() []Type { return slices.Clone(iocTypes) }

// Functions returns the detection functions, for the API's metadata.
func Functions() []Function { return slices.Clone(functions) }

// oneOf finds v among all without regard to case and returns its canonical spelling.
func oneOf[T ~string](place string, v T, all []T) (T, error) {
	for _, a := range all {
		if strings.EqualFold(string(a), string(v)) {
			return a, nil
		}
	}
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = string(a)
	}
	if v == "" {
		return "", errs.New("indicator.Validate", errs.Invalid, errs.MissingRequiredParameter, "%s is missing: one of %s", place, strings.Join(names, ", "))
	}
	return "", errs.New("indicator.Validate", errs.Invalid, errs.InvalidInput, "%s: %q is not one of %s", place, clip(string(v)), strings.Join(names, ", "))
}

// clip shortens hostile text that is quoted back in an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
