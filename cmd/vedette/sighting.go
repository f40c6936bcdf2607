package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// thing is the commands that files, domains, addresses and users share.
type thing struct {
	Alerts  thingAlerts  `cmd:"" help:"List the alerts whose evidence names it."`
	Devices thingDevices `cmd:"" help:"List the devices that saw it in the last 30 days."`
}

type fileCommand struct {
	thing
	Get   fileGet    `cmd:"" help:"Show what is known of a file."`
	Stats thingStats `cmd:"" help:"Show on how many devices it was seen, and when."`

	Quarantine fileQuarantine `cmd:"" help:"Stop the file and put it into quarantine, on devices or on all that saw it."`
	Restore    fileRestore    `cmd:"" help:"Give the file back that was put into quarantine."`
}

type netCommand struct {
	thing
	Stats thingStats `cmd:"" help:"Show on how many devices it was seen, and when."`
}

type accountCommand struct{ thing }

// place is the part of the API that a command speaks of, bound by the noun.
type place string

type thingAlerts struct {
	Value string `arg:"" help:"A SHA-1 or SHA-256, a domain, an address, or an account name."`
	listFlags
}

func (t *thingAlerts) Run(s *session, at place) error {
	return list(s, "/api/"+string(at)+"/"+url.PathEscape(t.Value)+"/alerts", t.list(), []string{"CREATED", "SEVERITY", "STATUS", "TITLE", "DEVICE", "ID"},
		func(a client.Alert) []string {
			return []string{when(a.Created), a.Severity, a.Status, a.Title, a.MachineName, a.ID}
		})
}

type thingDevices struct {
	Value string `arg:"" help:"A SHA-1 or SHA-256, a domain, an address, or an account name."`
	listFlags
}

func (t *thingDevices) Run(s *session, at place) error {
	return list(s, "/api/"+string(at)+"/"+url.PathEscape(t.Value)+"/machines", t.list(), []string{"NAME", "HEALTH", "OS", "ADDRESS", "LAST SEEN", "ID"},
		func(m client.Machine) []string {
			return []string{m.Name, m.HealthStatus, m.OSPlatform, m.LastIP, when(m.LastSeen), m.ID}
		})
}

type thingStats struct {
	Value string `arg:"" help:"A SHA-1 or SHA-256, a domain, or an address."`
	Hours int    `help:"How far back to look, at most 720." default:"720"`
}

func (t *thingStats) Run(s *session, at place) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var x struct {
		Prevalence int64      `json:"organizationPrevalence"`
		First      *time.Time `json:"orgFirstSeen"`
		Last       *time.Time `json:"orgLastSeen"`
		Names      []string   `json:"topFileNames,omitempty"`
	}
	if err := c.Do(s.ctx, http.MethodGet, "/api/"+string(at)+"/"+url.PathEscape(t.Value)+"/stats?lookBackHours="+strconv.Itoa(t.Hours), nil, &x); err != nil {
		return err
	}
	return s.out.one(x, [][2]string{{"Devices", strconv.FormatInt(x.Prevalence, 10)}, {"First seen", when(x.First)}, {"Last seen", when(x.Last)},
		{"Names", strings.Join(x.Names, ", ")}})
}

type fileGet struct {
	Value string `arg:"" help:"A SHA-1 or SHA-256."`
}

func (f *fileGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var x struct {
		SHA1   *string `json:"sha1"`
		SHA256 *string `json:"sha256"`
		MD5    *string `json:"md5"`
		Size   *int64  `json:"size"`
	}
	if err := c.Do(s.ctx, http.MethodGet, "/api/files/"+url.PathEscape(f.Value), nil, &x); err != nil {
		return err
	}
	size := ""
	if x.Size != nil {
		size = strconv.FormatInt(*x.Size, 10) + " bytes"
	}
	return s.out.one(x, [][2]string{{"SHA-1", text(x.SHA1)}, {"SHA-256", text(x.SHA256)}, {"MD5", text(x.MD5)}, {"Size", size}})
}

type investigationCommand struct {
	List investigationList `cmd:"" help:"List investigations, newest first."`
	Get  investigationGet  `cmd:"" help:"Show one investigation."`
}

type inquiry struct {
	ID      string     `json:"id"`
	State   string     `json:"state"`
	Details *string    `json:"statusDetails"`
	Machine *string    `json:"computerDnsName"`
	Alert   *string    `json:"triggeringAlertId"`
	Start   *time.Time `json:"startTime"`
	End     *time.Time `json:"endTime"`
}

type investigationList struct{ listFlags }

func (i *investigationList) Run(s *session) error {
	return list(s, "/api/investigations", i.list(), []string{"STARTED", "STATE", "DEVICE", "ALERT", "ID"}, func(x inquiry) []string {
		return []string{when(x.Start), x.State, text(x.Machine), text(x.Alert), x.ID}
	})
}

type investigationGet struct {
	ID string `arg:"" help:"Id of the investigation, or of the alert that triggered it."`
}

func (i *investigationGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var x inquiry
	if err := c.Do(s.ctx, http.MethodGet, "/api/investigations/"+url.PathEscape(i.ID), nil, &x); err != nil {
		return err
	}
	return s.out.one(x, [][2]string{{"Id", x.ID}, {"State", x.State}, {"Why", text(x.Details)}, {"Device", text(x.Machine)}, {"Alert", text(x.Alert)},
		{"Started", when(x.Start)}, {"Ended", when(x.End)}})
}

type libraryCommand struct {
	Upload libraryUpload `cmd:"" help:"Put a file into the library."`
	List   libraryList   `cmd:"" help:"List the files of the live response library."`
	Delete libraryDelete `cmd:"" help:"Delete a file."`
}

type libraryList struct{ listFlags }

func (l *libraryList) Run(s *session) error {
	return list(s, "/api/libraryfiles", l.list(), []string{"NAME", "DESCRIPTION", "UPDATED", "BY", "SHA-256"}, func(f client.LibraryFile) []string {
		return []string{f.Name, text(f.About), when(f.Updated), f.By, f.SHA256}
	})
}

type libraryDelete struct {
	Name string `arg:"" help:"Name of the file."`
}

func (l *libraryDelete) Run(s *session) error {
	return remove(s, "/api/libraryfiles/"+url.PathEscape(l.Name))
}

type deviceUnrestrict struct{ actionFlags }

func (d *deviceUnrestrict) Run(s *session) error {
	return d.start(s, "unrestrictCodeExecution", map[string]any{"Comment": d.Comment})
}

type deviceQuarantine struct {
	actionFlags
	SHA1 string `required:"" name:"sha1" help:"SHA-1 of the file."`
}

func (d *deviceQuarantine) Run(s *session) error {
	return d.start(s, "StopAndQuarantineFile", map[string]any{"Comment": d.Comment, "Sha1": d.SHA1})
}

type deviceOffboard struct{ actionFlags }

func (d *deviceOffboard) Run(s *session) error {
	return d.start(s, "offboard", map[string]any{"Comment": d.Comment})
}

type deviceInvestigate struct {
	Device  string `arg:"" help:"Device id or computer name."`
	Comment string `required:"" help:"Why; it is kept with the investigation."`
	Alert   string `help:"Id of the alert that it is about."`
}

func (d *deviceInvestigate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	body := map[string]string{"Comment": d.Comment}
	if d.Alert != "" {
		body["AlertId"] = d.Alert
	}
	var x inquiry
	if err := c.Do(s.ctx, http.MethodPost, "/api/machines/"+url.PathEscape(d.Device)+"/startInvestigation", body, &x); err != nil {
		return err
	}
	return s.out.one(x, [][2]string{{"Id", x.ID}, {"State", x.State}, {"Why", text(x.Details)}})
}
