package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/wire"
)

// pkg is an installed package.
type pkg struct{ name, source, version string }

// shelf is what Debian 12 had of a package: versions from old to new. The last of each is
// without the flaws of flawed.
var shelf = []struct {
	name, source string
	versions     []string
	roles        string // "" for every device, else those whose roles it names
}{
	{"openssh-server", "openssh", []string{"1:9.2p1-2+deb12u1", "1:9.2p1-2+deb12u2", "1:9.2p1-2+deb12u3"}, ""},
	{"sudo", "sudo", []string{"1.9.13p3-1+deb12u1", "1.9.13p3-1+deb12u2"}, ""},
	{"libc6", "glibc", []string{"2.36-9", "2.36-9+deb12u3", "2.36-9+deb12u9"}, ""},
	{"curl", "curl", []string{"7.88.1-10", "7.88.1-10+deb12u4", "7.88.1-10+deb12u8"}, ""},
	{"openssl", "openssl", []string{"3.0.9-1", "3.0.11-1~deb12u2", "3.0.15-1~deb12u1"}, ""},
	{"bash", "bash", []string{"5.2.15-2+b7"}, ""},
	{"systemd", "systemd", []string{"252.22-1~deb12u1", "252.31-1~deb12u1"}, ""},
	{"python3.11", "python3.11", []string{"3.11.2-6", "3.11.2-6+deb12u4"}, ""},
	{"nginx", "nginx", []string{"1.22.1-9"}, "web"},
	{"php8.2-fpm", "php8.2", []string{"8.2.7-1~deb12u1", "8.2.20-1~deb12u1"}, "web"},
	{"postgresql-15", "postgresql-15", []string{"15.3-0+deb12u1", "15.8-0+deb12u1"}, "db"},
	{"samba", "samba", []string{"2:4.17.9+dfsg-0+deb12u3", "2:4.17.12+dfsg-0+deb12u1"}, "file"},
	{"git", "git", []string{"1:2.39.2-1.1", "1:2.39.5-0+deb12u1"}, "build laptop"},
	{"firefox-esr", "firefox-esr", []string{"115.3.0esr-1~deb12u1", "128.5.0esr-1~deb12u1"}, "laptop"},
	{"thunderbird", "thunderbird", []string{"1:115.3.1-1~deb12u1", "1:128.5.0esr-1~deb12u1"}, "laptop"},
	{"libreoffice", "libreoffice", []string{"4:7.4.7-1", "4:7.4.7-1+deb12u5"}, "laptop"},
	{"nodejs", "nodejs", []string{"18.13.0+dfsg1-1", "18.19.0+dfsg-6~deb12u2"}, "build app"},
	{"openjdk-17-jre-headless", "openjdk-17", []string{"17.0.8+7-1~deb12u1", "17.0.13+11-2~deb12u1"}, "app"},
	{"bind9", "bind9", []string{"1:9.18.16-1~deb12u1", "1:9.18.28-1~deb12u2"}, "infra"},
}

// packages draws what is installed on a device; some are behind with updates.
func packages(r *rand.Rand, h *host) []pkg {
	var out []pkg
	behind := r.IntN(4) // 0: up to date
	for _, s := range shelf {
		if s.roles != "" && !hasWord(s.roles, h.role) {
			continue
		}
		n := len(s.versions) - 1
		if behind > 0 && r.IntN(behind+1) > 0 {
			n = r.IntN(len(s.versions))
		}
		out = append(out, pkg{s.name, s.source, s.versions[n]})
	}
	for i := range 40 + r.IntN(30) {
		out = append(out, pkg{fmt.Sprintf("lib%s%d", given[i%len(given)][:3], i), "", fmt.Sprintf("%d.%d.%d-%d", i%5, r.IntN(12), r.IntN(9), 1+r.IntN(3))})
	}
	return out
}

func hasWord(words, w string) bool {
	for i := 0; i+len(w) <= len(words); i++ {
		if words[i:i+len(w)] == w {
			return true
		}
	}
	return false
}

// softwareSection is the agent's report of what is installed.
func softwareSection(h *host) link.Section {
	s := link.Section{Name: wire.SectionSoftware}
	for _, p := range h.packs {
		item := m{"kind": "deb", "name": p.name, "version": p.version, "arch": "amd64", "release": "debian:12"}
		if p.source != "" {
			item["source"], item["sourceVersion"] = p.source, p.version
		}
		raw, err := json.Marshal(item)
		if err != nil {
			panic(err) // of texts: cannot fail
		}
		s.Items = append(s.Items, raw)
	}
	return s
}

// flawed are published flaws of Debian 12's packages and the versions that mend them, as
// Debian's security tracker has them.
var flawed = []struct{ source, id, fixed, cvss, text string }{
	{"openssh", "CVE-2024-6387", "1:9.2p1-2+deb12u3", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", "A race in sshd's signal handling lets somebody who has not authenticated run code as root (regreSSHion)."},
	{"openssh", "CVE-2023-48795", "1:9.2p1-2+deb12u2", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:H/A:N", "Packets at the beginning of a session can be removed unseen (Terrapin)."},
	{"glibc", "CVE-2023-4911", "2.36-9+deb12u3", "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", "A buffer overflow in the dynamic loader's GLIBC_TUNABLES gives local users root's rights (Looney Tunables)."},
	{"curl", "CVE-2023-38545", "7.88.1-10+deb12u4", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "A heap overflow in the handshake with a SOCKS5 proxy."},
	{"openssl", "CVE-2024-6119", "3.0.14-1~deb12u2", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", "Checking names of certificates may read beyond a buffer and end the program."},
	{"sudo", "CVE-2025-32462", "1.9.13p3-1+deb12u2", "CVSS:3.1/AV:L/AC:H/PR:N/UI:N/S:C/C:L/I:L/A:L", "Rules that name another host can be used on this one."},
	{"firefox-esr", "CVE-2024-9680", "128.3.1esr-1~deb12u1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "A use after free in animation timelines runs code in the content process; it was exploited."},
	{"nodejs", "CVE-2023-30589", "18.13.0+dfsg1-1+deb12u1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N", "The HTTP parser takes a lone carriage return for the end of a header, which lets requests be smuggled."},
	{"git", "CVE-2024-32002", "1:2.39.5-0+deb12u1", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:H/A:H", "Cloning a repository with submodules can run code from it."},
	{"php8.2", "CVE-2024-4577", "8.2.20-1~deb12u1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "Arguments can be smuggled into php-cgi."},
	{"postgresql-15", "CVE-2024-7348", "15.8-0+deb12u1", "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H", "A race in pg_dump lets the creator of an object run SQL as the user who dumps."},
}

// feed is flawed in OSV's format, one advisory a line of the list.
func feed() ([]byte, error) {
	var list []any
	for _, f := range flawed {
		list = append(list, m{"schema_version": "1.6.0", "id": f.id, "modified": "2025-07-01T00:00:00Z", "published": "2024-07-01T00:00:00Z", "details": f.text,
			"severity": []any{m{"type": "CVSS_V3", "score": f.cvss}},
			"affected": []any{m{"package": m{"ecosystem": "Debian:12", "name": f.source},
				"ranges": []any{m{"type": "ECOSYSTEM", "events": []any{m{"introduced": "0"}, m{"fixed": f.fixed}}}}}}})
	}
	return json.Marshal(list)
}
