package expert

import (
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/incident"
)

// The entities of a bundle. Names are those of the published API, which receivers know. What
// a team says among itself, comments and who works on what, stays here.

type alertEntity struct {
	ID          string            `json:"id"`
	Incident    int64             `json:"incidentId,omitempty"`
	Title       string            `json:"title"`
	Description string            `json:"description,omitempty"`
	Recommended string            `json:"recommendedAction,omitempty"`
	Category    string            `json:"category,omitempty"`
	Severity    string            `json:"severity"`
	Status      string            `json:"status"`
	Source      string            `json:"detectionSource"`
	Detector    string            `json:"detectorId,omitempty"`
	Rule        string            `json:"ruleName,omitempty"`
	Machine     string            `json:"machineId"`
	MachineName string            `json:"computerDnsName"`
	Techniques  []string          `json:"mitreTechniques"`
	Created     time.Time         `json:"alertCreationTime"`
	First       time.Time         `json:"firstEventTime,omitzero"`
	Last        time.Time         `json:"lastEventTime,omitzero"`
	Account     string            `json:"relatedAccount,omitempty"`
	Domain      string            `json:"relatedDomain,omitempty"`
	Detections  int64             `json:"detections"`
	Details     map[string]string `json:"customDetails,omitempty"`
	Evidence    []evidenceEntity  `json:"evidence"`
}

type evidenceEntity struct {
	Type          string    `json:"entityType"`
	Created       time.Time `json:"evidenceCreationTime,omitzero"`
	SHA1          string    `json:"sha1,omitempty"`
	SHA256        string    `json:"sha256,omitempty"`
	FileName      string    `json:"fileName,omitempty"`
	FilePath      string    `json:"filePath,omitempty"`
	ProcessID     int64     `json:"processId,omitempty"`
	CommandLine   string    `json:"processCommandLine,omitempty"`
	Started       time.Time `json:"processCreationTime,omitzero"`
	ParentID      int64     `json:"parentProcessId,omitempty"`
	ParentStarted time.Time `json:"parentProcessCreationTime,omitzero"`
	ParentName    string    `json:"parentProcessFileName,omitempty"`
	ParentPath    string    `json:"parentProcessFilePath,omitempty"`
	IP            string    `json:"ipAddress,omitempty"`
	URL           string    `json:"url,omitempty"`
	Account       string    `json:"accountName,omitempty"`
	Domain        string    `json:"domainName,omitempty"`
	UserID        string    `json:"userSid,omitempty"`
	Detection     string    `json:"detectionStatus,omitempty"`
}

func showAlert(a *alert.Alert) alertEntity {
	out := alertEntity{ID: string(a.ID), Incident: int64(a.Incident), Title: a.Title, Description: a.Description, Recommended: a.Recommended,
		Category: a.Category, Severity: string(a.Severity), Status: string(a.Status), Source: a.DetectionSource, Detector: a.DetectorID, Rule: a.Source.Rule,
		Machine: string(a.Device), MachineName: a.DeviceName, Techniques: append([]string{}, a.Techniques...), Created: a.Created.UTC(), First: a.FirstEvent.UTC(),
		Last: a.LastEvent.UTC(), Account: a.User.Name, Domain: a.User.Domain, Detections: max(1, a.Count), Details: a.Details, Evidence: []evidenceEntity{}}
	for i := range a.Evidence {
		e := &a.Evidence[i]
		out.Evidence = append(out.Evidence, evidenceEntity{Type: e.Type, Created: e.Created, SHA1: e.SHA1, SHA256: e.SHA256, FileName: e.FileName, FilePath: e.FilePath,
			ProcessID: e.ProcessID, CommandLine: e.CommandLine, Started: e.ProcessCreated, ParentID: e.ParentID, ParentStarted: e.ParentCreated, ParentName: e.ParentName,
			ParentPath: e.ParentPath, IP: e.IP, URL: e.URL, Account: e.Account, Domain: e.Domain, UserID: e.UserID, Detection: e.Detection})
	}
	return out
}

type treeEntity struct {
	Processes []processEntity `json:"processes"`
	Truncated bool            `json:"truncated"`
}

type processEntity struct {
	Parent      int       `json:"parent"`
	ProcessID   int64     `json:"processId"`
	Created     time.Time `json:"processCreationTime,omitzero"`
	FileName    string    `json:"fileName,omitempty"`
	FilePath    string    `json:"filePath,omitempty"`
	CommandLine string    `json:"processCommandLine,omitempty"`
	SHA1        string    `json:"sha1,omitempty"`
	SHA256      string    `json:"sha256,omitempty"`
	Account     string    `json:"accountName,omitempty"`
	Domain      string    `json:"domainName,omitempty"`
	InAlert     bool      `json:"inAlert"`
}

func showTree(t *hunt.Tree) treeEntity {
	out := treeEntity{Processes: []processEntity{}, Truncated: t.More}
	for i := range t.Nodes {
		p := &t.Nodes[i].Process
		out.Processes = append(out.Processes, processEntity{Parent: t.Nodes[i].Parent, ProcessID: int64(p.PID), Created: p.Start, FileName: p.Image.Name, FilePath: p.Image.Path,
			CommandLine: p.CommandLine, SHA1: p.Image.SHA1, SHA256: p.Image.SHA256, Account: p.Account.Name, Domain: p.Account.Domain, InAlert: t.Nodes[i].Root})
	}
	return out
}

type deviceEntity struct {
	ID        string           `json:"id"`
	Name      string           `json:"computerDnsName"`
	Platform  string           `json:"osPlatform"`
	Health    string           `json:"healthStatus"`
	Risk      string           `json:"riskScore"`
	Exposure  string           `json:"exposureLevel,omitempty"`
	Value     string           `json:"deviceValue"`
	Agent     string           `json:"agentVersion"`
	FirstSeen time.Time        `json:"firstSeen"`
	LastSeen  time.Time        `json:"lastSeen"`
	LastIP    string           `json:"lastIpAddress"`
	External  string           `json:"lastExternalIpAddress"`
	Tags      []string         `json:"machineTags"`
	Inventory device.Inventory `json:"inventory"`
}

func showDevice(d *device.Device, now time.Time) deviceEntity {
	return deviceEntity{ID: string(d.ID), Name: d.Name, Platform: d.Platform, Health: string(d.Health(now)), Risk: string(d.Risk), Exposure: d.Exposure, Value: string(d.Value),
		Agent: d.AgentVersion, FirstSeen: d.FirstSeen.UTC(), LastSeen: d.LastSeen.UTC(), LastIP: d.LastIP, External: d.ExternalIP, Tags: append([]string{}, d.Tags...), Inventory: d.Inventory}
}

// incidentEntity leaves out what an incident tells of its alerts: the asker may see some of
// them alone, and those are in the bundle.
type incidentEntity struct {
	ID             int64     `json:"incidentId"`
	Name           string    `json:"incidentName"`
	Summary        string    `json:"summary,omitempty"`
	Severity       string    `json:"severity"`
	Status         string    `json:"status"`
	Classification string    `json:"classification,omitempty"`
	Determination  string    `json:"determination,omitempty"`
	Tags           []string  `json:"tags"`
	Created        time.Time `json:"createdTime"`
	Updated        time.Time `json:"lastUpdateTime"`
}

func showIncident(i *incident.Incident) incidentEntity {
	return incidentEntity{ID: int64(i.ID), Name: i.Name, Summary: i.Summary, Severity: string(i.Severity), Status: string(i.Status), Classification: i.Classification,
		Determination: i.Determination, Tags: append([]string{}, i.Tags...), Created: i.Created.UTC(), Updated: i.Updated.UTC()}
}
