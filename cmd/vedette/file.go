package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// fileFlags are those of what is done about a file on devices.
type fileFlags struct {
	Hash       string        `arg:"" help:"SHA-1 or SHA-256 of the file."`
	Device     []string      `help:"Device id or computer name; may be given several times."`
	Everywhere bool          `help:"On every device that saw the file in the last 30 days, at most 1000."`
	DryRun     bool          `help:"Show the file and count the devices; ask for nothing."`
	Comment    string        `help:"Why; it is kept with the actions."`
	Wait       time.Duration `help:"How long to wait for the devices' answers; 0 to return at once." default:"2m"`
}

type fileQuarantine struct{ fileFlags }

// Run stops a file and puts it into quarantine.
func (f *fileQuarantine) Run(s *session) error { return f.do(s, "quarantine") }

type fileRestore struct{ fileFlags }

// Run gives a file back.
func (f *fileRestore) Run(s *session) error { return f.do(s, "restore") }

func (f *fileFlags) do(s *session, verb string) error {
	if f.Everywhere == (len(f.Device) > 0) {
		return fmt.Errorf("give either --device or --everywhere")
	}
	if f.Comment == "" && !f.DryRun {
		return fmt.Errorf("give --comment: an action needs a reason")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	body := map[string]any{"CountOnly": true}
	if f.Everywhere {
		body["Everywhere"] = true
	} else {
		body["MachineIds"] = f.Device
	}
	// First what it is and how many have it, for whoever looks; then it is done.
	a, err := c.AboutFile(s.ctx, f.Hash, verb, body)
	if err != nil {
		return err
	}
	if s.out.form == "table" {
		describeFile(s, a)
	}
	if f.DryRun {
		return printFileAction(s, a)
	}
	body["CountOnly"], body["Comment"] = false, f.Comment
	if a, err = c.AboutFile(s.ctx, f.Hash, verb, body); err != nil {
		return err
	}
	failed, err := f.await(s, c, a)
	if err != nil {
		return err
	}
	if err := printFileAction(s, a); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d actions did not succeed; vedette action show ID says why", failed, a.Accepted)
	}
	return nil
}

func describeFile(s *session, a *client.FileAction) {
	size := "unknown size"
	if a.Size >= 0 {
		size = strconv.FormatInt(a.Size, 10) + " bytes"
	}
	fmt.Fprintf(s.errs, "SHA-1    %s\nSHA-256  %s\nMD5      %s\nSize     %s\nNames    %s\n", a.SHA1, a.SHA256, a.MD5, size, strings.Join(a.Names, ", "))
	const most = 10
	for i, p := range a.Paths {
		if i == most {
			fmt.Fprintf(s.errs, "         and %d more\n", len(a.Paths)-most)
			break
		}
		fmt.Fprintf(s.errs, "Path     %s\n", p)
	}
	fmt.Fprintf(s.errs, "Seen on  %d devices; this is about %d, of which %d would be asked and %d not\n", a.Seen, a.Machines, a.Accepted, a.Refused)
}

// await follows the actions until they ended or the wait is over, and returns how many did
// not succeed.
func (f *fileFlags) await(s *session, c *client.Client, a *client.FileAction) (failed int, err error) {
	deadline := time.Now().Add(f.Wait)
	for i := range a.Outcomes {
		o := &a.Outcomes[i]
		if o.Action == "" {
			failed++
			continue
		}
		for {
			act, err := c.Action(s.ctx, o.Action)
			if err != nil {
				return failed, err
			}
			o.Status, o.Message = act.Status, text(act.Trouble)
			if act.Status != "Pending" && act.Status != "InProgress" || time.Now().After(deadline) {
				break
			}
			select {
			case <-s.ctx.Done():
				return failed, s.ctx.Err()
			case <-time.After(250 * time.Millisecond):
			}
		}
		if o.Status == "Failed" || o.Status == "TimeOut" {
			failed++
		}
	}
	return failed, nil
}

func printFileAction(s *session, a *client.FileAction) error {
	var cells [][]string
	for _, o := range a.Outcomes {
		said := o.Message
		switch {
		case o.Code != "":
			said = "refused: " + o.Message
		case a.Counted:
			said = "would be asked"
		}
		cells = append(cells, []string{o.Machine, o.Status, said, o.Action})
	}
	return s.out.rows(a, []string{"DEVICE", "STATUS", "OUTCOME", "ACTION"}, cells)
}

type deviceScan struct {
	actionFlags
	Full       bool     `help:"Scan every local file system, not only what runs, starts by itself, and lies in temporary directories and downloads."`
	CPU        int      `name:"cpu" help:"Percent of one processor that it may use; 0 for 50."`
	Quarantine string   `help:"${enum}: what is taken into quarantine; default is the EICAR test file and what an indicator blocks." enum:"default,all,none" default:"default"`
	Rules      []string `help:"File of YARA rules in the library; may be given several times."`
	Pause      bool     `help:"Hold the scan that runs." xor:"what"`
	Resume     bool     `help:"Let it go on." xor:"what"`
}

// Run asks for a scan, or holds the one that runs.
func (d *deviceScan) Run(s *session) error {
	kind, body := "RunAntiVirusScan", map[string]any{"Comment": d.Comment}
	switch {
	case d.Pause:
		kind = "PauseAntiVirusScan"
	case d.Resume:
		kind = "ResumeAntiVirusScan"
	default:
		body["ScanType"] = "Quick"
		if d.Full {
			body["ScanType"] = "Full"
		}
		if d.CPU == 0 && d.Quarantine == "default" && len(d.Rules) == 0 {
			return d.start(s, "runAntiVirusScan", body)
		}
		body["CpuLimit"], body["Quarantine"] = d.CPU, d.Quarantine
		if len(d.Rules) > 0 {
			body["Rules"] = d.Rules
		}
	}
	// What the published route does not take goes by the one for many devices.
	c, err := s.client()
	if err != nil {
		return err
	}
	body["MachineIds"] = []string{d.Device}
	b, err := c.Bulk(s.ctx, kind, body)
	if err != nil {
		return err
	}
	if len(b.Outcomes) != 1 {
		return fmt.Errorf("the server answered about %d devices", len(b.Outcomes))
	}
	o := b.Outcomes[0]
	if o.Action == "" {
		return fmt.Errorf("%s: %s (%s)", o.Machine, o.Message, o.Code)
	}
	a, err := c.Action(s.ctx, o.Action)
	if err != nil {
		return err
	}
	if a, err = follow(s, c, a, d.Wait); err != nil {
		return err
	}
	return concluded(s, a)
}
