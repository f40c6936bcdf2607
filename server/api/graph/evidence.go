package graph

import (
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// lookup returns a device of the caller's with its group's name and its health, nil when
// there is none. It asks for each once a request.
type lookup func(ident.DeviceID) *grouped

// grouped is a device with the name of its group and its health now.
type grouped struct {
	*device.Device
	groupName string
	health    device.Health
}

func (a *API) lookup(r *api.Request) lookup {
	known := map[ident.DeviceID]*grouped{}
	return func(id ident.DeviceID) *grouped {
		g, ok := known[id]
		if !ok && id != "" {
			// A device that is gone leaves its alerts behind: they are answered without it.
			if d, _ := a.Devices.Get(r.Context(), r.Caller.Tenant, id); d != nil {
				g = &grouped{d, a.Groups.Label(d.Tenant, d.Group), d.Health(a.Now())}
			}
			known[id] = g
		}
		return g
	}
}

// evidenceEntity is one of Graph's kinds of security.alertEvidence.
type evidenceEntity any

// evidenceBase is what all kinds of evidence have.
type evidenceBase struct {
	Type              string         `json:"@odata.type"`
	Created           odata.DateTime `json:"createdDateTime"`
	Verdict           string         `json:"verdict"`
	RemediationStatus string         `json:"remediationStatus"`
	RemediationDetail *string        `json:"remediationStatusDetails"`
	Roles             []string       `json:"roles"`
	DetailedRoles     []string       `json:"detailedRoles"`
	Tags              []string       `json:"tags"`
}

type deviceEvidence struct {
	evidenceBase
	FirstSeen        odata.DateTime   `json:"firstSeenDateTime"`
	MdeDeviceID      string           `json:"mdeDeviceId"`
	AzureADDeviceID  *string          `json:"azureAdDeviceId"`
	DeviceDNSName    *string          `json:"deviceDnsName"`
	HostName         *string          `json:"hostName"`
	NTDomain         *string          `json:"ntDomain"`
	DNSDomain        *string          `json:"dnsDomain"`
	OSPlatform       *string          `json:"osPlatform"`
	OSBuild          *int64           `json:"osBuild"`
	Version          *string          `json:"version"`
	HealthStatus     string           `json:"healthStatus"`
	RiskScore        string           `json:"riskScore"`
	RBACGroupID      int64            `json:"rbacGroupId"`
	RBACGroupName    *string          `json:"rbacGroupName"`
	OnboardingStatus string           `json:"onboardingStatus"`
	DefenderAVStatus string           `json:"defenderAvStatus"`
	IPInterfaces     []string         `json:"ipInterfaces"`
	LastIPAddress    *string          `json:"lastIpAddress"`
	LastExternalIP   *string          `json:"lastExternalIpAddress"`
	VMMetadata       *struct{}        `json:"vmMetadata"`
	LoggedOnUsers    []map[string]any `json:"loggedOnUsers"`
}

type fileDetails struct {
	SHA1      *string `json:"sha1"`
	SHA256    *string `json:"sha256"`
	MD5       *string `json:"md5"`
	SHA256AC  *string `json:"sha256Ac"`
	Name      *string `json:"fileName"`
	Path      *string `json:"filePath"`
	Size      *int64  `json:"fileSize"`
	Publisher *string `json:"filePublisher"`
	Signer    *string `json:"signer"`
	Issuer    *string `json:"issuer"`
}

type fileEvidence struct {
	evidenceBase
	DetectionStatus string      `json:"detectionStatus"`
	MdeDeviceID     *string     `json:"mdeDeviceId"`
	Details         fileDetails `json:"fileDetails"`
}

type userAccount struct {
	Name        string  `json:"accountName"`
	Domain      *string `json:"domainName"`
	SID         *string `json:"userSid"`
	AzureUserID *string `json:"azureAdUserId"`
	UPN         *string `json:"userPrincipalName"`
	DisplayName *string `json:"displayName"`
}

type processEvidence struct {
	evidenceBase
	ProcessID       *int64         `json:"processId"`
	ParentID        *int64         `json:"parentProcessId"`
	CommandLine     *string        `json:"processCommandLine"`
	Started         odata.DateTime `json:"processCreationDateTime"`
	ParentStarted   odata.DateTime `json:"parentProcessCreationDateTime"`
	DetectionStatus string         `json:"detectionStatus"`
	MdeDeviceID     *string        `json:"mdeDeviceId"`
	ImageFile       fileDetails    `json:"imageFile"`
	ParentImage     *fileDetails   `json:"parentProcessImageFile"`
	Account         *userAccount   `json:"userAccount"`
}

type ipEvidence struct {
	evidenceBase
	IPAddress string  `json:"ipAddress"`
	Country   *string `json:"countryLetterCode"`
}

type urlEvidence struct {
	evidenceBase
	URL string `json:"url"`
}

type userEvidence struct {
	evidenceBase
	Account userAccount `json:"userAccount"`
}

func base(kind string, e *alert.Evidence, role string) evidenceBase {
	b := evidenceBase{
		Type: "#microsoft.graph.security." + kind, Created: odata.DateTime(e.Created), Verdict: unknown, RemediationStatus: "none",
		Roles: []string{}, DetailedRoles: []string{}, Tags: []string{},
	}
	if role != "" {
		b.Roles = append(b.Roles, role)
	}
	switch e.Detection {
	case "Blocked", "Prevented":
		b.RemediationStatus = strings.ToLower(e.Detection)
	case "Remediated":
		b.RemediationStatus = "remediated"
	}
	return b
}

// evidenceOf lists the device of an alert and its evidence. What is of no kind that Graph
// has is left to the other shapes.
func evidenceOf(al *alert.Alert, devices lookup) []evidenceEntity {
	out := []evidenceEntity{}
	if al.Device != "" {
		out = append(out, deviceOf(al, devices(al.Device)))
	}
	for i := range al.Evidence {
		if e := pieceOf(al, &al.Evidence[i]); e != nil {
			out = append(out, e)
		}
	}
	return out
}

func deviceOf(al *alert.Alert, d *grouped) deviceEvidence {
	e := deviceEvidence{
		evidenceBase: base("deviceEvidence", &alert.Evidence{Created: al.Created}, "attacked"), MdeDeviceID: string(al.Device),
		DeviceDNSName: optional(al.DeviceName), HealthStatus: unknown, RiskScore: "none", OnboardingStatus: "onboarded", DefenderAVStatus: unknown,
		IPInterfaces: []string{}, LoggedOnUsers: []map[string]any{},
	}
	host, domain, _ := strings.Cut(al.DeviceName, ".")
	e.HostName, e.DNSDomain = optional(host), optional(domain)
	if d == nil {
		e.OnboardingStatus = "insufficientInfo"
		return e
	}
	e.FirstSeen, e.OSPlatform, e.Version = odata.DateTime(d.FirstSeen), optional(d.Platform), optional(d.Inventory.Version)
	e.RBACGroupID, e.RBACGroupName, e.LastIPAddress, e.LastExternalIP = d.Group, &d.groupName, optional(d.LastIP), optional(d.ExternalIP)
	e.HealthStatus, e.RiskScore = lower(string(d.health)), lower(string(d.Risk))
	for _, n := range d.Inventory.Interfaces {
		for _, p := range n.Addresses {
			address, _, _ := strings.Cut(p, "/")
			e.IPInterfaces = append(e.IPInterfaces, address)
		}
	}
	if build, err := strconv.ParseInt(d.Inventory.Version, 10, 64); err == nil && strings.HasPrefix(d.Platform, "Windows") {
		e.OSBuild = &build
	}
	for _, u := range d.Inventory.Users {
		e.LoggedOnUsers = append(e.LoggedOnUsers, map[string]any{"accountName": u.Name, "domainName": u.Domain})
	}
	return e
}

func pieceOf(al *alert.Alert, e *alert.Evidence) evidenceEntity {
	detection := strings.ToLower(e.Detection)
	if detection != "blocked" && detection != "prevented" {
		detection = "detected"
	}
	file := fileDetails{SHA1: optional(e.SHA1), SHA256: optional(e.SHA256), Name: optional(e.FileName), Path: optional(e.FilePath)}
	account := userAccount{Name: e.Account, Domain: optional(e.Domain), SID: optional(e.UserID)}
	mde := optional(string(al.Device))
	switch e.Type {
	case "Process":
		p := processEvidence{
			evidenceBase: base("processEvidence", e, ""), ProcessID: optional(e.ProcessID), ParentID: optional(e.ParentID), CommandLine: optional(e.CommandLine),
			Started: odata.DateTime(e.ProcessCreated), ParentStarted: odata.DateTime(e.ParentCreated), DetectionStatus: detection, MdeDeviceID: mde, ImageFile: file,
		}
		if e.ParentName != "" {
			p.ParentImage = &fileDetails{Name: optional(e.ParentName), Path: optional(e.ParentPath)}
		}
		if e.Account != "" {
			p.Account = &account
		}
		return p
	case "File":
		return fileEvidence{evidenceBase: base("fileEvidence", e, ""), DetectionStatus: detection, MdeDeviceID: mde, Details: file}
	case "Ip":
		return ipEvidence{evidenceBase: base("ipEvidence", e, ""), IPAddress: e.IP}
	case "Url":
		return urlEvidence{evidenceBase: base("urlEvidence", e, ""), URL: e.URL}
	case "User":
		return userEvidence{evidenceBase: base("userEvidence", e, ""), Account: account}
	}
	return nil
}
