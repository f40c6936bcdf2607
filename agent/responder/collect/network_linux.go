package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/google/nftables"

	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

const small = 1 << 20 // bytes of a configuration file

// credential is what stands before the host of an address, or after the name of a secret.
var credential = regexp.MustCompile(`(?i)(://)[^/@\s"']+@|((?:password|passwd|passphrase|secret|token|psk|api_?key|private_?key)["']?[ \t]*[=:][ \t]*)[^\s,;]+`)

// veiled takes what looks like a secret out of a configuration file.
func veiled(b []byte) []byte { return credential.ReplaceAll(b, []byte("${1}${2}(left out)")) }

// names copies how names of hosts are resolved, and the resolver's cache where it tells.
func (d *device) resolving(t *Task, r *rootfs.Root) error {
	c := copying{links: rootfs.FollowLinks, most: small}
	if err := d.copyAll(t, r, c, "etc/resolv.conf", "etc/nsswitch.conf", "etc/hosts", "etc/hosts.allow", "etc/hosts.deny", "etc/host.conf", "etc/gai.conf",
		"etc/systemd/resolved.conf", "etc/systemd/resolved.conf.d/*", "run/systemd/resolve/*.conf", "etc/resolvconf/**", "etc/dnsmasq.conf", "etc/dnsmasq.d/*", "etc/unbound/*.conf"); err != nil {
		return err
	}
	if len(r.Glob("run/systemd/resolve", rootfs.FollowLinks)) == 0 {
		return nil
	}
	for file, args := range map[string][]string{"DnsCache.txt": {"show-cache"}, "DnsStatistics.txt": {"statistics"}, "DnsStatus.txt": {"status"}} {
		if err := d.run(t, file, 8<<20, append([]string{"resolvectl", "--no-pager"}, args...)...); err != nil && !errors.Is(err, ErrAbsent) {
			if full(err) {
				return err
			}
			t.Note(err, "%s", file) // older ones cannot show their cache
		}
	}
	return nil
}

// proxies lists settings of proxies, without the passwords in them.
func (d *device) proxies(t *Task, r *rootfs.Root) error {
	var out strings.Builder
	look := func(name string, links rootfs.Links) {
		b, _, err := r.Read(name, links, small)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(strings.ToLower(line), "proxy") {
				fmt.Fprintf(&out, "/%s: %s\n", name, veiled([]byte(strings.TrimSpace(line))))
			}
		}
	}
	for _, p := range []string{"etc/environment", "etc/profile", "etc/profile.d/*", "etc/apt/apt.conf", "etc/apt/apt.conf.d/*", "etc/yum.conf", "etc/dnf/dnf.conf",
		"etc/sysconfig/proxy", "etc/wgetrc", "etc/systemd/system.conf", "etc/systemd/system/*.service.d/*.conf", "etc/docker/daemon.json"} {
		for _, name := range r.Glob(p, rootfs.FollowLinks) {
			look(name, rootfs.FollowLinks)
		}
	}
	for _, h := range d.homes(t, r) {
		for _, name := range []string{".bashrc", ".profile", ".wgetrc", ".curlrc", ".docker/config.json"} {
			look(h.dir+"/"+name, rootfs.NoLinks)
		}
	}
	if out.Len() == 0 {
		return ErrAbsent
	}
	return t.Text("Proxy.txt", "", out.String())
}

// firewall writes the rules of the agent's own network namespace.
func (d *device) firewall(t *Task, r *rootfs.Root) error {
	err := d.run(t, "Firewall.nft.json", 32<<20, "nft", "-j", "-a", "list", "ruleset")
	if err == nil {
		err = d.run(t, "Firewall.nft.txt", 32<<20, "nft", "-a", "list", "ruleset")
	}
	if err != nil && full(err) {
		return err
	}
	if err != nil {
		if !errors.Is(err, ErrAbsent) {
			t.Note(err, "nft; the kernel is asked instead")
		}
		if err := d.nftables(t); err != nil {
			t.Note(err, "nftables")
		}
	}
	// These would load the old tables into a kernel that has not got them, to find them empty.
	for _, v := range [][2]string{{"proc/net/ip_tables_names", "iptables-save"}, {"proc/net/ip6_tables_names", "ip6tables-save"}} {
		if d.line(v[0]) == "" {
			continue
		}
		program := v[1]
		if _, err := os.Stat("/usr/sbin/" + v[1][:strings.Index(v[1], "-")] + "-legacy-save"); err == nil {
			program = v[1][:strings.Index(v[1], "-")] + "-legacy-save"
		}
		if err := d.run(t, v[1]+".txt", 32<<20, program, "-c"); err != nil {
			if full(err) {
				return err
			}
			t.Note(err, "%s", program)
		}
	}
	return d.copyAll(t, r, copying{links: rootfs.FollowLinks, most: small, clean: veiled}, "etc/nftables.conf", "etc/nftables/**", "etc/iptables/*", "etc/sysconfig/ip*tables",
		"etc/ufw/*.rules", "etc/ufw/*.conf", "etc/default/ufw", "etc/firewalld/**")
}

// nftables asks the kernel for the rules where there is no program that writes them well.
func (d *device) nftables(t *Task) error {
	if d.Root != "/" {
		return ErrAbsent
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := c.ListTables()
	if err != nil {
		return err
	}
	chains, err := c.ListChains()
	if err != nil {
		return err
	}
	type rule struct {
		Handle      uint64
		Expressions []any
	}
	type chain struct {
		Family, Table, Name, Type string
		Hook, Priority            any `json:",omitempty"`
		Policy                    any `json:",omitempty"`
		Rules                     []rule
	}
	family := func(f nftables.TableFamily) string {
		return map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyARP: "arp",
			nftables.TableFamilyNetdev: "netdev", nftables.TableFamilyBridge: "bridge"}[f]
	}
	var doc struct {
		Tables []string
		Chains []chain
	}
	for _, v := range tables {
		doc.Tables = append(doc.Tables, family(v.Family)+" "+v.Name)
	}
	for _, v := range chains {
		o := chain{Family: family(v.Table.Family), Table: v.Table.Name, Name: v.Name, Type: string(v.Type), Hook: v.Hooknum, Priority: v.Priority, Policy: v.Policy}
		rules, err := c.GetRules(v.Table, v)
		if err != nil {
			return fmt.Errorf("rules of %s: %w", v.Name, err)
		}
		for _, u := range rules {
			w := rule{Handle: u.Handle}
			for _, e := range u.Exprs {
				w.Expressions = append(w.Expressions, map[string]any{strings.TrimPrefix(fmt.Sprintf("%T", e), "*expr."): e})
			}
			o.Rules = append(o.Rules, w)
		}
		doc.Chains = append(doc.Chains, o)
	}
	raw, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return err
	}
	return t.Text("Firewall.netlink.json", "netlink: nf_tables", string(raw))
}

// shares lists what is shared with others and by others: SMB and NFS.
func (d *device) shares(t *Task, r *rootfs.Root) error {
	c := copying{links: rootfs.FollowLinks, most: small, clean: veiled}
	if err := d.copyAll(t, r, c, "etc/samba/smb.conf", "etc/exports", "etc/exports.d/*", "etc/auto.*", "etc/autofs.conf", "proc/fs/nfsd/exports", "proc/fs/nfsd/clients/*/info",
		"proc/fs/nfsfs/servers", "proc/fs/nfsfs/volumes", "proc/fs/cifs/DebugData", "proc/fs/cifs/open_files"); err != nil {
		return err
	}
	if len(r.Glob("run/samba/smbd.pid", rootfs.FollowLinks)) > 0 {
		if err := d.run(t, "SMBInboundSessions.txt", 4<<20, "smbstatus", "--fast"); err != nil && !errors.Is(err, ErrAbsent) {
			if full(err) {
				return err
			}
			t.Note(err, "smbstatus")
		}
	}
	tab, err := t.Table("SMBOutboundSessions.csv", "Type", "Share", "MountPoint", "Options")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, m := range r.Mounts() {
		if m.Remote() && m.Type != "autofs" {
			if err := tab.Row(m.Type, m.Source, m.Point, string(veiled([]byte(m.Options+","+m.Super)))); err != nil {
				return err
			}
		}
	}
	return tab.Close()
}
