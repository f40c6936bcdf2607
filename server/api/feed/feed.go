// Package feed is how other systems are fed with alerts: the feed of the SIEM alert
// exporter as it was published, a bare array of flat records with names in PascalCase, and
// the /subscriptions web hooks of the flow connector.
//
// It holds no rules: alerts are alert.Service's, subscriptions notify.Service's. Start at
// Routes.
package feed

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// Alerts is what this package needs of alert.Service.
type Alerts interface {
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*alert.Alert], error)
}

// Devices is what this package needs of device.Service.
type Devices interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.DeviceID) (*device.Device, error)
}

// Subscriptions is what this package needs of notify.Service.
type Subscriptions interface {
	Subscriptions(ctx context.Context, tenant ident.TenantID) ([]*notify.Subscription, error)
	Subscribe(ctx context.Context, by *access.Principal, s notify.Subscription) (*notify.Subscription, error)
	Renew(ctx context.Context, by *access.Principal, id ident.SubscriptionID, until time.Time) (*notify.Subscription, error)
	Unsubscribe(ctx context.Context, by *access.Principal, id ident.SubscriptionID) error
}

// Config is what the API is made of.
type Config struct {
	Alerts        Alerts
	Devices       Devices
	Subscriptions Subscriptions
	Now           func() time.Time // nil for time.Now
}

// API is the handlers over the services.
type API struct{ Config }

// New returns the API.
func New(c Config) *API {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &API{c}
}

var readAlerts = []access.Permission{access.AlertRead, access.AlertReadWrite}

// Exporter returns the routes of the exporter's own host names, which are those of other
// routes elsewhere.
func (a *API) Exporter() []api.Route {
	return []api.Route{a.siem("/api/alerts"), a.siem("/api/alert")}
}

func (a *API) siem(pattern string) api.Route {
	return api.Route{Method: http.MethodGet, Pattern: pattern, Need: readAlerts, Handle: a.export,
		Doc: api.Doc{Summary: "Pull alerts as records of the SIEM alert exporter", Answer: []record{}, Bare: true, Errors: []errs.Code{errs.BadRequest},
			Params: []api.Param{{Name: "sinceTimeUtc", Type: "date-time"}, {Name: "untilTimeUtc", Type: "date-time"}, {Name: "ago", About: "an ISO 8601 duration"},
				{Name: "limit", Type: "integer", About: "the newest so many"}, {Name: "machinegroups"}, {Name: "DeviceCreatedMachineTags"}, {Name: "CloudCreatedMachineTags"}}}}
}

// Routes returns the route table of the API, the exporter's feed at a path of our own.
func (a *API) Routes() []api.Route {
	out := []api.Route{a.siem("/api/vedette/siem/alerts")}
	const root = "/subscriptions"
	return append(out,
		api.Route{Method: http.MethodGet, Pattern: root, Need: readAlerts, Handle: a.list,
			Doc: api.Doc{Summary: "List web hook subscriptions", Answer: []subscription{}}},
		api.Route{Method: http.MethodPost, Pattern: root, Need: readAlerts, Handle: a.subscribe, MaxBody: 64 << 10,
			Doc: api.Doc{Summary: "Subscribe a web hook to new alerts", Body: subscriptionBody{}, Answer: subscription{}, Status: http.StatusCreated,
				Errors: []errs.Code{errs.InvalidInput, errs.InvalidURL, errs.MissingRequiredParameter, errs.QuotaExceeded}}},
		api.Route{Method: http.MethodPatch, Pattern: root + "/{id}", Need: readAlerts, Handle: a.renew, MaxBody: 64 << 10,
			Doc: api.Doc{Summary: "Let a subscription end at another time", Body: renewalBody{}, Answer: subscription{}, Errors: []errs.Code{errs.ResourceNotFound, errs.InvalidInput}}},
		api.Route{Method: http.MethodDelete, Pattern: root + "/{id}", Need: readAlerts, Handle: a.unsubscribe,
			Doc: api.Doc{Summary: "End a subscription", Status: http.StatusNoContent, Errors: []errs.Code{errs.ResourceNotFound}}},
	)
}

// record is one part of an alert as the exporter told it: one piece of evidence.
type record struct {
	AlertTime                 time.Time
	ComputerDnsName           string //nolint:revive // published name
	AlertTitle                string
	Category                  string
	Severity                  string
	AlertId                   string //nolint:revive // published name
	Actor                     *string
	LinkToWDATP               string
	IocName                   *string
	IocValue                  *string
	CreatorIocName            *string
	CreatorIocValue           *string
	Sha1                      *string
	FileName                  *string
	FilePath                  *string
	IpAddress                 *string //nolint:revive // published name
	Url                       *string //nolint:revive // published name
	IoaDefinitiondId          string  //nolint:revive // published name, slip included
	UserName                  *string
	AlertPart                 int
	FullId                    string //nolint:revive // published name
	LastProcessedTimeUtc      time.Time
	ThreatCategory            *string
	ThreatFamily              *string
	ThreatName                *string
	RemediationAction         *string
	RemediationIsSuccess      *bool
	Source                    string
	Md5                       *string
	Sha256                    *string
	WasExecutingWhileDetected *bool
	FileHash                  *string
	IocUniqueId               *string //nolint:revive // published name
	UserDomain                *string
	MachineName               string
	MachineDomain             *string
	LogOnUsers                string
	InternalIPv4List          string
	InternalIPv6List          string
	ReportID                  int64
	DeviceID                  string
	Description               string
	CommandLine               *string
	CloudCreatedMachineTags   string
	DeviceCreatedMachineTags  string
	IncidentLinkToWDATP       *string
}

// Bounds of one pull: alerts, and the time that is looked at when none is named.
const (
	maxPull     = 10_000
	defaultPull = 2 * time.Hour
)

func (a *API) export(w http.ResponseWriter, r *api.Request) error {
	q, limit, err := a.window(r)
	if err != nil {
		return err
	}
	tags := words(r.Query.Get("CloudCreatedMachineTags"))
	groups := words(r.Query.Get("machinegroups"))
	out := []record{}
	devices := map[ident.DeviceID]*device.Device{}
	for seen := 0; seen < maxPull; {
		page, err := a.Alerts.List(r.Context(), r.Caller.Tenant, q)
		if err != nil {
			return err
		}
		for _, al := range page.Items {
			d, ok := devices[al.Device]
			if !ok && al.Device != "" {
				d, _ = a.Devices.Get(r.Context(), r.Caller.Tenant, al.Device) // gone: its alerts are told without it
				devices[al.Device] = d
			}
			if len(tags) > 0 && (d == nil || !slices.ContainsFunc(tags, d.HasTag)) ||
				len(groups) > 0 && (d == nil || !slices.Contains(groups, strconv.FormatInt(d.Group, 10))) {
				continue
			}
			out = append(out, records(r, al, d)...)
		}
		seen += len(page.Items)
		q.Skip += len(page.Items)
		if !page.More || limit > 0 && len(out) >= limit {
			break
		}
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return api.WriteJSON(w, r, http.StatusOK, out)
}

func words(s string) []string {
	var out []string
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// window reads what time is asked for, of the last change, newest first.
func (a *API) window(r *api.Request) (filter.Query, int, error) {
	now := a.Now()
	bad := func(name string) error {
		return errs.New("feed.export", errs.Invalid, errs.BadRequest, "%s: the value is not understood", name)
	}
	from, to := now.Add(-defaultPull), time.Time{}
	read := func(name string, t *time.Time) error {
		if s := r.Query.Get(name); s != "" {
			at, ok := api.ParseTime(s)
			if !ok {
				return bad(name)
			}
			*t = at
		}
		return nil
	}
	if s := r.Query.Get("ago"); s != "" {
		d, ok := api.ParseDuration(s)
		if !ok {
			return filter.Query{}, 0, bad("ago")
		}
		from = now.Add(-d)
	}
	if err := read("sinceTimeUtc", &from); err != nil {
		return filter.Query{}, 0, err
	}
	if err := read("untilTimeUtc", &to); err != nil {
		return filter.Query{}, 0, err
	}
	limit := 0
	if s := r.Query.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return filter.Query{}, 0, bad("limit")
		}
		limit = n
	}
	updated, _ := alert.Fields.Find("lastUpdateTime")
	where := filter.And{filter.Compare{Field: updated, Op: filter.Ge, Value: filter.Value{Type: filter.Time, T: from}}}
	if !to.IsZero() {
		where = append(where, filter.Compare{Field: updated, Op: filter.Le, Value: filter.Value{Type: filter.Time, T: to}})
	}
	return filter.Query{Where: where, Order: []filter.Order{{Field: updated, Desc: true}}, Top: 1000}, limit, nil
}

// records are the parts of one alert.
func records(r *api.Request, al *alert.Alert, d *device.Device) []record {
	base := record{
		AlertTime: al.LastEvent.UTC(), ComputerDnsName: al.DeviceName, AlertTitle: al.Title, Category: al.Category, Severity: string(al.Severity),
		AlertId: string(al.ID), LinkToWDATP: r.BaseURL() + "/alerts/" + string(al.ID), IoaDefinitiondId: al.DetectorID, LastProcessedTimeUtc: al.Updated.UTC(),
		Source: al.DetectionSource, UserName: optional(al.User.Name), UserDomain: optional(al.User.Domain), MachineName: al.DeviceName,
		ReportID: al.Source.ReportID, DeviceID: string(al.Device), Description: al.Description, IocUniqueId: optional(al.Source.Indicator),
	}
	if al.Incident != 0 {
		url := r.BaseURL() + "/incidents/" + al.Incident.String()
		base.IncidentLinkToWDATP = &url
	}
	if host, domain, ok := strings.Cut(al.DeviceName, "."); ok {
		base.MachineName, base.MachineDomain = host, &domain
	}
	if d != nil {
		base.CloudCreatedMachineTags = strings.Join(d.Tags, ",")
		var users, v4, v6 []string
		for _, u := range d.Inventory.Users {
			users = append(users, u.Domain+`\`+u.Name)
		}
		for _, n := range d.Inventory.Interfaces {
			for _, p := range n.Addresses {
				address, _, _ := strings.Cut(p, "/")
				if strings.Contains(address, ":") {
					v6 = append(v6, address)
				} else {
					v4 = append(v4, address)
				}
			}
		}
		base.LogOnUsers, base.InternalIPv4List, base.InternalIPv6List = strings.Join(users, ";"), strings.Join(v4, ";"), strings.Join(v6, ";")
	}
	var out []record
	for i := range al.Evidence {
		e := &al.Evidence[i]
		if e.Type == "User" {
			continue
		}
		p := base
		p.AlertPart, p.FullId = len(out), string(al.ID)+":"+strconv.Itoa(len(out))
		p.Sha1, p.Sha256, p.FileHash = optional(e.SHA1), optional(e.SHA256), optional(e.SHA1)
		p.FileName, p.FilePath, p.IpAddress, p.Url, p.CommandLine = optional(e.FileName), optional(e.FilePath), optional(e.IP), optional(e.URL), optional(e.CommandLine)
		switch e.Type {
		case "Ip":
			p.IocName, p.IocValue = optional("IpAddress"), optional(e.IP)
		case "Url":
			p.IocName, p.IocValue = optional("DomainName"), optional(e.URL)
		case "File":
			p.IocName, p.IocValue = optional("Sha1"), optional(e.SHA1)
		case "Process":
			running := true
			p.WasExecutingWhileDetected = &running
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		base.FullId = string(al.ID) + ":0"
		out = append(out, base)
	}
	return out
}

// optional renders the zero value as null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
