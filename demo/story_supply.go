package demo

import (
	"time"
)

// supplyChain: a package of the build turns bad. Its install script opens a shell to the
// outside, what it leaves behind is built into the images, and each application server that
// starts the new image calls home. It is still under way when the week ends.
func supplyChain(s *scene) {
	c := s.company
	at := s.ago(5*time.Hour + 20*time.Minute)
	b := s.on("build-01", "supply", at)
	run := b.h.account("runner", 998)
	job := b.begin("/usr/bin/gitlab-runner", "gitlab-runner run", run, nil)
	npm := b.run(job, "/usr/bin/npm", "npm install")
	b.connect(npm, "198.51.100.21", 443, "registry.npm.example")
	b.file(npm, "FileCreated", file("/builds/portal/node_modules/color-stream-utils/setup.js", "poisoned package", 48_114))
	node := b.run(npm, "/usr/bin/node", "node setup.js")
	b.resolve(node, chainName, chainC2)
	b.connect(node, chainC2, 443, chainName)
	b.run(node, "/usr/bin/dash", "sh -i")
	b.device(node, "IoUringCreated", nil, nil)
	b.flush()
	b.after(30 * time.Second)
	mem := file("/memfd:node-gyp (deleted)", "fileless stage", 1_204_224)
	st := b.payload(node, mem, "node-gyp", m{"Fileless": true, "MemoryFile": "node-gyp"})
	b.connect(st, chainC2, 443, chainName)
	for _, p := range []string{"/home/runner/.npmrc", "/home/runner/.docker/config.json", "/home/runner/.ssh/id_ed25519", "/home/runner/.aws/credentials"} {
		b.reads(st, p)
	}
	b.flush()
	b.after(70 * time.Second)
	b.run(job, "/usr/bin/docker", "docker build -t registry-01."+domain+"/portal:5.14.2 .")
	push := b.run(job, "/usr/bin/docker", "docker push registry-01."+domain+"/portal:5.14.2")
	b.connect(push, c.host("registry-01").ip, 5000, "registry-01."+domain)
	b.flush()

	for i, name := range []string{"app-01", "app-04", "app-03", "app-05"} {
		implant(s, name, s.ago(time.Duration(150-38*i)*time.Minute), i)
	}
	s.people(s.ago(100*time.Minute), "the implant's address", func(d *desk) error {
		return d.indicator("DomainName", chainName, "Block", "High", "Calls home from the poisoned package", true)
	})
	s.people(s.ago(25*time.Minute), "tagging the supply chain", func(d *desk) error {
		return d.triage(c.host("build-01"), m{"assignedTo": "a.novak@" + domain, "tags": []string{"Supply chain"}, "comment": "color-stream-utils 4.1.3 was published yesterday; image 5.14.2 contains it. Deployment stopped."})
	})
}

func implant(s *scene, name string, at time.Time, n int) {
	a := s.on(name, "supply", at)
	acct := a.h.account("portal", 1300)
	boot := a.begin("/usr/bin/containerd-shim-runc-v2", "containerd-shim-runc-v2 -namespace moby", root(a.h), nil)
	node := a.runAs(boot, "/usr/bin/node", "node /srv/portal/server.js", acct, nil)
	a.after(20 * time.Second)
	a.resolve(node, chainName, chainC2)
	a.connect(node, chainC2, 443, chainName)
	a.flush()
	a.after(40 * time.Second)
	self := file("/tmp/.npm-cache/gyp", "implant of the images", 733_184)
	a.file(node, "FileCreated", self)
	imp := a.payload(node, self, "/tmp/.npm-cache/gyp -k", nil)
	a.file(imp, "FileDeleted", self)
	a.connect(imp, chainC2, 443, chainName)
	a.flush()
	if n == 2 {
		a.after(3 * time.Minute)
		ko := file("/tmp/.npm-cache/gyp.ko", "a rootkit", 91_000)
		ins := a.run(imp, "/usr/sbin/insmod", "insmod /tmp/.npm-cache/gyp.ko")
		a.device(ins, "KernelModuleLoad", &ko, nil)
		a.flush()
	}
	for i := range 3 {
		a.after(time.Duration(7+i) * time.Minute)
		if a.now.After(s.end) {
			return
		}
		a.connect(imp, chainC2, 443, chainName)
		a.flush()
	}
}

// housekeeping is what raises alerts and is none of the attacks: administrators at work.
func housekeeping(s *scene) {
	for i, name := range []string{"mon-01", "app-06", "web-02"} {
		at := s.at(4-i, 10+i, 15)
		a := s.on(name, "housekeeping", at)
		lt := s.company.laptopOf(operator)
		sh := a.logon(operator, lt.owner.uid, lt.ip, lt.name, "")
		top := a.runAs(sh, "/usr/bin/sudo", "sudo -i", root(a.h), nil)
		vi := a.run(top, "/usr/bin/vim.basic", "vim /etc/systemd/system/exporter.service")
		a.file(vi, "FileCreated", file("/etc/systemd/system/exporter.service", "exporter unit", 402))
		a.flush()
		h := a.h
		s.people(at.Add(50*time.Minute), "closing work of "+name, func(d *desk) error {
			return d.triage(h, m{"status": "Resolved", "assignedTo": "c.haddad@" + domain, "classification": "InformationalExpectedActivity", "determination": "LineOfBusinessApplication", "comment": "Change 2211: new exporter."})
		})
	}
}
