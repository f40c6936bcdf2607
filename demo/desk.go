package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// desk is where the company's analysts sit: they work by the API.
type desk struct {
	world *world
	ctx   context.Context
}

// client is a fresh one: a token that was issued before the clock was set ahead has expired
// for the server while its holder believes in it.
func (d *desk) client() (*client.Client, error) { return client.New(d.world.profile) }

func (d *desk) do(method, path string, in, out any) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	if err := c.Do(d.ctx, method, path, in, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (d *desk) id(h *host) string { return d.world.fleet.Devices()[h.index].ID() }

// act asks for an action on a device and waits until it is over.
func (d *desk) act(h *host, action string, body m) error {
	c, err := d.client()
	if err != nil {
		return err
	}
	a, err := c.Act(d.ctx, d.id(h), action, body)
	if err != nil {
		return err
	}
	for begin := time.Now(); ; {
		if a.Status != "Pending" && a.Status != "InProgress" {
			return nil
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("%s of %s is %s", action, h.name, a.Status)
		}
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if a, err = c.Action(d.ctx, a.ID); err != nil {
			return err
		}
	}
}

// triage changes the incident that the device's latest alert is in.
func (d *desk) triage(h *host, change m) error {
	var alerts struct{ Value []client.Alert }
	if err := d.do(http.MethodGet, "/api/machines/"+d.id(h)+"/alerts", nil, &alerts); err != nil {
		return err
	}
	var last *client.Alert
	for i := range alerts.Value {
		if a := &alerts.Value[i]; a.IncidentID != nil && (last == nil || a.Created.After(*last.Created)) {
			last = a
		}
	}
	if last == nil {
		return fmt.Errorf("%s raised no alert", h.name)
	}
	if last.Status == "New" {
		var taken any
		body := m{"status": "InProgress"}
		if change["status"] == "Resolved" {
			body = m{"status": "Resolved", "classification": change["classification"], "determination": change["determination"]}
		}
		if err := d.do(http.MethodPatch, "/api/alerts/"+url.PathEscape(last.ID), body, &taken); err != nil {
			return err
		}
	}
	return d.do(http.MethodPatch, fmt.Sprint("/api/incidents/", *last.IncidentID), change, nil)
}

func (d *desk) indicator(kind, value, action, severity, title string, alert bool) error {
	return d.do(http.MethodPost, "/api/indicators", m{"indicatorType": kind, "indicatorValue": value, "action": action, "severity": severity, "title": title,
		"description": title + ".", "generateAlert": alert, "recommendedActions": "See the incident."}, nil)
}

// setUp is what the company set up before the week began.
func (d *desk) setUp() error {
	d.world.say("Setting up groups, roles, rules and indicators …")
	return errors.Join(d.groups(), d.people(), d.intelligence(), d.rules(), d.devices())
}

func (d *desk) groups() error {
	rule := func(property, operator string, values ...string) m {
		return m{"property": property, "operator": operator, "values": values}
	}
	for i, g := range []m{
		{"name": "Executives", "description": "Laptops of the management.", "automationLevel": "SemiAllFolders", "rules": []m{rule("Tag", "Equals", "Executive")}},
		{"name": "Databases", "description": "Everything with customers' data.", "automationLevel": "SemiNonTempFolders", "rules": []m{rule("Name", "StartsWith", "db-")}},
		{"name": "Servers", "description": "", "automationLevel": "SemiCoreFolders", "rules": []m{rule("Name", "In", serverNames(d.world.company)...)}},
		{"name": "Workstations", "description": "Laptops and kiosks.", "automationLevel": "Full", "rules": []m{rule("Name", "StartsWith", "lt-")}},
	} {
		g["rank"] = i + 1
		if err := d.do(http.MethodPost, "/api/vedette/devicegroups", g, nil); err != nil {
			return err
		}
	}
	return nil
}

func serverNames(c *company) []string {
	var out []string
	for _, h := range c.hosts {
		if h.role != "laptop" && h.role != "db" {
			out = append(out, h.fqdn())
		}
	}
	return out
}

// analysts are the people of the desk.
var analysts = []struct{ login, name, role string }{
	{"a.novak", "Anna Novak", "Incident responder"},
	{"b.okafor", "Bilal Okafor", "Analyst"},
	{"c.haddad", "Chiara Haddad", "Analyst"},
	{"r.moreau", "Rosa Moreau", "Detection engineer"},
}

func (d *desk) people() error {
	roles := map[string]string{}
	for _, r := range []m{
		{"name": "Analyst", "description": "Looks at alerts and incidents.", "permissions": []string{"ViewData.SecurityOperations", "AlertsInvestigation", "LiveResponse.Basic"}},
		{"name": "Incident responder", "description": "Acts on devices.", "permissions": []string{"ViewData.SecurityOperations", "ViewData.VulnerabilityManagement", "AlertsInvestigation",
			"ActiveRemediation.SecurityOperations", "LiveResponse.Basic", "LiveResponse.Advanced"}},
		{"name": "Detection engineer", "description": "Writes rules and keeps suppressions.", "permissions": []string{"ViewData.SecurityOperations", "ManageSecuritySettings"}},
	} {
		var role struct{ ID string }
		if err := d.do(http.MethodPost, "/api/vedette/roles", r, &role); err != nil {
			return err
		}
		roles[r["name"].(string)] = role.ID
	}
	var group struct{ ID string }
	if err := d.do(http.MethodPost, "/api/vedette/usergroups", m{"name": "Security operations", "description": "Everybody on call.", "roles": []string{roles["Analyst"]}}, &group); err != nil {
		return err
	}
	for _, a := range analysts {
		if err := d.do(http.MethodPost, "/api/vedette/users", m{"login": a.login + "@" + domain, "displayName": a.name, "mail": a.login + "@" + domain,
			"roles": []string{roles[a.role]}, "userGroups": []string{group.ID}}, nil); err != nil {
			return err
		}
	}
	return d.do(http.MethodPost, "/api/vedette/applications", m{"name": "Ticket bridge", "roles": []string{"Incident.Read.All", "Alert.Read.All"}}, nil)
}

func (d *desk) intelligence() error {
	for i, v := range []struct{ kind, value, action, severity, title string }{
		{"IpAddress", phisherC2, "Audit", "High", "Command and control of InvoicePanda"},
		{"DomainName", poolName, "Audit", "Medium", "Mining pool"},
		{"FileSha256", file("", "phishing stage two", 1).SHA256, "Warn", "High", "Loader of InvoicePanda"},
		{"IpAddress", "203.0.113.5", "Block", "Medium", "Scanner"},
		{"Url", "https://invoice-portal.example/p/", "Audit", "Medium", "Lure of InvoicePanda"},
	} {
		if err := d.indicator(v.kind, v.value, v.action, v.severity, v.title, v.action != "Block" || i < 3); err != nil {
			return err
		}
	}
	for i := range 30 {
		f := file("", fmt.Sprint("known bad ", i), 1)
		if err := d.indicator("FileSha1", f.SHA1, "Block", []string{"Low", "Medium", "High"}[i%3], fmt.Sprintf("Shared list 2026-%02d", i%12+1), false); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) rules() error {
	for _, r := range []struct{ name, query, period, severity, category, text string }{
		{"Database dump at night", "DeviceProcessEvents\n| where FileName in (\"pg_dump\", \"mysqldump\")\n| where hourofday(Timestamp) < 5\n| project Timestamp, DeviceId, ReportId, DeviceName, AccountName, ProcessCommandLine", "0", "medium", "Collection", "Dumps are made by backup accounts in the evening."},
		{"Upload with curl", "DeviceProcessEvents\n| where FileName == \"curl\" and ProcessCommandLine has_any (\"-T\", \"--upload-file\")\n| project Timestamp, DeviceId, ReportId, DeviceName, AccountName, ProcessCommandLine", "0", "medium", "Exfiltration", "Nobody here uploads with curl."},
		{"Drive mounted on a laptop of Operations", "DeviceEvents\n| where ActionType == \"UsbDriveMounted\"\n| project Timestamp, DeviceId, ReportId, DeviceName, InitiatingProcessAccountName, AdditionalFields", "1H", "low", "Exfiltration", "Private drives are not allowed."},
	} {
		body := m{"displayName": r.name, "isEnabled": true, "queryCondition": m{"queryText": r.query}, "schedule": m{"period": r.period},
			"detectionAction": m{"alertTemplate": m{"title": r.name, "description": r.text, "severity": r.severity, "category": r.category, "mitreTechniques": []string{},
				"impactedAssets": []m{{"@odata.type": "#microsoft.graph.security.impactedDeviceAsset", "identifier": "deviceId"}}}, "organizationalScope": nil, "responseActions": []m{}}}
		if err := d.do(http.MethodPost, "/beta/security/rules/detectionRules", body, nil); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) devices() error {
	c := d.world.company
	tag := func(h *host, tag string) error {
		return d.do(http.MethodPost, "/api/machines/"+d.id(h)+"/tags", m{"Value": tag, "Action": "Add"}, nil)
	}
	executives := 0
	for _, h := range c.hosts {
		var err error
		switch {
		case h.owner != nil && h.owner.unit == "Management" && executives < 8:
			executives++
			err = errors.Join(tag(h, "Executive"), d.value(h, "High"))
		case h.role == "db" || h.name == "erp-01" || h.name == "hr-01":
			err = errors.Join(tag(h, "Personal data"), d.value(h, "High"))
		case h.role == "web" || h.name == "vpn-01" || h.name == "mail-01":
			err = tag(h, "Internet-facing")
		case h.role == "build":
			err = tag(h, "Build chain")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) value(h *host, value string) error {
	return d.do(http.MethodPost, "/api/machines/"+d.id(h)+"/setDeviceValue", m{"DeviceValue": value}, nil)
}

// finish is what comes last: what is known of the software's flaws, and devices that have
// fallen silent.
func (d *desk) finish() error {
	raw, err := feed()
	if err != nil {
		return err
	}
	c, err := d.client()
	if err != nil {
		return err
	}
	_, err = c.Upload(d.ctx, "/api/vedette/feeds?name=debian-demo", bytes.NewReader(raw))
	return err
}
