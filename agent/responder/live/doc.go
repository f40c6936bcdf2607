// Package live is live response on the device: the console of an interactive session, and
// the commands that the API sends in one go.
//
// It does not decide who may open a session or reads the library: the server does, and the
// level of a session comes signed. The invariants: what a session starts is in its control
// group and dies with it, whatever it does to hide (only a process that leaves the group by
// writing to the cgroup file system as root escapes); a path is looked up once, and what is
// judged is what is opened; a command that is not of the session's level is not run.
//
// Start at New; sessions are in session_linux.go, the commands that both ways share in
// command_linux.go.
package live
