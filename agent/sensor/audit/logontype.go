package audit

import (
	"path"
	"strings"
)

// The values of the LogonType column that a Linux device produces.
const (
	interactive       = "Interactive"
	remoteInteractive = "RemoteInteractive"
	network           = "Network"
	batch             = "Batch"
	service           = "Service"
	unlock            = "Unlock"
)

// family is the kind of program a message came from.
type family uint8

const (
	other family = iota
	sshd
	elevate  // takes on another account inside a session
	desktop  // remote desktop
	cron     // runs things at their time
	manager  // starts services and per-user managers
	locker   // unlocks a running session
	noLogon  // asks for a password without beginning a session
	terminal // text login
)

var families = map[string]family{
	"sshd": sshd, "sshd-session": sshd, "sshd-auth": sshd, "dropbear": sshd,
	"su": elevate, "sudo": elevate, "sudo-rs": elevate, "su-rs": elevate, "doas": elevate,
	"runuser": elevate, "pkexec": elevate, "run0": elevate,
	"xrdp-sesman": desktop, "gnome-remote-desktop-daemon": desktop, "Xvnc": desktop, "vncserver-virtual": desktop,
	"cron": cron, "crond": cron, "anacron": cron, "fcron": cron, "atd": cron,
	"systemd": manager, "systemd-executor": manager, "(sd-pam)": manager,
	"gnome-screensaver": locker, "kscreenlocker_greet": locker, "kcheckpass": locker, "i3lock": locker,
	"swaylock": locker, "xscreensaver": locker, "vlock": locker, "light-locker": locker, "xlock": locker,
	"passwd": noLogon, "chsh": noLogon, "chfn": noLogon, "chage": noLogon, "gpasswd": noLogon,
	"newgrp": noLogon, "useradd": noLogon, "usermod": noLogon, "userdel": noLogon, "groupadd": noLogon,
	"groupmod": noLogon, "groupdel": noLogon, "chpasswd": noLogon, "newusers": noLogon,
	"polkit-agent-helper-1": noLogon,
	"login":                 terminal,
}

// familyOf classes a program by its path.
func familyOf(exe string) family { return families[path.Base(exe)] }

// protocolOf names the way in: ssh, su, sudo, login, cron, or the program's own name.
func protocolOf(exe string) string {
	switch familyOf(exe) {
	case sshd:
		return "ssh"
	case desktop:
		return "rdp"
	}
	switch base := path.Base(exe); base {
	case ".", "/":
		return ""
	case "crond":
		return "cron"
	default:
		return base
	}
}

// isTTY reports whether a terminal of a message is a real one: /dev/pts/0, tty1, pts/3, :0.
// Programs also put words there (ssh, cron, sshd, su).
func isTTY(t string) bool {
	t = strings.TrimPrefix(t, "/dev/")
	return strings.HasPrefix(t, "tty") || strings.HasPrefix(t, "pts/") ||
		strings.HasPrefix(t, ":") || t == "console" || strings.HasPrefix(t, "hvc")
}

// logonType applies the table of the package comment. Remote says that the message names
// a peer.
func logonType(exe, term string, remote bool) string {
	f, tty := familyOf(exe), isTTY(term)
	switch {
	case f == locker:
		return unlock
	case f == cron:
		return batch
	case f == manager:
		return service
	case f == desktop, tty && (remote || f == sshd):
		return remoteInteractive
	case tty:
		return interactive
	case f == sshd, remote:
		return network
	case f == elevate:
		return batch
	case f == terminal:
		return interactive
	}
	return service
}
