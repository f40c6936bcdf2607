// Package persistence finds what starts a program again by itself (cron, systemd units,
// autostart entries, start-up scripts, shell profiles, ld.so.preload, udev rules), takes
// such entries away, and puts them back.
//
// It looks for entries that name a file; it does not judge the file, and knows nothing of
// entries that reach it in a roundabout way. A Change says what was taken away so fully
// that it can be undone byte for byte, as long as nobody changed the file since. The
// invariants: a file is replaced whole or not at all, with its owner, mode and attributes;
// a line that is part of a longer command is left and told rather than broken; names below
// a user's home are resolved without leaving it. Start at Finder.Find, Detach and Attach.
package persistence
