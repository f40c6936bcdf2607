package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// AlertChange is what UpdateAlert and UpdateAlerts set; nil members stay as they are.
type AlertChange struct {
	Status         *string `json:"status,omitempty"`
	AssignedTo     *string `json:"assignedTo,omitempty"`
	Classification *string `json:"classification,omitempty"`
	Determination  *string `json:"determination,omitempty"`
	Comment        *string `json:"comment,omitempty"` // added
}

// AlertReference names an event by what its hunting row shows, and the alert it becomes.
type AlertReference struct {
	EventTime   string `json:"eventTime"`
	ReportID    string `json:"reportId"`
	MachineID   string `json:"machineId"`
	Severity    string `json:"severity"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Recommended string `json:"recommendedAction"`
	Category    string `json:"category"`
}

// LogonUser is an account that logged on to a device.
type LogonUser struct {
	ID         string     `json:"id"` // domain\name
	Name       string     `json:"accountName"`
	Domain     string     `json:"accountDomain"`
	FirstSeen  *time.Time `json:"firstSeen"`
	LastSeen   *time.Time `json:"lastSeen"`
	LogonTypes string     `json:"logonTypes"`
}

// Imported is what became of one indicator of an import.
type Imported struct {
	ID        *string `json:"id"`
	Indicator string  `json:"indicator"`
	Failed    bool    `json:"isFailed"`
	Reason    *string `json:"failureReason"`
}

// Alert returns an alert with its evidence.
func (c *Client) Alert(ctx context.Context, id string) (*Alert, error) {
	var a Alert
	err := c.Do(ctx, http.MethodGet, "/api/alerts/"+url.PathEscape(id), nil, &a)
	return &a, err
}

// UpdateAlert changes one alert.
func (c *Client) UpdateAlert(ctx context.Context, id string, change AlertChange) (*Alert, error) {
	var a Alert
	err := c.Do(ctx, http.MethodPatch, "/api/alerts/"+url.PathEscape(id), change, &a)
	return &a, err
}

// UpdateAlerts changes several alerts alike, all or none.
func (c *Client) UpdateAlerts(ctx context.Context, ids []string, change AlertChange) error {
	body := struct {
		IDs []string `json:"alertIds"`
		AlertChange
	}{ids, change}
	return c.Do(ctx, http.MethodPost, "/api/alerts/batchUpdate", body, nil)
}

// CreateAlert raises an alert for an event.
func (c *Client) CreateAlert(ctx context.Context, ref AlertReference) (*Alert, error) {
	var a Alert
	err := c.Do(ctx, http.MethodPost, "/api/alerts/CreateAlertByReference", ref, &a)
	return &a, err
}

// SetValue sets the value of a device: Normal, Low or High.
func (c *Client) SetValue(ctx context.Context, machine, value string) (*Machine, error) {
	var m Machine
	err := c.Do(ctx, http.MethodPost, "/api/machines/"+url.PathEscape(machine)+"/setDeviceValue", map[string]string{"DeviceValue": value}, &m)
	return &m, err
}

// TagMany adds (or, with action "Remove", removes) one tag of up to 500 devices.
func (c *Client) TagMany(ctx context.Context, machines []string, tag, action string) error {
	body := map[string]any{"Value": tag, "Action": action, "MachineIds": machines}
	return c.Do(ctx, http.MethodPost, "/api/machines/AddOrRemoveTagForMultipleMachines", body, nil)
}

// FindByIP returns the devices that had an address around a time.
func (c *Client) FindByIP(ctx context.Context, ip string, at time.Time) ([]Machine, error) {
	return All[Machine](ctx, c, "/api/machines/findbyip(ip='"+url.PathEscape(ip)+"',timestamp="+at.UTC().Format(time.RFC3339)+")", List{})
}

// LogonUsers returns the accounts that logged on to a device.
func (c *Client) LogonUsers(ctx context.Context, machine string) ([]LogonUser, error) {
	return All[LogonUser](ctx, c, "/api/machines/"+url.PathEscape(machine)+"/logonusers", List{})
}

// MachineAlerts returns the alerts of a device.
func (c *Client) MachineAlerts(ctx context.Context, machine string, l List) ([]Alert, error) {
	return All[Alert](ctx, c, "/api/machines/"+url.PathEscape(machine)+"/alerts", l)
}

// Cancel cancels a machine action.
func (c *Client) Cancel(ctx context.Context, action, comment string) (*Action, error) {
	var a Action
	err := c.Do(ctx, http.MethodPost, "/api/machineactions/"+url.PathEscape(action)+"/cancel", map[string]string{"Comment": comment}, &a)
	return &a, err
}

// PutIndicator creates an indicator or changes the one of the same value.
func (c *Client) PutIndicator(ctx context.Context, i Indicator) (*Indicator, error) {
	var out Indicator
	err := c.Do(ctx, http.MethodPost, "/api/indicators", i, &out)
	return &out, err
}

// ImportIndicators creates or changes up to 500 indicators, each for itself.
func (c *Client) ImportIndicators(ctx context.Context, is []Indicator) ([]Imported, error) {
	var out struct {
		Value []Imported `json:"value"`
	}
	err := c.Do(ctx, http.MethodPost, "/api/indicators/import", map[string]any{"Indicators": is}, &out)
	return out.Value, err
}

// DeleteIndicator deletes one indicator.
func (c *Client) DeleteIndicator(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, "/api/indicators/"+url.PathEscape(id), nil, nil)
}

// DeleteIndicators deletes several indicators, all or none.
func (c *Client) DeleteIndicators(ctx context.Context, ids []string) error {
	return c.Do(ctx, http.MethodPost, "/api/indicators/BatchDelete", map[string]any{"IndicatorIds": ids}, nil)
}
