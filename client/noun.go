package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Machine is a device. Times are UTC; an absent one is nil.
type Machine struct {
	ID            string     `json:"id"`
	Name          string     `json:"computerDnsName"`
	FirstSeen     *time.Time `json:"firstSeen"`
	LastSeen      *time.Time `json:"lastSeen"`
	OSPlatform    string     `json:"osPlatform"`
	Version       string     `json:"version"`
	LastIP        string     `json:"lastIpAddress"`
	LastExternal  string     `json:"lastExternalIpAddress"`
	AgentVersion  string     `json:"agentVersion"`
	HealthStatus  string     `json:"healthStatus"`
	RiskScore     string     `json:"riskScore"`
	ExposureLevel string     `json:"exposureLevel"`
	Tags          []string   `json:"machineTags"`
}

// Alert is an alert.
type Alert struct {
	ID              string     `json:"id"`
	Title           string     `json:"title"`
	Description     string     `json:"description"`
	Recommended     string     `json:"recommendedAction"`
	Category        string     `json:"category"`
	Severity        string     `json:"severity"`
	Status          string     `json:"status"`
	Classification  *string    `json:"classification"`
	Determination   *string    `json:"determination"`
	DetectionSource string     `json:"detectionSource"`
	MachineID       string     `json:"machineId"`
	MachineName     string     `json:"computerDnsName"`
	AssignedTo      string     `json:"assignedTo"`
	IncidentID      *int64     `json:"incidentId"`
	Created         *time.Time `json:"alertCreationTime"`
	FirstEvent      *time.Time `json:"firstEventTime"`
	LastEvent       *time.Time `json:"lastEventTime"`
	Evidence        []Evidence `json:"evidence"`
}

// Evidence is one entity of an alert; what does not apply is nil.
type Evidence struct {
	Type        string  `json:"entityType"`
	FileName    *string `json:"fileName"`
	FilePath    *string `json:"filePath"`
	SHA1        *string `json:"sha1"`
	SHA256      *string `json:"sha256"`
	ProcessID   *int64  `json:"processId"`
	CommandLine *string `json:"processCommandLine"`
	IP          *string `json:"ipAddress"`
	URL         *string `json:"url"`
	Account     *string `json:"accountName"`
	Detection   *string `json:"detectionStatus"`
}

// Action is a machine action.
type Action struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Scope     *string    `json:"scope"`
	Status    string     `json:"status"`
	Requestor string     `json:"requestor"`
	Comment   string     `json:"requestorComment"`
	MachineID string     `json:"machineId"`
	Machine   string     `json:"computerDnsName"`
	Created   *time.Time `json:"creationDateTimeUtc"`
	Updated   *time.Time `json:"lastUpdateDateTimeUtc"`
	Error     *string    `json:"error"`
	Trouble   *string    `json:"troubleshootInfo"`
}

// Indicator is an indicator of the current API.
type Indicator struct {
	ID            string     `json:"id,omitempty"`
	Value         string     `json:"indicatorValue"`
	Type          string     `json:"indicatorType"`
	Action        string     `json:"action"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Severity      string     `json:"severity,omitempty"`
	GenerateAlert bool       `json:"generateAlert"`
	Expires       *time.Time `json:"expirationTime,omitempty"`
}

// IndicatorStats is what was seen of an indicator.
type IndicatorStats struct {
	ID         string     `json:"id"`
	Matches    int64      `json:"matches"`
	Blocks     int64      `json:"blocks"`
	Alerts     int64      `json:"alerts"`
	Devices    int        `json:"devices"`
	FirstMatch *time.Time `json:"firstMatch"`
	LastMatch  *time.Time `json:"lastMatch"`
}

// Definition is an alert definition of the custom threat-intelligence API.
type Definition struct {
	ID                  int64  `json:"Id,omitempty"`
	Name                string `json:"Name"`
	Severity            string `json:"Severity"`
	InternalDescription string `json:"InternalDescription,omitempty"`
	Title               string `json:"Title"`
	Description         string `json:"UxDescription"`
	Recommended         string `json:"RecommendedAction,omitempty"`
	Category            string `json:"Category"`
	Enabled             bool   `json:"Enabled"`
}

// IOC is an indicator of compromise of the custom threat-intelligence API.
type IOC struct {
	ID       int64      `json:"Id,omitempty"`
	Type     string     `json:"Type"`
	Value    string     `json:"Value"`
	Function string     `json:"DetectionFunction"`
	Enabled  bool       `json:"Enabled"`
	Expires  *time.Time `json:"ExpiresAt,omitempty"`
	Bind     string     `json:"AlertDefinition@odata.bind,omitempty"`
}

// Application is an API application. Secret is there in the answer to its creation alone.
type Application struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
	// Delegated is what people may delegate to it, as a token's scp claim names it.
	Delegated []string   `json:"delegatedPermissions"`
	Public    bool       `json:"isPublicClient"`
	Redirects []string   `json:"redirectUris"`
	Secrets   []Secret   `json:"secrets"`
	Created   *time.Time `json:"createdDateTimeUtc"`
	Disabled  *time.Time `json:"disabledDateTimeUtc"`
	LastUsed  *time.Time `json:"lastUsedDateTimeUtc"`
	Secret    string     `json:"clientSecret,omitempty"`
}

// Secret is a client secret of an application; Text is there in the answer to its creation
// alone.
type Secret struct {
	ID       string     `json:"id"`
	Name     string     `json:"displayName"`
	Hint     string     `json:"hint"`
	Created  *time.Time `json:"createdDateTimeUtc"`
	Expires  *time.Time `json:"expirationDateTimeUtc"`
	LastUsed *time.Time `json:"lastUsedDateTimeUtc"`
	Text     string     `json:"clientSecret,omitempty"`
}

// User is the account of a person. Password is there when it was chosen for them, once.
type User struct {
	ID       string     `json:"id"`
	Login    string     `json:"login"`
	Name     string     `json:"displayName"`
	Mail     string     `json:"mail"`
	Roles    []string   `json:"roles"`
	Groups   []string   `json:"userGroups"`
	Created  *time.Time `json:"createdDateTimeUtc"`
	Disabled *time.Time `json:"disabledDateTimeUtc"`
	// PasswordSignIn says that they can sign in with a password, SecondFactor that it asks
	// for a code as well, Provider who else vouches for them.
	PasswordSignIn bool    `json:"passwordSignIn"`
	SecondFactor   bool    `json:"secondFactor"`
	Provider       *string `json:"identityProviderId"`
	Password       string  `json:"password,omitempty"`
}

// Role is a set of rights that people are given.
type Role struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions"`
	BuiltIn     bool     `json:"isBuiltIn"`
}

// UserGroup is a group of people.
type UserGroup struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Roles       []string `json:"roles"`
}

// DeviceGroup is a group of devices; Rank is nil for the default one.
type DeviceGroup struct {
	ID          int64       `json:"rbacGroupId"`
	Name        string      `json:"rbacGroupName"`
	Description string      `json:"description"`
	Automation  string      `json:"automationLevel"`
	Rules       []GroupRule `json:"rules"`
	Rank        *int        `json:"rank"`
	UserGroups  []string    `json:"userGroups"`
	Roles       []string    `json:"roles"`
	Devices     int64       `json:"deviceCount"`
}

// GroupRule is one condition of a device group's rules.
type GroupRule struct {
	Property string   `json:"property"` // Name, Domain, Tag, OS
	Operator string   `json:"operator"` // StartsWith, EndsWith, Contains, Equals, In
	Values   []string `json:"values"`   // one of them has to fit
}

// DeviceHealth is how well a device is watched.
type DeviceHealth struct {
	ID           string     `json:"id"`
	Name         string     `json:"computerDnsName"`
	HealthStatus string     `json:"healthStatus"`
	Incarnation  uint64     `json:"incarnation"`
	LastReport   *time.Time `json:"lastReport"`
	LastData     *time.Time `json:"lastTelemetry"`
	ClockOffset  float64    `json:"clockOffsetSeconds"` // server clock minus device clock
	ClockWrong   bool       `json:"clockWrong"`
	Cloned       *time.Time `json:"cloned"` // when copies were noticed
	Spool        struct {
		Bytes   int64      `json:"bytes"`
		Limit   int64      `json:"limit"`
		Batches int64      `json:"batches"`
		Oldest  *time.Time `json:"oldest"`
		Dropped uint64     `json:"dropped"`
	} `json:"spool"`
	Facilities []Facility `json:"facilities"`
	Problems   []string   `json:"problems"` // in words for people
}

// Facility is one thing a sensor needs of the device; State is working, degraded or missing.
type Facility struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
}

// HuntResult is the answer to a hunting query.
type HuntResult struct {
	Stats struct {
		ExecutionTime float64
	}
	Schema []struct{ Name, Type string }
	// Results has one map a row, keyed by column name; order columns by Schema.
	Results []map[string]any
	// MoreResults are the further tables of queries that answer several, as with fork.
	MoreResults  []HuntTable   `json:",omitempty"`
	Completeness *Completeness `json:"completeness"`
}

// HuntTable is a further table of a hunting query.
type HuntTable struct {
	Schema  []struct{ Name, Type string }
	Results []map[string]any
}

// Completeness says what telemetry the server knows to be missing from a result.
type Completeness struct {
	Complete bool `json:"complete"`
	Gaps     []struct {
		DeviceID string    `json:"deviceId"`
		Source   string    `json:"source"`
		Reason   string    `json:"reason"`
		Lost     int64     `json:"eventsLost"`
		From     time.Time `json:"from"`
		To       time.Time `json:"to"`
	} `json:"gaps"`
}

// List is a request for a list; the zero List asks for the first page.
type List struct {
	Filter  string // OData $filter
	OrderBy string
	Top     int
	Expand  string
	View    string // of the action center: pending, history, approval
	Format  string // of Export: csv
}

func (l List) query() string {
	v := url.Values{}
	set := func(k, s string) {
		if s != "" {
			v.Set(k, s)
		}
	}
	set("$filter", l.Filter)
	set("$orderby", l.OrderBy)
	set("$expand", l.Expand)
	set("view", l.View)
	set("format", l.Format)
	if l.Top > 0 {
		v.Set("$top", fmt.Sprint(l.Top))
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// Each calls f with every item of the list at path, following the server's pages until
// there are no more, l.Top items were passed, or f returns false.
func Each[T any](ctx context.Context, c *Client, path string, l List, f func(T) bool) error {
	next, left := path+l.query(), l.Top
	for next != "" {
		var page struct {
			Value []T    `json:"value"`
			Next  string `json:"@odata.nextLink"`
		}
		if err := c.Do(ctx, http.MethodGet, next, nil, &page); err != nil {
			return err
		}
		for _, item := range page.Value {
			if !f(item) {
				return nil
			}
			if left--; left == 0 {
				return nil
			}
		}
		next = page.Next
	}
	return nil
}

// All collects what Each passes.
func All[T any](ctx context.Context, c *Client, path string, l List) ([]T, error) {
	out := []T{}
	err := Each(ctx, c, path, l, func(item T) bool {
		out = append(out, item)
		return true
	})
	return out, err
}

// Hunt runs a KQL query.
func (c *Client) Hunt(ctx context.Context, query string) (*HuntResult, error) {
	var r HuntResult
	err := c.Do(ctx, http.MethodPost, "/api/advancedqueries/run", map[string]string{"Query": query}, &r)
	return &r, err
}

// Machine returns a device by its id or computer name.
func (c *Client) Machine(ctx context.Context, id string) (*Machine, error) {
	var m Machine
	err := c.Do(ctx, http.MethodGet, "/api/machines/"+url.PathEscape(id), nil, &m)
	return &m, err
}

// Health returns how well a device is watched, by its id or computer name.
func (c *Client) Health(ctx context.Context, id string) (*DeviceHealth, error) {
	var h DeviceHealth
	err := c.Do(ctx, http.MethodGet, "/api/vedette/machines/"+url.PathEscape(id)+"/health", nil, &h)
	return &h, err
}

// Tag adds (or, with action "Remove", removes) one tag of a device.
func (c *Client) Tag(ctx context.Context, id, tag, action string) (*Machine, error) {
	var m Machine
	err := c.Do(ctx, http.MethodPost, "/api/machines/"+url.PathEscape(id)+"/tags", map[string]string{"Value": tag, "Action": action}, &m)
	return &m, err
}

// Act asks for a machine action, such as "isolate", with body's further fields.
func (c *Client) Act(ctx context.Context, machine, action string, body map[string]any) (*Action, error) {
	var a Action
	err := c.Do(ctx, http.MethodPost, "/api/machines/"+url.PathEscape(machine)+"/"+action, body, &a)
	return &a, err
}

// Action returns a machine action.
func (c *Client) Action(ctx context.Context, id string) (*Action, error) {
	var a Action
	err := c.Do(ctx, http.MethodGet, "/api/machineactions/"+url.PathEscape(id), nil, &a)
	return &a, err
}
