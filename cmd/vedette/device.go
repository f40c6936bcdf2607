package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

type deviceCommand struct {
	List        deviceList        `cmd:"" help:"List devices."`
	Get         deviceGet         `cmd:"" help:"Show one device."`
	Health      deviceHealth      `cmd:"" help:"Show how well a device is watched: sensors, clock, spool, copies."`
	Tag         deviceTag         `cmd:"" help:"Add a tag to devices, or remove it."`
	Isolate     deviceIsolate     `cmd:"" help:"Cut a device off from everything but this server."`
	Unisolate   deviceRelease     `cmd:"" help:"Release a device from isolation."`
	ReleaseCode deviceReleaseCode `cmd:"" help:"Get a code that ends the isolation of a device where it stands, for one that cannot reach the server."`
	Notify      deviceNotify      `cmd:"" help:"Show a message to the users of a device."`
	Scan        deviceScan        `cmd:"" help:"Scan a device for malware."`
	Restrict    deviceRestrict    `cmd:"" help:"Let a device run nothing but what is trusted."`
	Unrestrict  deviceUnrestrict  `cmd:"" help:"Let a device run everything again."`
	Collect     deviceCollect     `cmd:"" help:"Collect an investigation package."`
	Quarantine  deviceQuarantine  `cmd:"" help:"Stop a file and put it into quarantine."`
	Offboard    deviceOffboard    `cmd:"" help:"Take a device out of the service."`
	Investigate deviceInvestigate `cmd:"" help:"Ask for an automated investigation."`
	Run         deviceRun         `cmd:"" help:"Put files on a device, run a script there and fetch files, by live response."`
}

type deviceList struct{ listFlags }

func (d *deviceList) Run(s *session) error {
	return list(s, "/api/machines", d.list(), []string{"NAME", "HEALTH", "OS", "ADDRESS", "LAST SEEN", "TAGS", "ID"}, func(m client.Machine) []string {
		return []string{m.Name, m.HealthStatus, m.OSPlatform, m.LastIP, when(m.LastSeen), strings.Join(m.Tags, ","), m.ID}
	})
}

type deviceGet struct {
	Device string `arg:"" help:"Device id or computer name."`
}

func (d *deviceGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	m, err := c.Machine(s.ctx, d.Device)
	if err != nil {
		return err
	}
	return printMachine(s, m)
}

func printMachine(s *session, m *client.Machine) error {
	return s.out.one(m, [][2]string{
		{"Id", m.ID}, {"Name", m.Name}, {"Health", m.HealthStatus}, {"OS", m.OSPlatform + " " + m.Version},
		{"Agent", m.AgentVersion}, {"Address", m.LastIP}, {"Risk", m.RiskScore}, {"Exposure", m.ExposureLevel},
		{"First seen", when(m.FirstSeen)}, {"Last seen", when(m.LastSeen)}, {"Tags", strings.Join(m.Tags, ", ")},
	})
}

type deviceHealth struct {
	Device string `arg:"" help:"Device id or computer name."`
}

func (d *deviceHealth) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	h, err := c.Health(s.ctx, d.Device)
	if err != nil {
		return err
	}
	fields := [][2]string{
		{"Id", h.ID}, {"Name", h.Name}, {"Health", h.HealthStatus}, {"Last report", when(h.LastReport)}, {"Last telemetry", when(h.LastData)},
		{"Clock", fmt.Sprintf("%+.1f s to the server's", -h.ClockOffset)},
		{"Spool", fmt.Sprintf("%d batches waiting, %d of %d MiB, %d events dropped", h.Spool.Batches, h.Spool.Bytes>>20, h.Spool.Limit>>20, h.Spool.Dropped)},
	}
	for _, p := range h.Problems {
		fields = append(fields, [2]string{"Problem", p})
	}
	return s.out.one(h, fields)
}

type deviceTag struct {
	Tag     string   `arg:"" help:"The tag."`
	Devices []string `arg:"" help:"Device ids or computer names."`
	Remove  bool     `help:"Remove the tag instead of adding it."`
}

func (d *deviceTag) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	verb := "Add"
	if d.Remove {
		verb = "Remove"
	}
	machines, cells := []*client.Machine{}, [][]string{}
	for _, id := range d.Devices {
		m, err := c.Tag(s.ctx, id, d.Tag, verb)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		machines = append(machines, m)
		cells = append(cells, []string{m.Name, strings.Join(m.Tags, ","), m.ID})
	}
	return s.out.rows(machines, []string{"NAME", "TAGS", "ID"}, cells)
}

// actionFlags are the flags of every command that starts a machine action.
type actionFlags struct {
	Device  string        `arg:"" help:"Device id or computer name."`
	Comment string        `required:"" help:"Why; it is kept with the action."`
	Wait    time.Duration `help:"How long to wait for the device's answer; 0 to return at once." default:"30s"`
}

type deviceIsolate struct {
	actionFlags
	Selective    bool     `help:"Let some programs and addresses through: those named by the flags below, else mail and meeting programs."`
	AllowAddress []string `help:"Address or range that stays reachable: 10.0.0.0/8, 10.0.0.5:443/tcp, [2001:db8::1]:53/udp." sep:"none"`
	AllowProgram []string `help:"Absolute path of a program on the device that may reach everything." sep:"none"`
	AllowCgroup  []string `help:"Cgroup on the device whose processes may reach everything, such as /system.slice/postfix.service." sep:"none"`
	ForceSelf    bool     `help:"Isolate the host that runs the server itself. It will be cut off from everybody else."`
}

func (d *deviceIsolate) Run(s *session) error {
	body := map[string]any{"Comment": d.Comment, "IsolationType": "Full"}
	if d.ForceSelf {
		body["ForceSelf"] = true
	}
	if allow := len(d.AllowAddress)+len(d.AllowProgram)+len(d.AllowCgroup) > 0; d.Selective || allow {
		body["IsolationType"] = "Selective"
		if allow {
			body["Allow"] = map[string]any{"Addresses": d.AllowAddress, "Programs": d.AllowProgram, "Cgroups": d.AllowCgroup}
		}
	}
	return d.start(s, "isolate", body)
}

type deviceRelease struct{ actionFlags }

func (d *deviceRelease) Run(s *session) error {
	return d.start(s, "unisolate", map[string]any{"Comment": d.Comment})
}

// start asks for the action and follows it until it ended or the wait is over.
func (f *actionFlags) start(s *session, verb string, body map[string]any) error {
	return f.startAt(s, "/api/machines/", verb, body)
}

// startAt is start of an action whose route is below base.
func (f *actionFlags) startAt(s *session, base, verb string, body map[string]any) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	a := &client.Action{}
	if err := c.Do(s.ctx, http.MethodPost, base+url.PathEscape(f.Device)+"/"+verb, body, a); err != nil {
		return err
	}
	if a, err = follow(s, c, a, f.Wait); err != nil {
		return err
	}
	return concluded(s, a)
}

// follow waits until the action ended or the wait is over, and returns it as it is then.
func follow(s *session, c *client.Client, a *client.Action, wait time.Duration) (_ *client.Action, err error) {
	shown := ""
	for deadline := time.Now().Add(wait); ; {
		if s.out.form == "table" && a.Status != shown {
			fmt.Fprintf(s.errs, "%s  %s: %s\n", time.Now().Format("15:04:05"), a.Type, a.Status)
			shown = a.Status
		}
		if (a.Status != "Pending" && a.Status != "InProgress") || time.Now().After(deadline) {
			return a, nil
		}
		select {
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if a, err = c.Action(s.ctx, a.ID); err != nil {
			return nil, err
		}
	}
}

// concluded prints an action; one that did not succeed is an error.
func concluded(s *session, a *client.Action) error {
	if err := printAction(s, a); err != nil {
		return err
	}
	if a.Status == "Failed" || a.Status == "TimeOut" {
		return fmt.Errorf("the action ended as %s: %s", a.Status, text(a.Error))
	}
	return nil
}

type actionCommand struct {
	List     actionList     `cmd:"" help:"List actions, newest first."`
	Get      actionGet      `cmd:"" help:"Show one action and what became of it."`
	Cancel   actionCancel   `cmd:"" help:"Cancel an action; a device that has it already is asked to stop."`
	Show     actionShow     `cmd:"" help:"Show one action with every step it took, its progress and its approvals."`
	Pending  actionPending  `cmd:"" help:"The action center: what is open. With -o csv every column."`
	History  actionHistory  `cmd:"" help:"The action center: what has ended. With -o csv every column."`
	Approve  actionApprove  `cmd:"" help:"Agree to an action that waits for approval."`
	Reject   actionReject   `cmd:"" help:"Refuse an action that waits for approval."`
	Undo     actionUndo     `cmd:"" help:"Undo an action by its inverse."`
	Bulk     actionBulk     `cmd:"" help:"Ask many devices for an action; without --yes only say what would become of it."`
	Key      actionKey      `cmd:"" help:"Make the key that an approver signs with."`
	Download actionDownload `cmd:"" help:"Save what an action yielded: the package, or the result of a live response command."`
}

type actionList struct{ listFlags }

func (a *actionList) Run(s *session) error {
	return list(s, "/api/machineactions", a.list(), []string{"CREATED", "TYPE", "STATUS", "DEVICE", "REQUESTOR", "COMMENT", "ID"}, func(a client.Action) []string {
		return []string{when(a.Created), a.Type, a.Status, a.Machine, a.Requestor, a.Comment, a.ID}
	})
}

type actionGet struct {
	ID string `arg:"" help:"Action id."`
}

func (a *actionGet) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	act, err := c.Action(s.ctx, a.ID)
	if err != nil {
		return err
	}
	return printAction(s, act)
}

type actionCancel struct {
	ID      string `arg:"" help:"Action id."`
	Comment string `required:"" help:"Why."`
}

func (a *actionCancel) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var act client.Action
	if err := c.Do(s.ctx, http.MethodPost, "/api/machineactions/"+url.PathEscape(a.ID)+"/cancel",
		map[string]string{"Comment": a.Comment}, &act); err != nil {
		return err
	}
	return printAction(s, &act)
}

func printAction(s *session, a *client.Action) error {
	return s.out.one(a, [][2]string{
		{"Id", a.ID}, {"Type", a.Type}, {"Scope", text(a.Scope)}, {"Status", a.Status},
		{"Device", a.Machine + " (" + a.MachineID + ")"}, {"Requestor", a.Requestor}, {"Comment", a.Comment},
		{"Created", when(a.Created)}, {"Updated", when(a.Updated)}, {"Error", text(a.Error)}, {"Truth", text(a.Trouble)},
	})
}
