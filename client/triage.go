package client

import "time"

// Change is one change in the history of an alert or incident.
type Change struct {
	Seq   int64     `json:"seq"`
	Time  time.Time `json:"time"`
	By    string    `json:"by"`
	Field string    `json:"field"`
	Old   string    `json:"old"`
	New   string    `json:"new"`
}

// ProcessTree is the processes around an alert.
type ProcessTree struct {
	AlertID   string        `json:"alertId"`
	MachineID string        `json:"machineId"`
	Processes []TreeProcess `json:"processes"`
	Truncated bool          `json:"truncated"` // there are more
}

// TreeProcess is a process of a tree; Parent is its parent's place in the list, -1 for none.
type TreeProcess struct {
	Parent      int        `json:"parent"`
	ProcessID   int64      `json:"processId"`
	Created     *time.Time `json:"processCreationTime"`
	FileName    string     `json:"fileName"`
	FilePath    string     `json:"filePath"`
	CommandLine string     `json:"processCommandLine"`
	SHA256      string     `json:"sha256"`
	Account     string     `json:"accountName"`
	InAlert     bool       `json:"inAlert"`
}

// Incident is an incident of the XDR API with its alerts.
type Incident struct {
	ID             int64           `json:"incidentId"`
	Redirect       *int64          `json:"redirectIncidentId"`
	Name           string          `json:"incidentName"`
	Created        *time.Time      `json:"createdTime"`
	Updated        *time.Time      `json:"lastUpdateTime"`
	AssignedTo     *string         `json:"assignedTo"`
	Classification string          `json:"classification"`
	Determination  string          `json:"determination"`
	Status         string          `json:"status"`
	Severity       string          `json:"severity"`
	Tags           []string        `json:"tags"`
	Comments       []Comment       `json:"comments"`
	Alerts         []IncidentAlert `json:"alerts"`
}

// Comment is a remark on an alert or incident.
type Comment struct {
	Text    string     `json:"comment"`
	By      string     `json:"createdBy"`
	Created *time.Time `json:"createdTime"`
}

// IncidentAlert is an alert as an incident holds it.
type IncidentAlert struct {
	ID       string     `json:"alertId"`
	Title    string     `json:"title"`
	Severity string     `json:"severity"`
	Status   string     `json:"status"`
	Created  *time.Time `json:"creationTime"`
	Devices  []struct {
		ID   string  `json:"mdatpDeviceId"`
		Name *string `json:"deviceDnsName"`
	} `json:"devices"`
}

// Condition is one condition of a suppression rule.
type Condition struct {
	Field  string   `json:"field"`
	Op     string   `json:"op"`
	Values []string `json:"values"`
}

// Suppression is a suppression rule.
type Suppression struct {
	ID          int64       `json:"id"`
	Name        string      `json:"name"`
	Comment     string      `json:"comment"`
	Enabled     bool        `json:"enabled"`
	Action      string      `json:"action"`
	MachineIDs  []string    `json:"machineIds"`
	Groups      []int64     `json:"rbacGroupIds"`
	Conditions  []Condition `json:"conditions"`
	CreatedBy   string      `json:"createdBy"`
	Matched     int64       `json:"matchedAlerts"`
	LastMatched *time.Time  `json:"lastMatchTime"`
}

// NotificationRule says who is told of what.
type NotificationRule struct {
	ID         int64    `json:"id"`
	Name       string   `json:"name"`
	Enabled    bool     `json:"enabled"`
	Subject    string   `json:"subject"`
	Severity   string   `json:"severity"`
	Groups     []int64  `json:"rbacGroupIds"`
	Sources    []string `json:"detectionSources"`
	Categories []string `json:"categories"`
	Mail       []string `json:"mail"`
	URL        string   `json:"webhookUrl"`
	Signed     bool     `json:"signed"`
	Digest     int64    `json:"digestMinutes"`
	PerHour    int      `json:"perHour"`
}

// Message is a notification that was sent, waits, or was given up.
type Message struct {
	ID        string     `json:"id"`
	Channel   string     `json:"channel"`
	Kind      string     `json:"kind"`
	To        []string   `json:"to"`
	Subject   string     `json:"subject"`
	State     string     `json:"state"`
	Attempts  int        `json:"attempts"`
	LastError string     `json:"lastError"`
	Created   *time.Time `json:"createdTime"`
	Done      *time.Time `json:"doneTime"`
}

// Subscription is a web hook subscription.
type Subscription struct {
	ID          string     `json:"id"`
	URL         string     `json:"notificationUrl"`
	ClientState string     `json:"clientState"`
	Resource    string     `json:"resource"`
	Expires     *time.Time `json:"expirationDateTime"`
}
