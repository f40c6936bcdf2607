package collect

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// autorun is one way in which Linux starts something by itself.
type autorun struct {
	name   string
	system []string // patterns below the root, of files that only the system's owner may write
	users  []string // patterns below the directory of each user
	binary bool     // the files are programs: they are listed with their digests, not copied
}

// autoruns are the known ways. A path that some distributions lack costs nothing.
var autoruns = []autorun{
	{name: "systemd", system: []string{"etc/systemd/system/**", "etc/systemd/user/**", "run/systemd/system/**", "run/systemd/user/**", "run/systemd/transient/**", "run/systemd/generator*/**",
		"usr/lib/systemd/system/**", "usr/lib/systemd/user/**", "lib/systemd/system/**", "usr/local/lib/systemd/**", "etc/environment.d/*", "usr/lib/environment.d/*"},
		users: []string{".config/systemd/user/**", ".local/share/systemd/user/**", ".config/environment.d/*"}},
	{name: "systemd generators", binary: true, system: []string{"etc/systemd/*-generators/*", "run/systemd/*-generators/*", "usr/lib/systemd/*-generators/*", "usr/local/lib/systemd/*-generators/*",
		"usr/lib/systemd/system-sleep/*", "usr/lib/systemd/system-shutdown/*"}},
	{name: "init", system: []string{"etc/rc.local", "etc/rc.d/**", "etc/rc?.d/*", "etc/init.d/*", "etc/init/*", "etc/inittab", "etc/runlevels/**", "etc/conf.d/*", "etc/sv/**", "etc/service/**",
		"etc/runit/*", "etc/s6/**", "etc/local.d/*", "etc/xinetd.conf", "etc/xinetd.d/*", "etc/inetd.conf", "etc/supervisor/**", "etc/supervisord.conf", "etc/monit/**", "etc/incron.d/*", "var/spool/incron/*"}},
	{name: "cron", system: []string{"etc/crontab", "etc/anacrontab", "etc/cron.d/*", "etc/cron.*ly/*", "etc/cron.allow", "etc/cron.deny", "var/spool/cron/**", "var/spool/anacron/*"}},
	{name: "at", system: []string{"var/spool/at/**", "var/spool/cron/atjobs/*", "etc/at.allow", "etc/at.deny"}},
	{name: "shell", system: []string{"etc/profile", "etc/profile.d/*", "etc/bash.bashrc", "etc/bashrc", "etc/bash.bash_logout", "etc/bash_completion.d/*", "etc/zsh/*", "etc/zshenv", "etc/zshrc", "etc/zprofile",
		"etc/csh.*", "etc/fish/**", "etc/ksh.kshrc", "etc/environment", "etc/skel/**"},
		users: []string{".profile", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".login",
			".logout", ".inputrc", ".config/fish/**", ".pam_environment", ".config/environment.d/*"}},
	{name: "desktop", system: []string{"etc/xdg/autostart/*", "usr/share/autostart/*", "usr/share/gnome/autostart/*", "etc/X11/Xsession.d/*", "etc/X11/xinit/**", "etc/lightdm/**", "etc/gdm*/**", "usr/share/xsessions/*", "usr/share/wayland-sessions/*"},
		users: []string{".config/autostart/*", ".config/autostart-scripts/*", ".config/plasma-workspace/**", ".xinitrc", ".xsession", ".xsessionrc", ".xprofile", ".Xresources", ".config/openbox/*", ".config/i3/*", ".config/sway/*",
			".local/share/applications/*.desktop"}},
	{name: "loader", system: []string{"etc/ld.so.preload", "etc/ld.so.conf", "etc/ld.so.conf.d/*"}},
	{name: "udev", system: []string{"etc/udev/**", "run/udev/rules.d/*", "usr/lib/udev/rules.d/*", "lib/udev/rules.d/*"}},
	{name: "kernel modules", system: []string{"etc/modules", "etc/modules-load.d/*", "run/modules-load.d/*", "usr/lib/modules-load.d/*", "etc/modprobe.d/*", "run/modprobe.d/*", "usr/lib/modprobe.d/*", "etc/dkms/*",
		"etc/initramfs-tools/**", "etc/dracut.conf", "etc/dracut.conf.d/*", "etc/mkinitcpio.conf", "etc/binfmt.d/*", "usr/lib/binfmt.d/*", "proc/sys/fs/binfmt_misc/*"}},
	{name: "kernel helpers", system: []string{"proc/sys/kernel/core_pattern", "proc/sys/kernel/modprobe", "proc/sys/kernel/hotplug", "proc/sys/kernel/poweroff_cmd", "sys/kernel/uevent_helper", "sys/fs/cgroup/*/release_agent"}},
	{name: "boot loader", system: []string{"etc/default/grub", "etc/default/grub.d/*", "etc/grub.d/*", "boot/grub*/grub.cfg", "boot/loader/entries/*", "boot/loader/loader.conf", "etc/kernel/**"}},
	{name: "PAM", system: []string{"etc/pam.d/*", "etc/pam.conf", "etc/security/pam_env.conf", "etc/security/namespace.init", "usr/lib/pam.d/*"}},
	{name: "PAM modules", binary: true, system: []string{"lib/security/*", "lib64/security/*", "lib/*/security/*", "usr/lib/security/*", "usr/lib64/security/*", "usr/lib/*/security/*"}},
	{name: "ssh", system: []string{"etc/ssh/sshd_config", "etc/ssh/sshd_config.d/*", "etc/ssh/ssh_config", "etc/ssh/ssh_config.d/*", "etc/ssh/sshrc", "etc/ssh/authorized_keys*/*", "etc/ssh/*.pub"},
		users: []string{".ssh/authorized_keys*", ".ssh/rc", ".ssh/environment", ".ssh/config", ".ssh/known_hosts", ".ssh/*.pub"}},
	{name: "sudo", system: []string{"etc/sudoers", "etc/sudoers.d/*", "etc/sudo.conf", "etc/doas.conf", "etc/doas.d/*", "etc/polkit-1/**", "usr/share/polkit-1/rules.d/*"}},
	{name: "dbus", system: []string{"usr/share/dbus-1/system-services/*", "usr/share/dbus-1/services/*", "usr/share/dbus-1/system.d/*", "usr/local/share/dbus-1/**", "etc/dbus-1/**"}, users: []string{".local/share/dbus-1/services/*"}},
	{name: "package managers", system: []string{"etc/apt/apt.conf", "etc/apt/apt.conf.d/*", "etc/apt/sources.list", "etc/apt/sources.list.d/*", "etc/apt/preferences.d/*", "etc/apt/listchanges.conf", "etc/dpkg/dpkg.cfg", "etc/dpkg/dpkg.cfg.d/*",
		"etc/yum.conf", "etc/yum/**", "etc/yum.repos.d/*", "etc/dnf/**", "etc/zypp/**", "etc/pacman.conf", "etc/pacman.d/hooks/*", "etc/kernel/*.d/*", "etc/rpm/*"}},
	{name: "network", system: []string{"etc/network/**", "etc/NetworkManager/dispatcher.d/**", "usr/lib/NetworkManager/dispatcher.d/**", "etc/networkd-dispatcher/**", "etc/dhcp/**", "etc/ppp/ip-*.d/*", "etc/ppp/ip-up", "etc/openvpn/*.conf", "etc/wpa_supplicant/*.sh"}},
	{name: "login", system: []string{"etc/update-motd.d/*", "etc/motd", "etc/issue", "etc/issue.net", "etc/shells", "etc/acpi/**", "etc/pm/**", "etc/logrotate.conf", "etc/logrotate.d/*", "etc/rsyslog.conf", "etc/rsyslog.d/*"}},
	{name: "mail", system: []string{"etc/aliases", "etc/procmailrc"}, users: []string{".forward", ".procmailrc"}},
	{name: "interpreters", system: []string{"usr/lib/python3*/sitecustomize.py", "etc/python3*/sitecustomize.py", "usr/lib/python3/dist-packages/*.pth", "usr/lib/python3*/site-packages/*.pth", "usr/local/lib/python3*/*-packages/*.pth",
		"usr/local/lib/python3*/*-packages/sitecustomize.py", "usr/local/lib/python3*/*-packages/usercustomize.py", "etc/perl/*.pl", "etc/php/*/*/conf.d/*", "etc/php.ini", "etc/vim/vimrc*", "etc/emacs/site-start.d/*"},
		users: []string{".local/lib/python3*/site-packages/*.pth", ".local/lib/python3*/site-packages/*customize.py", ".pythonrc", ".vimrc", ".vim/plugin/*", ".emacs", ".emacs.d/init.el", ".gdbinit", ".perldb", ".irbrc", ".Rprofile"}},
}

// maxAutorun is how much is copied of one file, in bytes.
const maxAutorun = 1 << 20

// autorunPoint takes one way: a table with every file, and copies of those that are texts.
func (d *device) autorunPoint(a autorun) Point {
	return Point{Folder: "Autoruns", Name: "Autoruns: " + a.name, Source: sources(a), Take: d.with(func(t *Task, r *rootfs.Root) error {
		list := &listing{device: d, t: t, root: r, autorun: a, seen: map[string]bool{}}
		for _, p := range a.system {
			if err := list.pattern(p, rootfs.FollowLinks, ""); err != nil {
				return err
			}
		}
		if len(a.users) > 0 {
			for _, h := range d.homes(t, r) {
				for _, p := range a.users {
					if err := list.pattern(h.dir+"/"+p, rootfs.NoLinks, h.user); err != nil {
						return err
					}
				}
			}
		}
		return list.close()
	})}
}

func sources(a autorun) string {
	var out []string
	for _, p := range a.system {
		out = append(out, "/"+p)
	}
	for _, p := range a.users {
		out = append(out, "~/"+p)
	}
	return strings.Join(out, " ")
}

// listing is the table of one way.
type listing struct {
	*device
	t       *Task
	root    *rootfs.Root
	autorun autorun
	seen    map[string]bool // by device and inode: /lib may be /usr/lib
	tab     *Table
}

// fileColumns describe a file in tables; fileCells fills them.
var fileColumns = []string{"Path", "Type", "Size", "Mode", "Owner", "Group", "Modified", "Changed", "Created", "Accessed", "LinkTarget"}

func (d *device) fileCells(name string, st rootfs.Stat, link string) []string {
	size := ""
	if st.IsRegular() {
		size = itoa(st.Size)
	}
	return []string{"/" + strings.TrimPrefix(name, "/"), st.Type(), size, st.Perm(), d.user(st.UID), d.group(st.GID), when(st.Modified), when(st.Changed), when(st.Born), when(st.Accessed), link}
}

func (l *listing) pattern(pattern string, links rootfs.Links, user string) error {
	for _, name := range l.root.Glob(pattern, links) {
		if err := l.t.ctx.Err(); err != nil {
			return err
		}
		if err := l.file(name, links, user); err != nil {
			return err
		}
	}
	return nil
}

func (l *listing) file(name string, links rootfs.Links, user string) error {
	st, err := l.root.Lstat(name, links)
	if err != nil || st.IsDir() {
		return nil // gone, or no file
	}
	id := itoa(st.Dev) + " " + itoa(st.Ino)
	if l.seen[id] {
		return nil
	}
	l.seen[id] = true
	if l.tab == nil {
		if l.tab, err = l.t.Table(strings.ReplaceAll(l.autorun.name, " ", "-")+".csv", slices.Concat(fileColumns, []string{"User", "SHA256", "Starts", "Copy"})...); err != nil {
			return err
		}
	}
	link := ""
	if st.IsLink() {
		if link, err = l.root.Readlink(name, links); err != nil {
			link = ""
		}
	}
	sum, starts, kept := "", "", ""
	f, opened, err := l.root.Open(name, links)
	switch {
	case err == nil:
		defer f.Close()
		s, why := l.digest(l.t, f)
		sum = s.SHA256
		if why != "" {
			sum = "(" + why + ")"
		}
		if l.autorun.binary {
			break
		}
		head := make([]byte, 64<<10)
		n, _ := f.ReadAt(head, 0)
		if private(name, head[:n]) {
			kept = "left out: a secret"
			break
		}
		starts = started(head[:n])
		if strings.HasPrefix(string(head[:n]), "\x7fELF") {
			kept = "left out: a program"
			break
		}
		kept = "yes"
		if err := copyFile(l.t, f, path.Join(l.autorun.name, name), name, opened, copying{most: maxAutorun, clean: cleaner(name)}); err != nil {
			if full(err) {
				return err
			}
			kept = code(err)
		}
	case links == rootfs.NoLinks && st.IsLink():
		kept = "left out: a user's link is not followed"
	case errors.Is(err, rootfs.ErrNotRegular), errors.Is(err, fs.ErrNotExist):
	default:
		kept = code(err)
		l.missed(l.t, name, err)
	}
	return l.tab.Row(slices.Concat(l.fileCells(name, st, link), []string{user, sum, starts, kept})...)
}

func (l *listing) close() error {
	if l.tab == nil {
		return ErrAbsent
	}
	return l.tab.Close()
}

// cleaner is what takes secrets out of a file, nil for files that hold none.
func cleaner(name string) func([]byte) []byte {
	for _, part := range []string{"etc/apt/", "etc/yum", "etc/dnf", "etc/zypp", "etc/network/", "etc/ppp/", "etc/openvpn", "etc/environment", "environment.d/", "etc/rsyslog", "etc/supervisor", ".curlrc", "etc/php"} {
		if strings.Contains(name, part) {
			return veiled
		}
	}
	return nil
}

// private reports whether a file holds a secret and nothing else.
func private(name string, head []byte) bool {
	base := path.Base(name)
	return strings.Contains(string(head), "PRIVATE KEY-----") || strings.HasPrefix(base, "ssh_host_") && !strings.HasSuffix(base, ".pub")
}

// started is what a unit, a desktop entry or a rule starts: the values of its keys.
func started(text []byte) string {
	var out []string
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		switch name = strings.TrimSpace(name); {
		case strings.HasPrefix(name, "Exec") && name != "ExecSearchPath", name == "TryExec", name == "RUN+", strings.HasSuffix(name, "RUN+"):
			out = append(out, strings.TrimSpace(value))
		}
		if len(out) == 16 {
			break
		}
	}
	return strings.Join(out, " | ")
}

// setKeys lists the keys that let users in, by the fingerprints that their owners know.
func (d *device) setKeys(t *Task, r *rootfs.Root) error {
	tab, err := t.Table("SshKeys.csv", "User", "Path", "Line", "Kind", "Type", "Fingerprint", "Comment", "Options")
	if err != nil {
		return err
	}
	defer tab.end()
	var paths [][2]string
	for _, h := range d.homes(t, r) {
		for _, name := range r.Glob(h.dir+"/.ssh/*", rootfs.NoLinks) {
			paths = append(paths, [2]string{h.user, name})
		}
	}
	for _, name := range r.Glob("etc/ssh/*", rootfs.FollowLinks) {
		paths = append(paths, [2]string{"", name})
	}
	for _, p := range paths {
		b, more, err := r.Read(p[1], rootfs.NoLinks, maxAutorun)
		if err != nil {
			continue // a directory, a socket of an agent, a link
		}
		if more {
			tab.Cut("/%s: only the first MiB", p[1])
		}
		for _, k := range sshKeys(path.Base(p[1]), string(b)) {
			if err := tab.Row(p[0], "/"+p[1], itoa(k.line), k.kind, k.algorithm, k.fingerprint, k.comment, k.options); err != nil {
				return err
			}
		}
	}
	return tab.Close()
}

// history copies what users typed: the end of each file.
func (d *device) history(t *Task, r *rootfs.Root) error {
	found := false
	for _, h := range d.homes(t, r) {
		for _, p := range []string{".*_history", ".history", ".local/share/fish/fish_history", ".zhistory", ".histfile", ".lesshst", ".viminfo", ".config/powershell/PSReadLine/*.txt",
			".local/share/powershell/PSReadLine/*.txt", ".sh_history"} {
			for _, name := range r.Glob(h.dir+"/"+p, rootfs.NoLinks) {
				if err := t.ctx.Err(); err != nil {
					return err
				}
				err := d.copy(t, r, name, copying{most: 2 << 20, tail: true})
				switch {
				case err == nil:
					found = true
				case full(err):
					return err
				default:
					if to, lerr := r.Readlink(name, rootfs.NoLinks); lerr == nil {
						// A history that leads to /dev/null is a finding by itself.
						err = t.Text(name+".link.txt", "/"+name, "a symbolic link to "+archive.Cell(to)+"\n")
						if err != nil {
							return err
						}
						found = true
						continue
					}
					d.missed(t, name, err)
				}
			}
		}
	}
	if !found {
		return ErrAbsent
	}
	return nil
}
