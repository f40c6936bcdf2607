package antivirus

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
	"github.com/vedette-edr/vedette/agent/scan"
	"github.com/vedette-edr/vedette/schema/event"
)

// The names under which the published product reports what an indicator blocks, with and
// without an alert; queries look for them.
const (
	threat       = "EUS:Win32/CustomEnterpriseBlock!cl"
	silentThreat = "EUS:Win32/CustomEnterpriseNoAlertBlock!cl"
)

// work is what is done about the findings of one scan. One goroutine uses it.
type work struct {
	h       *Handler
	ctx     context.Context
	id      string
	policy  string
	threats []Threat
	cut     int
	taken   int
	n       int
}

// additional is the AdditionalFields of a detection. The first six are published ones.
type additional struct {
	ThreatName                string
	Action                    string // Detected, Quarantined, Killed
	WasExecutingWhileDetected bool
	WasRemediated             bool
	ReportSource              string // Scan
	IsAudit                   bool   `json:",omitempty"`
	ScanID                    string `json:"ScanId"`
	Engine                    string
	Member                    string `json:",omitempty"` // within an archive
	MemberSHA256              string `json:",omitempty"`
	InMemory                  bool   `json:",omitempty"`
	NoAlert                   bool   `json:",omitempty"`
	IndicatorID               int64  `json:"IndicatorId,omitempty"`
	QuarantineID              string `json:"QuarantineId,omitempty"`
	Killed                    int    `json:",omitempty"` // processes
	Problem                   string `json:",omitempty"`
}

// takes says whether the policy takes a file in which these findings were made.
func (w *work) takes(s scan.Seen) bool {
	if s.Object.Memory || w.policy == TakeNothing || w.h.cfg.Remediator == nil {
		return false
	}
	for _, f := range s.Findings {
		switch {
		case f.Engine == scan.EngineIndicator && f.Action == file.Warn:
		case w.policy == TakeAll && f.Action != file.Audit:
			return true
		case f.Engine == scan.EngineSignature:
			return true
		case f.Engine == scan.EngineIndicator && f.Member == "" && f.Action >= file.Block:
			return true
		}
	}
	return false
}

// found is told of an object by the scan.
func (w *work) found(s scan.Seen) {
	w.n++
	t := Threat{Path: process.Text(s.Object.Path), PID: s.Object.PID, Memory: s.Object.Memory, SHA256: s.Sums.SHA256, Action: "Detected"}
	for _, f := range s.Findings {
		if t.Names = append(t.Names, f.Engine+":"+f.Threat); f.Member != "" {
			t.Member = f.Member
		}
	}
	var out remediate.Outcome
	var indicator int64
	for _, f := range s.Findings {
		indicator = max(indicator, f.Indicator)
	}
	if w.takes(s) {
		reason := quarantineNote(t.Names)
		reason.Indicator = indicator
		out = w.take(s, reason)
		e := out.Evidence
		t.SHA256 = e.SHA256
		s.Sums.SHA1, s.Sums.SHA256, s.Sums.MD5 = e.SHA1, e.SHA256, e.MD5
		for _, f := range e.Files {
			if f.Item != "" {
				t.Item = f.Item
			}
		}
		if out.Removed {
			t.Action = "Quarantined"
			w.taken++
		}
		if out.Refused != nil {
			t.Detail = process.Text(out.Refused.Error())
		} else if len(out.Problems) > 0 {
			t.Detail = strings.Join(out.Problems, "; ")
		}
	}
	if len(w.threats) < maxThreats {
		w.threats = append(w.threats, t)
	} else {
		w.cut++
	}
	w.report(s, t, out)
}

// take puts the file into quarantine, with what runs it and what starts it.
func (w *work) take(s scan.Seen, why quarantine.Reason) remediate.Outcome {
	sum := s.Sums.SHA256
	if sum == "" {
		var err error
		if sum, err = w.h.cfg.Remediator.Digest(w.ctx, s.Object.File); err != nil {
			return remediate.Outcome{Refused: err}
		}
	}
	return w.h.cfg.Remediator.Remove(w.ctx, fmt.Sprintf("%s-%d", w.id, w.n),
		remediate.Target{SHA256: sum, Paths: []string{s.Object.Path}, Size: s.Object.Stat.Size, Near: true}, why)
}

// report emits what was found: an event for each finding that has another name.
func (w *work) report(s scan.Seen, t Threat, out remediate.Outcome) {
	told := map[string]bool{}
	stopped := 0
	for _, p := range out.Evidence.Processes {
		if p.State == remediate.Stopped {
			stopped++
		}
	}
	const most = 5
	for _, f := range s.Findings {
		key := f.Engine + f.Threat + f.Member
		if told[key] || len(told) == most {
			continue
		}
		told[key] = true
		name := f.Engine + ":" + f.Threat
		if f.Engine == scan.EngineIndicator {
			if name = threat; f.Silent {
				name = silentThreat
			}
		}
		more := additional{
			ThreatName: name, Action: t.Action, WasExecutingWhileDetected: s.Object.PID != 0, WasRemediated: t.Action == "Quarantined" && out.Whole,
			ReportSource: "Scan", IsAudit: f.Action == file.Audit, ScanID: w.id, Engine: f.Engine, Member: f.Member, MemberSHA256: f.Sums.SHA256,
			InMemory: s.Object.Memory, NoAlert: f.Silent, IndicatorID: f.Indicator, QuarantineID: t.Item, Killed: stopped, Problem: t.Detail,
		}
		if f.Member == "" {
			more.MemberSHA256 = ""
		}
		raw, _ := json.Marshal(more) // of plain values: cannot fail
		e := &event.Event{
			Table: event.DeviceEvents, Action: "AntivirusDetection", Time: w.h.cfg.Now().UTC(), Additional: string(raw),
			File: &event.File{Name: process.Text(filepath.Base(s.Object.Path)), Path: t.Path, Size: s.Object.Stat.Size,
				SHA1: s.Sums.SHA1, SHA256: s.Sums.SHA256, MD5: s.Sums.MD5},
		}
		if s.Object.Memory {
			e.File.Size = -1
		}
		if s.Object.PID != 0 {
			e.Initiating = w.h.cfg.Lookup(s.Object.PID)
		}
		w.h.cfg.Emit(e)
	}
}

// tell reports how a scan ended, by the published names.
func (h *Handler) tell(id string, p Params, action, problem string) {
	more := map[string]string{"ScanId": id, "ScanTypeIndex": p.ScanType, "ScanParametersIndex": p.ScanType, "Domain": "", "User": "SYSTEM"}
	if problem != "" {
		more["ErrorDescription"] = process.Text(problem)
	}
	raw, _ := json.Marshal(more) // of strings: cannot fail
	h.cfg.Emit(&event.Event{Table: event.DeviceEvents, Action: action, Time: h.cfg.Now().UTC(), Additional: string(raw)})
}
