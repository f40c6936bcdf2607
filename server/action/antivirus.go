package action

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/device"
)

// maxVersion bounds what is kept of the words of an engine and of an error, in bytes.
const maxVersion = 256

// scanEvidence is what is read of the evidence of a scan. A device writes it: it may say
// anything.
type scanEvidence struct {
	Ended   time.Time `json:"ended"`
	Engines []struct {
		Name    string `json:"name"`
		Used    bool   `json:"used"`
		Version string `json:"version"`
	} `json:"engines"`
}

// Scanned returns what the device's antivirus is once a has ended, when it was was. It
// reports false for an action that is no scan, that has not ended, or of which nobody knows
// how it ended.
func (a *Action) Scanned(was device.Antivirus) (device.Antivirus, bool) {
	if a.Kind != RunAntiVirusScan {
		return was, false
	}
	out := device.ScanOutcome{At: a.Updated}
	switch {
	case a.State == Verified:
		out.Result = device.ScanCompleted
	case a.State == Failed && a.Cancel.By != "":
		out.Result = device.ScanCancelled
	case a.State == Failed:
		out.Result, out.Error = device.ScanFailed, clipped(a.Error)
	default: // one that the device never took has not ended: none has begun
		return was, false
	}
	if n := len(a.Steps); n > 0 && len(a.Steps[n-1].Evidence) > 0 {
		var e scanEvidence
		if json.Unmarshal(a.Steps[n-1].Evidence, &e) == nil {
			if !e.Ended.IsZero() && e.Ended.After(a.Created) && e.Ended.Before(a.Updated) {
				out.At = e.Ended.UTC()
			}
			e.engine(&was, out.At)
		}
	}
	kind := &was.Quick
	if strings.EqualFold(a.Scope, "Full") {
		kind = &was.Full
	}
	if out.At.Before(kind.At) {
		return was, false // an older scan was told of late
	}
	*kind = out
	return was, true
}

// engine takes the engine over that matches signatures, as it names itself. ClamAV does so
// as "ClamAV 1.4.3/27800/Fri Apr 28 07:22:12 2026": engine, signatures and their time
// (clamd(8), VERSION).
func (e *scanEvidence) engine(to *device.Antivirus, at time.Time) {
	if at.Before(to.Seen) {
		return
	}
	to.Engine, to.Signatures, to.Published, to.Seen = "", "", time.Time{}, at
	for _, g := range e.Engines {
		if !g.Used || g.Name != "ClamAV" {
			continue
		}
		engine, rest, _ := strings.Cut(clipped(g.Version), "/")
		signatures, published, _ := strings.Cut(rest, "/")
		to.Engine, to.Signatures = engine, signatures
		if t, err := time.Parse(time.ANSIC, published); err == nil {
			to.Published = t
		}
	}
}

// clipped is s as text of at most maxVersion bytes.
func clipped(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for len(s) > maxVersion {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
