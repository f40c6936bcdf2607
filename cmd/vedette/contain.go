package main

import (
	"net/http"
	"net/url"
	"time"
)

type deviceReleaseCode struct {
	Device  string        `arg:"" help:"Device id or computer name."`
	Comment string        `required:"" help:"Why; it is kept in the audit record."`
	Life    time.Duration `help:"How long the code is good for, a week at most." default:"24h"`
}

// releaseCode is what the server answers.
type releaseCode struct {
	Code    string    `json:"code"`
	Machine string    `json:"computerDnsName"`
	ID      string    `json:"machineId"`
	Expires time.Time `json:"expirationDateTime"`
	Command string    `json:"command"`
}

func (d *deviceReleaseCode) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var r releaseCode
	err = c.Do(s.ctx, http.MethodPost, "/api/vedette/machines/"+url.PathEscape(d.Device)+"/releaseCode",
		map[string]any{"Comment": d.Comment, "Minutes": int64(d.Life / time.Minute)}, &r)
	if err != nil {
		return err
	}
	return s.out.one(r, [][2]string{
		{"Device", r.Machine + " (" + r.ID + ")"}, {"Good until", when(&r.Expires)}, {"Code", r.Code}, {"On the device", r.Command},
	})
}

type deviceNotify struct {
	Device  string        `arg:"" help:"Device id or computer name."`
	Text    string        `arg:"" help:"What the users are told."`
	Comment string        `help:"Why; it is kept with the action." default:"a message to the users"`
	Title   string        `help:"Title of the message."`
	Level   string        `help:"${enum}." enum:"low,normal,critical" default:"normal"`
	Wait    time.Duration `help:"How long to wait for the device's answer; 0 to return at once." default:"30s"`
}

func (d *deviceNotify) Run(s *session) error {
	f := actionFlags{Device: d.Device, Comment: d.Comment, Wait: d.Wait}
	return f.startAt(s, "/api/vedette/machines/", "notifyUser", map[string]any{"Comment": d.Comment, "Message": d.Text, "Title": d.Title, "Level": d.Level})
}

type deviceRestrict struct {
	actionFlags
	AllowHash      []string `help:"SHA-256 or SHA-1 of a file that may run beside what packages installed."`
	AllowDirectory []string `help:"Absolute path of a directory on the device below which everything may run." sep:"none"`
}

func (d *deviceRestrict) Run(s *session) error {
	body := map[string]any{"Comment": d.Comment}
	if len(d.AllowHash)+len(d.AllowDirectory) > 0 {
		body["Allow"] = map[string]any{"Hashes": d.AllowHash, "Directories": d.AllowDirectory}
	}
	return d.start(s, "restrictCodeExecution", body)
}
