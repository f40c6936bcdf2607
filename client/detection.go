package client

import (
	"encoding/json"
	"time"
)

// DetectionRule is a custom detection rule of Graph's security API (beta).
type DetectionRule struct {
	ID        string     `json:"id,omitempty"`
	Name      string     `json:"displayName"`
	Enabled   bool       `json:"isEnabled"`
	CreatedBy string     `json:"createdBy,omitempty"`
	Modified  *time.Time `json:"lastModifiedDateTime,omitempty"`
	Condition struct {
		Query string `json:"queryText"`
	} `json:"queryCondition"`
	Schedule struct {
		Period string     `json:"period"`
		Next   *time.Time `json:"nextRunDateTime,omitempty"`
	} `json:"schedule"`
	LastRun struct {
		At     *time.Time `json:"lastRunDateTime"`
		Status *string    `json:"status"`
		Reason *string    `json:"failureReason"`
		Code   *string    `json:"errorCode"`
	} `json:"lastRunDetails,omitzero"`
	Action DetectionAction `json:"detectionAction"`
}

// DetectionAction is what a rule does with its results.
type DetectionAction struct {
	Template struct {
		Title       string          `json:"title"`
		Description string          `json:"description"`
		Severity    string          `json:"severity"`
		Category    string          `json:"category"`
		Recommended *string         `json:"recommendedActions,omitempty"`
		Techniques  []string        `json:"mitreTechniques,omitempty"`
		Impacted    json.RawMessage `json:"impactedAssets,omitempty"`
	} `json:"alertTemplate"`
	Scope     json.RawMessage     `json:"organizationalScope,omitempty"`
	Responses []DetectionResponse `json:"responseActions,omitempty"`
}

// DetectionResponse is one response action, such as #microsoft.graph.security.isolateDeviceResponseAction.
type DetectionResponse struct {
	Type       string `json:"@odata.type"`
	Identifier string `json:"identifier"`
	Isolation  string `json:"isolationType,omitempty"`
}

// RuleFile is a rule file as the server has it.
type RuleFile struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Title      string   `json:"title"`
	Severity   string   `json:"severity"`
	Category   string   `json:"category"`
	Techniques []string `json:"mitreTechniques"`
	Origin     string   `json:"origin"`
	Enabled    bool     `json:"isEnabled"`
	Problem    string   `json:"problem"`
}

// Backtest is a run of a rule or an indicator over past telemetry.
type Backtest struct {
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Progress float64   `json:"progress"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Examined int       `json:"examined"`
	Alerts   int       `json:"alerts"`
	Devices  []Tally   `json:"byDevice"`
	Days     []Tally   `json:"byDay"`
	Samples  []struct {
		At     time.Time `json:"timestamp"`
		Device string    `json:"machineId"`
		Name   string    `json:"computerDnsName"`
		Report int64     `json:"reportId"`
		Title  string    `json:"title"`
		Events int       `json:"events"`
	} `json:"samples"`
	Error string `json:"error"`
}

// Tally is how many alerts there would have been of something.
type Tally struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}
