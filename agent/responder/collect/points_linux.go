package collect

import (
	"cmp"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/inventory"
	"github.com/vedette-edr/vedette/agent/inventory/posture"
	"github.com/vedette-edr/vedette/agent/inventory/software"
	"github.com/vedette-edr/vedette/agent/passwd"
)

// Points are the data points of a Linux device. What is gone first is taken first; what is
// large comes last, where the package's limit cuts it.
func Points(d Device) []Point {
	d.Root = cmp.Or(d.Root, "/")
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Hashes == nil {
		d.Hashes = hash.NewPool(hash.Config{})
	}
	if d.Inventory == nil {
		d.Inventory = inventory.New(inventory.Config{Root: d.Root})
	}
	if d.Software == nil {
		d.Software = software.New(d.Root)
	}
	if d.Posture == nil {
		d.Posture = posture.New(posture.Config{Root: d.Root})
	}
	v := &device{Device: d, accounts: passwd.NewCache(d.Root)}
	const (
		network   = "Network connections"
		processes = "Processes"
		kernel    = "Kernel"
		system    = "System Information"
		users     = "Users and Groups"
		temp      = "Temp Directories"
		recent    = "Recent files"
		logs      = "Logs"
	)
	first := []Point{
		{Folder: processes, Name: "Processes", Source: "/proc/*/{stat,status,cmdline,exe,cgroup,ns}", Time: 4 * time.Minute, Take: v.processes},
		{Folder: network, Name: "Active connections", Source: "netlink: sock_diag; /proc/*/net", Time: 2 * time.Minute, Take: v.connections},
		{Folder: network, Name: "Local and packet sockets", Source: "/proc/net/{unix,packet}", Take: v.localSockets},
		{Folder: network, Name: "ARP and neighbours", Source: "netlink: RTM_GETNEIGH", Take: v.neighbours},
		{Folder: network, Name: "Routes", Source: "netlink: RTM_GETROUTE, RTM_GETRULE", Take: v.routes},
		{Folder: network, Name: "Interfaces and addresses", Source: "netlink: RTM_GETLINK, RTM_GETADDR", Take: v.interfaces},
		{Folder: network, Name: "DNS configuration and cache", Source: "/etc/resolv.conf and its kin; resolvectl", Take: v.with(v.resolving)},
		{Folder: network, Name: "Firewall", Source: "nft; iptables-save; netlink: nf_tables", Take: v.with(v.firewall)},
		{Folder: network, Name: "Proxy", Source: "/etc/environment, /etc/profile, ~/.bashrc and their kin", Take: v.with(v.proxies)},
		{Folder: recent, Name: "Programs run and files made, as the agent saw them", Source: "the agent's telemetry", Take: v.traces},
		{Folder: processes, Name: "Handles", Source: "/proc/*/fd", Time: 3 * time.Minute, Bytes: 128 << 20, Take: v.handles},
		{Folder: processes, Name: "Memory maps", Source: "/proc/*/maps", Time: 3 * time.Minute, Bytes: 256 << 20, Take: v.maps},
		{Folder: processes, Name: "Names of environment variables", Source: "/proc/*/environ", Take: v.environments},
		{Folder: users, Name: "Logons", Source: "/run/utmp /var/log/wtmp /var/log/btmp", Bytes: 256 << 20, Take: v.with(v.logons)},
		{Folder: users, Name: "Users and groups", Source: "/etc/passwd /etc/group /etc/shadow /etc/sudoers /var/log/lastlog", Take: v.with(v.users)},
		{Folder: users, Name: "SSH keys", Source: "~/.ssh /etc/ssh", Take: v.with(v.setKeys)},
		{Folder: kernel, Name: "Kernel modules", Source: "/proc/modules /sys/module", Take: v.kernelModules},
		{Folder: kernel, Name: "BPF programs", Source: "bpf(2)", Take: v.bpf},
		{Folder: kernel, Name: "Kernel probes", Source: "/sys/kernel/tracing", Take: v.with(v.tracing)},
		{Folder: kernel, Name: "Kernel messages", Source: "syslog(2)", Take: v.kernelLog},
		{Folder: "Services", Name: "Services", Source: "systemctl; /etc/init.d", Take: v.with(v.services)},
		{Folder: "Scheduled tasks", Name: "Scheduled tasks", Source: "/etc/crontab /etc/cron.d /var/spool/cron /var/spool/at systemd timers", Take: v.with(v.schedule)},
	}
	for _, a := range autoruns {
		first = append(first, v.autorunPoint(a))
	}
	return slices.Concat(first, []Point{
		{Folder: "Shell history", Name: "Shell history", Source: "~/.*_history and their kin", Bytes: 256 << 20, Take: v.with(v.history)},
		{Folder: "Installed programs", Name: "Installed programs", Source: "databases of dpkg, rpm, snap and flatpak", Take: v.programsInstalled},
		{Folder: "Containers", Name: "Containers", Source: "/proc/*/cgroup; files of docker, podman, containerd, lxc", Take: v.with(v.containers)},
		{Folder: system, Name: "System information", Source: "/proc /sys/class/dmi uname(2)", Take: v.with(v.system)},
		{Folder: system, Name: "Mounts and disks", Source: "/proc/self/mountinfo /sys/class/block", Take: v.with(v.mounts)},
		{Folder: system, Name: "Added certificates", Source: "/usr/local/share/ca-certificates /etc/pki/ca-trust", Take: v.with(v.certificates)},
		{Folder: "Security", Name: "Security state", Source: "/sys/kernel/security /proc/sys /etc/security", Take: v.with(v.security)},
		{Folder: "SMB and NFS sessions", Name: "SMB and NFS sessions", Source: "smbstatus; /proc/fs/nfsd /proc/fs/cifs /etc/exports", Take: v.with(v.shares)},
		{Folder: "Agent", Name: "Agent", Source: "the agent", Take: v.agentState},
		{Folder: temp, Name: "Temporary directories", Source: "/tmp /var/tmp /dev/shm /run/user ~/Downloads", Time: 3 * time.Minute, Take: v.with(v.temporaries)},
		{Folder: recent, Name: "Programs by last access", Source: "/usr/bin /usr/sbin and their kin", Take: v.with(v.prefetch)},
		{Folder: recent, Name: "Recently created files", Source: "local file systems", Time: 4 * time.Minute, Take: v.with(v.recent)},
		{Folder: logs, Name: "Journal", Source: "journalctl", Time: 3 * time.Minute, Bytes: 128 << 20, Take: v.with(v.journal)},
		{Folder: logs, Name: "Logs", Source: "/var/log", Time: 3 * time.Minute, Bytes: 512 << 20, Take: v.with(v.logs)},
	})
}
