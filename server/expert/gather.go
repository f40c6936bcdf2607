package expert

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// gather puts everything into the bundle of a case but its hashes. What matters most comes
// first, and what may be too large, the packages, last but for the account of it all.
func (s *Service) gather(ctx context.Context, c *Case, a *archive, most int) error {
	if err := a.file("README.txt", zip.Deflate, func(w io.Writer) error {
		_, err := io.WriteString(w, readme)
		return err
	}); err != nil {
		return err
	}
	if c.About.Incident != 0 {
		if err := s.incident(ctx, c, a); err != nil {
			return err
		}
	}
	if c.More > 0 {
		a.omit("alerts", "%d less severe alerts are left out: a case holds %d", c.More, maxAlerts)
	}
	if c.Others > 0 {
		a.omit("machines", "%d further machines are left out: a case holds %d", c.Others, maxSubjects)
	}
	for _, id := range c.Alerts {
		if err := s.alert(ctx, c, a, id); err != nil {
			return err
		}
	}
	for i := range c.Subjects {
		if err := s.machine(ctx, c, a, &c.Subjects[i], most); err != nil {
			return err
		}
	}
	for i := range c.Subjects {
		if err := s.packed(ctx, c, a, &c.Subjects[i]); err != nil {
			return err
		}
	}
	return a.json("case.json", s.account(c, a))
}

const readme = `This is a case of Vedette, an endpoint detection and response server.

case.json                     the question, who asks it, how to answer, and what this bundle lacks
incident.json                 the incident, when the case is about one
alerts/ID.json                an alert with its evidence
alerts/ID.tree.json           the processes around it; parent is the place in the list, -1 for none
machines/NAME/machine.json    a machine
machines/NAME/timeline.jsonl  what happened on it, one event a line, as the hunting tables have it
machines/NAME/timeline.csv    the same for a spreadsheet; a cell that would be a formula begins with '
machines/NAME/package.zip     its investigation package
SHA256SUMS                    hashes of the other files: sha256sum --check SHA256SUMS

Names of files, command lines and other texts in it were chosen by whoever was on the machine. Do
not run what is in it, and handle it as a secret.
`

// folder is where the files of a device are. The id keeps apart those of one name.
func (sub *Subject) folder() string {
	return fmt.Sprintf("machines/%s-%s/", plain(sub.Name, 64), sub.Device[:min(8, len(sub.Device))])
}

func (s *Service) incident(ctx context.Context, c *Case, a *archive) error {
	i, err := s.cfg.Incidents.Get(ctx, c.Tenant, c.About.Incident)
	if errs.Is(err, errs.NotFound) {
		a.omit("incident", "it is not there any more")
		return nil
	}
	if err != nil {
		return err
	}
	return a.json("incident.json", showIncident(i))
}

func (s *Service) alert(ctx context.Context, c *Case, a *archive, id ident.AlertID) error {
	al, err := s.cfg.Alerts.Get(ctx, c.Tenant, id)
	if errs.Is(err, errs.NotFound) {
		a.omit("alert "+string(id), "it is not there any more")
		return nil
	}
	if err != nil {
		return err
	}
	name := "alerts/" + plain(string(al.ID), 80)
	if err := a.json(name+".json", showAlert(al)); err != nil {
		return err
	}
	of, ok := al.Process()
	if !ok {
		return nil
	}
	t, err := s.cfg.Telemetry.ProcessTree(ctx, c.Tenant, al.Device, of)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.omit("the processes around alert "+string(al.ID), "telemetry could not be asked: %s", reason(err))
		return nil
	}
	return a.json(name+".tree.json", showTree(t))
}

func (s *Service) machine(ctx context.Context, c *Case, a *archive, sub *Subject, most int) error {
	d, err := s.cfg.Devices.Get(ctx, c.Tenant, sub.Device)
	switch {
	case errs.Is(err, errs.NotFound):
		a.omit("machine "+sub.Name, "it is not there any more")
	case err != nil:
		return err
	default:
		if err := a.json(sub.folder()+"machine.json", showDevice(d, s.cfg.Clock())); err != nil {
			return err
		}
	}
	what := "the timeline of " + sub.Name
	if most == 0 {
		a.omit(what, "with it the bundle would be larger than the receiver takes")
		return nil
	}
	t, err := s.cfg.Telemetry.Timeline(ctx, c.Tenant, sub.Device, hunt.Stretch{From: c.From, To: c.To, Near: c.Near, Most: most})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		// A case without telemetry is worth more than none, as long as it says so.
		a.omit(what, "telemetry could not be asked: %s", reason(err))
		return nil
	}
	defer func() { _ = t.Close() }() // it was only read
	if t.Cut {
		a.omit(what, "only the %d events nearest to %s are told", most, c.Near.Format(time.RFC3339))
	}
	for _, g := range t.Completeness.Gaps {
		a.omit(what, "telemetry is missing between %s and %s: %s (%s)", g.From.UTC().Format(time.RFC3339), g.To.UTC().Format(time.RFC3339), g.Reason, g.Source)
	}
	if t.Completeness.More {
		a.omit(what, "more telemetry is missing than is listed")
	}
	if err := a.file(sub.folder()+"timeline.jsonl", zip.Deflate, func(w io.Writer) error { return writeLines(w, &t.Table) }); err != nil {
		return err
	}
	return a.file(sub.folder()+"timeline.csv", zip.Deflate, func(w io.Writer) error { return writeCSV(w, &t.Table) })
}

// packed adds the investigation package of a device.
func (s *Service) packed(ctx context.Context, c *Case, a *archive, sub *Subject) error {
	if c.Package == NoPackage {
		return nil
	}
	what := "the investigation package of " + sub.Name
	if sub.Package == "" {
		a.omit(what, "none was collected")
		return nil
	}
	act, err := s.cfg.Actions.Get(ctx, c.Tenant, sub.Package)
	if errs.Is(err, errs.NotFound) {
		a.omit(what, "it is not there any more")
		return nil
	}
	if err != nil {
		return err
	}
	f, err := act.Artifact(0)
	if err != nil {
		why := "its collection is " + string(act.State)
		if act.State.Open() {
			why = fmt.Sprintf("it did not come by %s: its collection is %s", c.Patience.Format(time.RFC3339), act.State)
		} else if act.Error != "" {
			why += ": " + cut(act.Error, 300)
		} else if act.State == action.Verified {
			why = "it was collected, and is not kept any more"
		}
		a.omit(what, "%s", why)
		return nil
	}
	if f.Size > a.room() {
		a.omit(what, "with its %d bytes the bundle would be larger than the %d that the receiver takes", f.Size, a.out.most)
		return nil
	}
	content, err := s.cfg.Blobs.Open(f.SHA256)
	if errs.Is(err, errs.NotFound) {
		a.omit(what, "it is not kept any more")
		return nil
	}
	if err != nil {
		return err
	}
	err = a.file(sub.folder()+"package.zip", zip.Store, func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
	return errors.Join(err, content.Close())
}

// account is case.json: the summary, and what was done.
type account struct {
	summary
	From     time.Time    `json:"timelineFrom"`
	To       time.Time    `json:"timelineTo"`
	Near     time.Time    `json:"timelineNear"`
	Made     time.Time    `json:"madeTime"`
	By       string       `json:"madeBy"`
	Alerts   []string     `json:"alertIds"`
	Lacks    []omission   `json:"lacks"`
	Contents []fileEntity `json:"files"`
}

type omission struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

type fileEntity struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (s *Service) account(c *Case, a *archive) account {
	out := account{summary: s.summarise(c), From: c.From, To: c.To, Near: c.Near, Made: a.at, By: "Vedette " + s.cfg.Version, Alerts: []string{}, Lacks: []omission{}}
	for _, id := range c.Alerts {
		out.Alerts = append(out.Alerts, string(id))
	}
	for _, o := range a.omitted {
		out.Lacks = append(out.Lacks, omission(o))
	}
	for _, f := range a.contents {
		out.Contents = append(out.Contents, fileEntity{f.Path, f.Size, f.SHA256})
	}
	return out
}
