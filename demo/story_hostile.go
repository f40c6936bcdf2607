package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// hostileNames are names that attack whoever shows them: a page, a terminal, a table.
func hostileNames() []string {
	return []string{
		`<img src=x onerror="window.__pwned=1">`,
		`"><script>window.__pwned=1</script>`,
		`javascript:window.__pwned=1`,
		`{{constructor.constructor('window.__pwned=1')()}}`,
		"ab\u202egnp.exe",
		`=HYPERLINK("https://evil.example","x")`,
		`</textarea></title><svg/onload=window.__pwned=1>`,
		"sv\u200bchost\x1b]0;owned\x07\x1b[31m\u00ad",
		strings.Repeat("verylongname", 16),
		"⟪RLO⟫ \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd [x](javascript:window.__pwned=1)",
	}
}

// hostileStory lets devices do what raises alerts under such names, of programs, files,
// arguments, users and hosts, and people write them wherever people write.
func hostileStory(s *scene) {
	n := 0
	for _, h := range s.company.hosts {
		if h.owner == nil || h.owner.uid != 6666 {
			continue
		}
		name := h.owner.login
		a := s.on2(h, "hostile", s.ago(time.Duration(40+n)*time.Minute))
		n++
		number := n
		user := h.account(name, 6666)
		sh := a.begin("/usr/bin/bash", "bash "+name, user, nil)
		bad := file("/tmp/"+noSlash(name), name, 4096)
		p := a.payload(sh, bad, "/tmp/"+name+" --donate-level 1 "+name+" "+strings.Repeat(name, 8), m{"ExecutedPath": "/dev/shm/" + name, name: name})
		a.resolve(p, name, outside(66))
		a.connect(p, outside(66), 443, noSlash(name)+".example")
		a.file(p, "FileCreated", file("/etc/cron.d/"+noSlash(name), name, 12))
		a.logon(name, 6666, outside(66), name, "")
		a.flush()
		s.people(s.ago(time.Duration(20)*time.Minute-time.Duration(n)*time.Second), "writing about "+h.name, func(d *desk) error { return d.writeAbout(h, name, number) })
	}
}

// writeAbout writes a name wherever people write: into tags, comments, reasons, indicators,
// rules, roles and groups.
func (d *desk) writeAbout(h *host, name string, n int) error {
	short := cutRunes(name, 60)
	unique := fmt.Sprintf("%s %d", printable(short), n)
	do := func(method, path string, body any) error { return d.do(method, path, body, nil) }
	err := errors.Join(
		do(http.MethodPost, "/api/machines/"+d.id(h)+"/tags", m{"Value": printable(short), "Action": "Add"}),
		d.act(h, "isolate", m{"Comment": name, "IsolationType": "Full"}),
		d.act(h, "unisolate", m{"Comment": strings.Repeat(name+"\n", 12)}),
		d.triage(h, m{"comment": strings.Repeat(name+" ", 8), "tags": []string{short}, "incidentName": unique, "assignedTo": short}),
		do(http.MethodPost, "/api/indicators", m{"indicatorType": "IpAddress", "indicatorValue": fmt.Sprint("192.0.2.", 100+n), "action": "Audit", "title": unique,
			"description": name, "generateAlert": true, "severity": "Low", "recommendedActions": name}),
		do(http.MethodPost, "/api/vedette/devicegroups", m{"name": unique, "description": name, "automationLevel": "Full",
			"rules": []m{{"property": "Tag", "operator": "Equals", "values": []string{short}}}}),
		do(http.MethodPost, "/api/vedette/roles", m{"name": unique, "description": name, "permissions": []string{"ViewData.SecurityOperations"}}),
		do(http.MethodPost, "/api/vedette/queries", m{"name": unique, "folder": short, "description": name, "query": "// " + printable(name) + "\nDeviceEvents | take 1", "isShared": true}),
	)
	return err
}

// printable is a text without characters that the API takes in no name.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

func cutRunes(s string, most int) string {
	r := []rune(s)
	return string(r[:min(len(r), most)])
}

// on2 is on for a device that has no name of its own in the company.
func (s *scene) on2(h *host, act string, at time.Time) *actor {
	a := newActor(s.company.seed, h, act, at)
	a.cues = s.cues
	return a
}

func noSlash(s string) string { return strings.ReplaceAll(s, "/", "_") }

// hostileResult is what a device says that is an attacker's.
func hostileResult(name string) (detail string, evidence []byte) {
	raw, err := json.Marshal(m{name: name, "list": []string{name, strings.Repeat(name, 20)}})
	if err != nil {
		panic(err) // of texts: cannot fail
	}
	return name, raw
}
