package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// system says what the device is.
func (d *device) system(t *Task, r *rootfs.Root) error {
	raw, err := json.MarshalIndent(d.Inventory.Collect(), "", " ")
	if err != nil {
		return err
	}
	if err := t.Text("Device.json", "the agent's inventory", string(raw)+"\n"); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Collected:    %s\nBooted:       %s\n", when(d.Now()), when(d.bootTime()))
	for _, v := range [][2]string{{"Host name", "proc/sys/kernel/hostname"}, {"Kernel", "proc/version"}, {"Command line", "proc/cmdline"}, {"Uptime (s)", "proc/uptime"}, {"Load", "proc/loadavg"},
		{"Boot id", "proc/sys/kernel/random/boot_id"}, {"Machine id", "etc/machine-id"}, {"Time zone", "etc/timezone"}, {"Vendor", "sys/class/dmi/id/sys_vendor"},
		{"Product", "sys/class/dmi/id/product_name"}, {"Board", "sys/class/dmi/id/board_name"}, {"Firmware", "sys/class/dmi/id/bios_version"}, {"Firmware date", "sys/class/dmi/id/bios_date"}} {
		if s := d.line(v[1]); s != "" {
			fmt.Fprintf(&b, "%-13s %s\n", v[0]+":", s)
		}
	}
	if to, err := r.Readlink("etc/localtime", rootfs.FollowLinks); err == nil {
		fmt.Fprintf(&b, "%-13s %s\n", "Local time:", to)
	}
	var use unix.Sysinfo_t
	if err := unix.Sysinfo(&use); err == nil {
		fmt.Fprintf(&b, "%-13s %d MiB, %d MiB free\n", "Memory:", uint64(use.Totalram)*uint64(use.Unit)>>20, uint64(use.Freeram)*uint64(use.Unit)>>20)
	}
	if err := t.Text("SystemInformation.txt", "", b.String()); err != nil {
		return err
	}
	return d.copyAll(t, r, copying{links: rootfs.FollowLinks, most: small}, "etc/os-release", "usr/lib/os-release", "etc/*-release", "etc/debian_version", "proc/cpuinfo", "proc/meminfo",
		"proc/devices", "proc/interrupts", "proc/iomem", "proc/swaps", "proc/filesystems", "proc/crypto", "etc/default/grub")
}

// mounts lists file systems and disks.
func (d *device) mounts(t *Task, r *rootfs.Root) error {
	tab, err := t.Table("Mounts.csv", "Id", "Parent", "Device", "MountPoint", "Type", "Source", "Root", "Options", "FileSystemOptions", "SizeBytes", "FreeBytes", "Files", "FreeFiles")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, m := range r.Mounts() {
		size, free, files, left := "", "", "", ""
		if !m.Remote() { // asking a server that is gone would hang
			var sf unix.Statfs_t
			if err := unix.Statfs(d.path(m.Point), &sf); err == nil && sf.Blocks > 0 {
				size, free = itoa(sf.Blocks*uint64(sf.Bsize)), itoa(sf.Bavail*uint64(sf.Bsize))
				files, left = itoa(sf.Files), itoa(sf.Ffree)
			}
		}
		if err := tab.Row(itoa(m.ID), itoa(m.Parent), m.Device, m.Point, m.Type, m.Source, m.Root, m.Options, string(veiled([]byte(m.Super))), size, free, files, left); err != nil {
			return err
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	disks, err := t.Table("Disks.csv", "Name", "Parent", "Bytes", "ReadOnly", "Removable", "Model", "Serial", "Mapper")
	if err != nil {
		return err
	}
	defer disks.end()
	names, _ := os.ReadDir(d.path("sys/class/block"))
	for _, n := range names {
		base := "sys/class/block/" + n.Name() + "/"
		parent := ""
		if d.line(base+"partition") != "" {
			if to, err := os.Readlink(d.path("sys/class/block/" + n.Name())); err == nil {
				parent = path.Base(path.Dir(to))
			}
		}
		sectors, _ := strconv.ParseUint(d.line(base+"size"), 10, 64)
		if err := disks.Row(n.Name(), parent, itoa(sectors*512), d.line(base+"ro"), d.line(base+"removable"), d.line(base+"device/model"), d.line(base+"device/serial"), d.line(base+"dm/name")); err != nil {
			return err
		}
	}
	if err := disks.Close(); err != nil {
		return err
	}
	return d.copyAll(t, r, copying{links: rootfs.FollowLinks, most: small, clean: veiled}, "etc/fstab", "etc/crypttab", "etc/mdadm/mdadm.conf", "proc/mdstat")
}

// security says which of the system's protections are on.
func (d *device) security(t *Task, r *rootfs.Root) error {
	var b strings.Builder
	say := func(name, value string) { fmt.Fprintf(&b, "%-28s %s\n", name+":", value) }
	first := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	say("Security modules", first(d.line("sys/kernel/security/lsm"), "not known"))
	switch d.line("sys/fs/selinux/enforce") {
	case "1":
		say("SELinux", "enforcing")
	case "0":
		say("SELinux", "permissive")
	default:
		say("SELinux", "off")
	}
	say("AppArmor", first(map[string]string{"Y": "on", "N": "off"}[d.line("sys/module/apparmor/parameters/enabled")], "not there"))
	say("Kernel lockdown", first(d.line("sys/kernel/security/lockdown"), "not there"))
	say("Secure boot", d.secureBoot(r))
	say("Firmware", map[bool]string{true: "UEFI", false: "BIOS or none"}[len(r.Glob("sys/firmware/efi", rootfs.NoLinks)) > 0])
	say("FIPS mode", first(d.line("proc/sys/crypto/fips_enabled"), "not there"))
	say("Module signatures enforced", first(d.line("sys/module/module/parameters/sig_enforce"), "not known"))
	for _, v := range []string{"kernel/randomize_va_space", "kernel/kptr_restrict", "kernel/dmesg_restrict", "kernel/yama/ptrace_scope", "kernel/unprivileged_bpf_disabled",
		"kernel/unprivileged_userns_clone", "user/max_user_namespaces", "kernel/modules_disabled", "kernel/kexec_load_disabled", "kernel/perf_event_paranoid", "kernel/core_pattern",
		"kernel/modprobe", "fs/protected_symlinks", "fs/protected_hardlinks", "fs/suid_dumpable", "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if s := d.line("proc/sys/" + v); s != "" {
			say(strings.ReplaceAll(v, "/", "."), s)
		}
	}
	names, _ := os.ReadDir(d.path("sys/devices/system/cpu/vulnerabilities"))
	for _, n := range names {
		say("CPU "+n.Name(), d.line("sys/devices/system/cpu/vulnerabilities/"+n.Name()))
	}
	if err := t.Text("SecurityState.txt", "", b.String()); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(d.Posture.Collect(), "", " ")
	if err == nil {
		err = t.Text("Posture.json", "the agent's checks", string(raw)+"\n")
	}
	if err != nil {
		return err
	}
	return errors.Join(d.sysctl(t, r), d.copyAll(t, r, copying{links: rootfs.FollowLinks, most: small, clean: veiled}, "sys/kernel/security/apparmor/profiles", "sys/kernel/security/ima/policy",
		"sys/kernel/security/ima/ascii_runtime_measurements", "etc/selinux/config", "etc/audit/auditd.conf", "etc/audit/audit.rules", "etc/audit/rules.d/*", "etc/sysctl.conf", "etc/sysctl.d/*",
		"etc/security/*.conf", "etc/login.defs", "etc/fail2ban/*.conf", "etc/fail2ban/*.local", "etc/crypto-policies/config"))
}

// secureBoot reads the firmware's variable: four bytes of attributes, then the value.
func (d *device) secureBoot(r *rootfs.Root) string {
	b, _, err := r.Read("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", rootfs.NoLinks, 16)
	switch {
	case err != nil || len(b) < 5:
		return "not known"
	case b[4] == 1:
		return "on"
	}
	return "off"
}

// sysctl lists the kernel's settings. The automount point below it is not gone to, and
// what is a secret is left out.
func (d *device) sysctl(t *Task, r *rootfs.Root) error {
	tab, err := t.Table("Sysctl.csv", "Name", "Value")
	if err != nil {
		return err
	}
	defer tab.end()
	err = r.Walk("proc/sys", rootfs.NoLinks, 12, func(f rootfs.Found) error {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(f.Path, "stable_secret") || f.Path == "proc/sys/fs/binfmt_misc" {
			return skip(f)
		}
		if !f.Stat.IsRegular() || f.Stat.Mode&0o444 == 0 {
			return nil
		}
		raw := d.read(f.Path, 16<<10)
		return tab.Row(strings.ReplaceAll(strings.TrimPrefix(f.Path, "proc/sys/"), "/", "."), strings.Join(strings.Fields(string(raw)), " "))
	})
	if err != nil && full(err) {
		return err
	}
	return tab.Close()
}
