// Package message shows the users of a device what its administrators have to say: on
// desktops, on terminals, and to whoever logs on next.
//
// A desktop is reached over its session bus, as the user whose bus it is (Desktop
// Notifications Specification); a terminal by writing to it, as wall(1) does; who logs on
// later by a fragment of the message of the day (pam_motd(8)), for a day. The invariants: the
// evidence names each place with what became of it, and Verified is said only when a desktop
// has taken the message, a terminal was written to, or, with nobody logged on, the fragment
// stands; nothing that a user controls, a bus above all, is waited for longer than seconds,
// believed to be somebody else's, or spoken to as root. Start at Handler.
package message
