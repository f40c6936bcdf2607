// Package audit is the sensor of logons: sessions begun, ended and refused, from the
// messages that PAM, sshd, su, sudo, login and cron send to the kernel's audit system.
//
// It needs neither auditd nor systemd: it reads the multicast group READLOG. It turns audit
// on only when nobody owns it (no audit daemon and not enabled), never takes the daemon's
// place, adds no rule that records anything, and puts the state back when it stops. Where
// audit cannot be had, the utmp records of wtmp and btmp are followed instead and
// Facilities says so.
//
// One login yields several messages; one session yields one LogonSuccess. Table of types:
//
//	ssh with a terminal, remote desktops                    RemoteInteractive
//	ssh without a terminal, any program that names a peer   Network
//	login, su, sudo, display managers, with a terminal      Interactive
//	screen lockers                                          Unlock
//	cron, at; su, sudo, runuser without a terminal          Batch
//	systemd and whatever else opens a session               Service
//
// A session of ssh says only after its beginning whether it gets a terminal, so it is held
// until the terminal comes, the session ends, or the hold time is over; a terminal that
// comes later still yields a second LogonSuccess, RemoteInteractive, marked as an upgrade.
// sshd without PAM says nothing of sessions without a terminal: nor do we.
//
// Names and addresses in the messages are chosen by whoever knocks: start at record.go,
// which decodes them, then session.go, which makes logons of them.
package audit
