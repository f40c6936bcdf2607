package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/wire"
)

type centerFlags struct {
	Filter  string `help:"OData filter, for example: type eq 'Isolate' and requestSource eq 'CustomDetection'."`
	Since   string `help:"Not older than, such as 24h or 7d."`
	Device  string `help:"Device id."`
	OrderBy string `name:"order-by" help:"Column, and desc, such as: lastUpdateDateTimeUtc desc."`
	Top     int    `help:"Items at most; 0 for all." default:"50"`
}

func (f *centerFlags) show(s *session, view string) error {
	l := client.List{Filter: f.Filter, OrderBy: f.OrderBy, Top: f.Top, View: view}
	and := func(term string) {
		if l.Filter != "" {
			term = "(" + l.Filter + ") and " + term
		}
		l.Filter = term
	}
	if f.Since != "" {
		text := f.Since
		if days, ok := strings.CutSuffix(text, "d"); ok {
			var n int
			if _, err := fmt.Sscanf(days, "%d", &n); err == nil {
				text = fmt.Sprintf("%dh", 24*n)
			}
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fmt.Errorf("--since %q: it is a span such as 24h or 7d", f.Since)
		}
		and("creationDateTimeUtc ge " + time.Now().Add(-d).UTC().Format(time.RFC3339))
	}
	if f.Device != "" {
		and("machineId eq '" + strings.ReplaceAll(f.Device, "'", "''") + "'")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	if s.out.form == "csv" {
		return c.ExportActions(s.ctx, l, s.out.w)
	}
	items, err := c.Actions(s.ctx, l)
	if err != nil {
		return err
	}
	var cells [][]string
	for _, a := range items {
		cells = append(cells, []string{when(a.Created), a.Type, a.State + percent(a.Progress), a.Machine, a.Requestor, a.Source, a.Truth, a.ID})
	}
	return s.out.rows(items, []string{"CREATED", "TYPE", "STATE", "DEVICE", "REQUESTOR", "SOURCE", "TRUTH", "ID"}, cells)
}

func percent(p *client.ActionProgress) string {
	if p == nil || p.Percent < 0 {
		return ""
	}
	return fmt.Sprintf(" %d%%", p.Percent)
}

type actionPending struct {
	centerFlags
	Approval bool `help:"Only what waits for somebody to agree."`
}

func (a *actionPending) Run(s *session) error {
	if a.Approval {
		return a.show(s, "approval")
	}
	return a.show(s, "pending")
}

type actionHistory struct{ centerFlags }

func (a *actionHistory) Run(s *session) error { return a.show(s, "history") }

type actionShow struct {
	ID string `arg:"" help:"Action id."`
}

func (a *actionShow) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	d, err := c.ActionDetail(s.ctx, a.ID)
	if err != nil {
		return err
	}
	return printDetail(s, d)
}

func printDetail(s *session, d *client.ActionDetail) error {
	fields := [][2]string{{"Id", d.ID}, {"Type", d.Type}, {"Scope", d.Scope}, {"Status", d.Status + " (" + d.State + ")"}, {"Device", d.Machine + " (" + d.MachineID + ")"},
		{"Requestor", d.Requestor}, {"Source", d.Source}, {"Comment", d.Comment}, {"Created", when(d.Created)}, {"Updated", when(d.Updated)}, {"Error", d.Error}}
	if d.IsOpen {
		fields = append(fields, [2]string{"Given up", when(d.Expires)})
	}
	if p := d.Progress; p != nil {
		fields = append(fields, [2]string{"Progress", strings.TrimSpace(percent(p) + " " + oneLine(p.Detail))})
	}
	if v := d.Approval; v != nil {
		for _, m := range v.Demands {
			fields = append(fields, [2]string{"Policy", fmt.Sprintf("%s: %d of %d still must approve, until %s", m.Name, m.Missing, m.Need, when(v.Until))})
		}
		for _, w := range v.Votes {
			word := "rejected"
			if w.Agrees {
				word = "approved"
			}
			fields = append(fields, [2]string{"Vote", fmt.Sprintf("%s %s by %s: %s", when(w.At), word, w.By, oneLine(w.Comment))})
		}
	}
	if d.UndoType != "" {
		fields = append(fields, [2]string{"Undo", "by " + d.UndoType})
	}
	for _, p := range d.Steps {
		fields = append(fields, [2]string{"Step", fmt.Sprintf("%s  %-9s  %s: %s", p.At.UTC().Format("2006-01-02 15:04:05.000Z"), p.State, oneLine(p.Actor), oneLine(p.Detail))})
	}
	return s.out.one(d, fields)
}

type moveFlags struct {
	ID      string `arg:"" help:"Action id."`
	Comment string `required:"" help:"Why."`
}

func (f *moveFlags) move(s *session, verb string, signatures ...client.ActionSignature) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	d, err := c.Move(s.ctx, f.ID, verb, f.Comment, signatures...)
	if err != nil {
		return err
	}
	return printDetail(s, d)
}

type actionReject struct{ moveFlags }

func (a *actionReject) Run(s *session) error { return a.move(s, "reject") }

type actionUndo struct{ moveFlags }

func (a *actionUndo) Run(s *session) error { return a.move(s, "undo") }

type actionApprove struct {
	moveFlags
	Key string `help:"Sign the command with the key in this file, for devices that ask for approvers' own signatures." type:"existingfile"`
}

// Run approves. What is signed is read first: a server could serve another command than the
// one that it shows.
func (a *actionApprove) Run(s *session) error {
	if a.Key == "" {
		return a.move(s, "approve")
	}
	key, err := readKey(a.Key)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	d, err := c.ActionDetail(s.ctx, a.ID)
	if err != nil {
		return err
	}
	e, err := c.Envelope(s.ctx, a.ID)
	if err != nil {
		return err
	}
	cmd, err := sameCommand(d, a.ID, e.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.errs, "signing: %s of %s (%s), good until %s, parameters %s\n", cmd.Kind, oneLine(d.Machine), cmd.Device, cmd.Expires.Format(time.RFC3339), oneLine(string(cmd.Params)))
	sig := wire.SignBody(wire.CommandContext, e.Body, key)[0]
	return a.move(s, "approve", client.ActionSignature{Key: sig.Key, Signature: sig.Signature})
}

// sameCommand returns the command of a body, or why it is not that of the action that
// somebody approves.
func sameCommand(d *client.ActionDetail, id string, body []byte) (*wire.Command, error) {
	cmd, err := wire.ParseBody(body)
	if err != nil {
		return nil, fmt.Errorf("nothing was signed: %w", err)
	}
	switch {
	case !strings.EqualFold(cmd.ID, id):
		return nil, fmt.Errorf("nothing was signed: the server serves the command of %s in place of %s", cmd.ID, id)
	case cmd.Device != d.MachineID:
		return nil, fmt.Errorf("nothing was signed: the command is for the device %s, the action for %s", cmd.Device, d.MachineID)
	case cmd.Kind != strings.ToLower(d.Type):
		return nil, fmt.Errorf("nothing was signed: the command is %s, the action %s", cmd.Kind, d.Type)
	}
	return cmd, nil
}

type actionKey struct {
	File string `arg:"" help:"File to write the private key to; it must not be there yet." type:"path"`
}

// Run makes a key and prints its public half, which goes into the policy of agents.
func (a *actionKey) Run(s *session) error {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(a.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Sync(), f.Close()); err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString(public)
	return s.out.one(map[string]string{"file": a.File, "key": text}, [][2]string{{"File", a.File}, {"Public key", text}})
}

func readKey(file string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no ed25519 key", file)
	}
	return key, nil
}

type actionBulk struct {
	Type      string   `arg:"" help:"Type of the action, such as Isolate."`
	Devices   []string `arg:"" optional:"" help:"Device ids or computer names."`
	Match     string   `help:"In place of devices: an OData filter over them, such as: machineTags/any(t: t eq 'Lab')."`
	Comment   string   `required:"" help:"Why."`
	Isolation string   `help:"Full or Selective."`
	Scan      string   `help:"Quick or Full."`
	SHA1      string   `name:"sha1" help:"Of the file, for StopAndQuarantineFile."`
	Yes       bool     `help:"Do it; without it the devices are counted."`
}

func (a *actionBulk) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	body := map[string]any{"Comment": a.Comment, "CountOnly": !a.Yes}
	for name, v := range map[string]string{"MachineFilter": a.Match, "IsolationType": a.Isolation, "ScanType": a.Scan, "Sha1": a.SHA1} {
		if v != "" {
			body[name] = v
		}
	}
	if len(a.Devices) > 0 {
		body["MachineIds"] = a.Devices
	}
	b, err := c.Bulk(s.ctx, a.Type, body)
	if err != nil {
		return err
	}
	var cells [][]string
	for _, o := range b.Outcomes {
		said := "would be asked"
		switch {
		case o.Message != "":
			said = "refused: " + o.Message
		case !b.Counted:
			said = o.Status
		}
		cells = append(cells, []string{o.Machine, said, o.Action, o.MachineID})
	}
	if s.out.form == "table" {
		verb := "asked"
		if b.Counted {
			verb = "would be asked (give --yes to do it)"
		}
		fmt.Fprintf(s.errs, "%d of %d devices %s, %d refused\n", b.Accepted, b.Machines, verb, b.Refused)
	}
	return s.out.rows(b, []string{"DEVICE", "OUTCOME", "ACTION", "ID"}, cells)
}

type approvalCommand struct {
	List    approvalList    `cmd:"" help:"List approval policies."`
	Create  approvalCreate  `cmd:"" help:"Create a policy: which actions somebody must agree to, and who."`
	Enable  approvalEnable  `cmd:"" help:"Put a policy in force."`
	Disable approvalDisable `cmd:"" help:"Take a policy out of force."`
	Delete  approvalDelete  `cmd:"" help:"Delete a policy."`
}

const approvals = "/api/vedette/approvalpolicies"

type approvalList struct{}

func (*approvalList) Run(s *session) error {
	return list(s, approvals, client.List{}, []string{"ID", "NAME", "ENABLED", "TYPES", "GROUPS", "REQUESTORS", "APPROVALS", "APPROVERS"}, func(p client.ApprovalPolicy) []string {
		return []string{fmt.Sprint(p.ID), p.Name, fmt.Sprint(p.Enabled), strings.Join(p.Types, ","), strings.Trim(fmt.Sprint(p.Groups), "[]"),
			strings.Join(p.Requestors, ","), fmt.Sprint(p.Need), strings.Join(p.Approvers, ",")}
	})
}

type approvalCreate struct {
	Name      string        `arg:"" help:"Name of the policy."`
	Type      []string      `help:"Type of action, such as Isolate; may be given several times. Without it every type."`
	Group     []int64       `help:"Device group; may be given several times. Without it every device."`
	Requestor []string      `help:"Who asks: the id of a role or application, Applications, or Automatic for rules; may be given several times. Without it everybody."`
	Need      int           `help:"How many must agree." default:"1"`
	Approver  []string      `help:"Who may agree: the id of a role or application; may be given several times. Without it everybody with the permission."`
	Self      bool          `help:"Whoever asked may be one of them."`
	Patience  time.Duration `help:"How long an action waits for them." default:"168h"`
}

func (p *approvalCreate) Run(s *session) error {
	return send(s, http.MethodPost, approvals, map[string]any{"name": p.Name, "types": p.Type, "rbacGroupIds": p.Group, "requestors": p.Requestor,
		"approvals": p.Need, "approvers": p.Approver, "requestorMayApprove": p.Self, "patienceMinutes": int64(p.Patience / time.Minute)},
		func(p client.ApprovalPolicy) [][2]string {
			return [][2]string{{"Id", fmt.Sprint(p.ID)}, {"Name", p.Name}, {"Types", strings.Join(p.Types, ", ")}, {"Approvals", fmt.Sprint(p.Need)}, {"Approvers", strings.Join(p.Approvers, ", ")}}
		})
}

type approvalEnable struct {
	ID int64 `arg:"" help:"Policy id."`
}

func (p *approvalEnable) Run(s *session) error { return enable(s, approvals, p.ID, true) }

type approvalDisable struct {
	ID int64 `arg:"" help:"Policy id."`
}

func (p *approvalDisable) Run(s *session) error { return enable(s, approvals, p.ID, false) }

type approvalDelete struct {
	ID int64 `arg:"" help:"Policy id."`
}

func (p *approvalDelete) Run(s *session) error { return drop(s, approvals, fmt.Sprint(p.ID)) }
