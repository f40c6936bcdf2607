package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

func notFound(err error) bool {
	var api *client.Error
	return errors.As(err, &api) && api.Status == http.StatusNotFound
}

type indicatorCommand struct {
	List   indicatorList   `cmd:"" help:"List indicators."`
	Create indicatorCreate `cmd:"" help:"Create an indicator, or change the one with the same value."`
	Delete indicatorDelete `cmd:"" help:"Delete an indicator."`
	Import indicatorImport `cmd:"" help:"Create or change indicators from a file."`
	Stats  indicatorStats  `cmd:"" help:"Show what was seen of an indicator."`
}

type indicatorStats struct {
	ID string `arg:"" help:"Indicator id."`
}

func (i *indicatorStats) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var out client.IndicatorStats
	if err := c.Do(s.ctx, http.MethodGet, "/api/indicators/"+url.PathEscape(i.ID)+"/stats", nil, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Id", out.ID}, {"Matches", fmt.Sprint(out.Matches)}, {"Blocks", fmt.Sprint(out.Blocks)},
		{"Alerts", fmt.Sprint(out.Alerts)}, {"Devices", fmt.Sprint(out.Devices)}, {"First match", when(out.FirstMatch)}, {"Last match", when(out.LastMatch)}})
}

type indicatorList struct {
	listFlags
	Expired bool `help:"Those that have expired instead."`
}

func (l *indicatorList) Run(s *session) error {
	path := "/api/indicators"
	if l.Expired {
		path = "/api/vedette/indicators/expired"
	}
	return list(s, path, l.list(), []string{"TYPE", "VALUE", "ACTION", "SEVERITY", "TITLE", "EXPIRES", "ID"}, func(x client.Indicator) []string {
		return []string{x.Type, x.Value, x.Action, x.Severity, x.Title, when(x.Expires), x.ID}
	})
}

type indicatorCreate struct {
	Type        string        `arg:"" help:"FileSha1, FileSha256, FileMd5, IpAddress, DomainName or Url."`
	Value       string        `arg:"" help:"What to look for."`
	Title       string        `required:"" help:"Title of its alerts."`
	Description string        `help:"Description of its alerts." default:"Created with the vedette command."`
	Action      string        `help:"Audit, Warn, Block, BlockAndRemediate or Allowed." default:"Audit"`
	Severity    string        `help:"Informational, Low, Medium or High." default:"Medium"`
	For         time.Duration `help:"How long it lives; 0 for ever."`
}

func (i *indicatorCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	in := client.Indicator{Type: i.Type, Value: i.Value, Title: i.Title, Description: i.Description,
		Action: i.Action, Severity: i.Severity, GenerateAlert: i.Action != "Allowed"}
	if i.For > 0 {
		end := time.Now().Add(i.For).UTC()
		in.Expires = &end
	}
	var out client.Indicator
	if err := c.Do(s.ctx, http.MethodPost, "/api/indicators", in, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Id", out.ID}, {"Type", out.Type}, {"Value", out.Value}, {"Action", out.Action}, {"Title", out.Title}})
}

type indicatorDelete struct {
	ID string `arg:"" help:"Indicator id."`
}

func (i *indicatorDelete) Run(s *session) error {
	return remove(s, "/api/indicators/"+url.PathEscape(i.ID))
}

type definitionCommand struct {
	List   definitionList   `cmd:"" help:"List alert definitions."`
	Create definitionCreate `cmd:"" help:"Create an alert definition: the texts of its indicators' alerts."`
	Delete definitionDelete `cmd:"" help:"Delete an alert definition and its indicators."`
}

type definitionList struct{ listFlags }

func (l *definitionList) Run(s *session) error {
	return list(s, "/V1.0/AlertDefinitions", l.list(), []string{"ID", "NAME", "SEVERITY", "CATEGORY", "TITLE", "ENABLED"}, func(x client.Definition) []string {
		return []string{fmt.Sprint(x.ID), x.Name, x.Severity, x.Category, x.Title, fmt.Sprint(x.Enabled)}
	})
}

type definitionCreate struct {
	Name        string `arg:"" help:"Internal name."`
	Title       string `required:"" help:"Title of the alerts."`
	Description string `help:"Description of the alerts."`
	Recommended string `help:"What whoever handles the alert should do."`
	Severity    string `help:"Low, Medium or High." default:"Medium"`
	Category    string `help:"Such as SuspiciousNetworkTraffic or Malware." default:"SuspiciousNetworkTraffic"`
}

func (d *definitionCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	in := client.Definition{Name: d.Name, Severity: d.Severity, Title: d.Title, Description: d.Description,
		Recommended: d.Recommended, Category: d.Category, Enabled: true}
	var out client.Definition
	if err := c.Do(s.ctx, http.MethodPost, "/V1.0/AlertDefinitions", in, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Id", fmt.Sprint(out.ID)}, {"Name", out.Name}, {"Title", out.Title}, {"Severity", out.Severity}})
}

type definitionDelete struct {
	ID int64 `arg:"" help:"Definition id."`
}

func (d *definitionDelete) Run(s *session) error {
	return remove(s, fmt.Sprintf("/V1.0/AlertDefinitions(%d)", d.ID))
}

type iocCommand struct {
	List   iocList   `cmd:"" help:"List indicators of compromise."`
	Create iocCreate `cmd:"" help:"Create an indicator of compromise bound to a definition."`
	Delete iocDelete `cmd:"" help:"Delete an indicator of compromise."`
}

type iocList struct{ listFlags }

func (l *iocList) Run(s *session) error {
	return list(s, "/V1.0/IndicatorsOfCompromise", l.list(), []string{"ID", "TYPE", "FUNCTION", "VALUE", "ENABLED", "EXPIRES"}, func(x client.IOC) []string {
		return []string{fmt.Sprint(x.ID), x.Type, x.Function, x.Value, fmt.Sprint(x.Enabled), when(x.Expires)}
	})
}

type iocCreate struct {
	Type       string `arg:"" help:"Sha1, Sha256, Md5, IpAddress or DomainName."`
	Value      string `arg:"" help:"What to look for."`
	Definition int64  `required:"" help:"Id of the alert definition."`
	Function   string `help:"Equals, StartWith, EndWith or Contains." default:"Equals"`
}

func (i *iocCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	in := client.IOC{Type: i.Type, Value: i.Value, Function: i.Function, Enabled: true,
		Bind: fmt.Sprintf("AlertDefinitions(%d)", i.Definition)}
	var out client.IOC
	if err := c.Do(s.ctx, http.MethodPost, "/V1.0/IndicatorsOfCompromise", in, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Id", fmt.Sprint(out.ID)}, {"Type", out.Type}, {"Value", out.Value}, {"Function", out.Function}})
}

type iocDelete struct {
	ID int64 `arg:"" help:"Indicator id."`
}

func (i *iocDelete) Run(s *session) error {
	return remove(s, fmt.Sprintf("/V1.0/IndicatorsOfCompromise(%d)", i.ID))
}

// remove deletes what path names and says so.
func remove(s *session, path string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if err := c.Do(s.ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	if s.out.form == "table" {
		_, err = fmt.Fprintln(s.out.w, "Deleted", path[strings.LastIndex(path, "/")+1:])
	}
	return err
}
