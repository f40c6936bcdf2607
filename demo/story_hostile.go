package demo

import "time"

// hostileNames are names that attack whoever shows them: a page, a terminal, a table.
func hostileNames() []string {
	return []string{
		`<img src=x onerror="window.__pwned=1">`,
		`"><script>window.__pwned=1</script>`,
		`javascript:window.__pwned=1`,
		`{{constructor.constructor('window.__pwned=1')()}}`,
		"ab\u202egnp.exe",
		`=HYPERLINK("https://evil.example","x")`,
	}
}

// hostileStory lets devices do what raises alerts under such names: of programs, files,
// arguments, users and hosts.
func hostileStory(s *scene) {
	n := 0
	for _, h := range s.company.hosts {
		if h.owner == nil || h.owner.uid != 6666 {
			continue
		}
		name := h.owner.login
		a := s.on2(h, "hostile", s.ago(time.Duration(40+n)*time.Minute))
		n++
		user := h.account(name, 6666)
		sh := a.begin("/usr/bin/bash", "bash "+name, user, nil)
		bad := file("/tmp/"+noSlash(name), name, 4096)
		p := a.payload(sh, bad, "/tmp/"+name+" --donate-level 1 "+name, m{"ExecutedPath": "/dev/shm/" + name, name: name})
		a.resolve(p, name, outside(66))
		a.connect(p, outside(66), 443, noSlash(name)+".example")
		a.file(p, "FileCreated", file("/etc/cron.d/"+noSlash(name), name, 12))
		a.flush()
	}
}

// on2 is on for a device that has no name of its own in the company.
func (s *scene) on2(h *host, act string, at time.Time) *actor {
	a := newActor(s.company.seed, h, act, at)
	a.cues = s.cues
	return a
}

func noSlash(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '/' {
			b[i] = '_'
		}
	}
	return string(b)
}
