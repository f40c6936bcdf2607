// Package restrict lets a device run nothing but what is trusted, and everything again.
//
// Trusted is what the device's packages installed, under its name and with its content (package
// trust); files of listed digests and below listed directories; and a floor that no command
// takes away: the agent, the first process with what it loads, and whoever is needed to log in
// and to install packages. Package enforce/file asks about what is about to be executed, loaded
// or interpreted; this package answers, keeps the answer's grounds on disk, and proves by
// probes that it is heeded. What runs already goes on running.
//
// The invariants: nothing is restricted where no package database can be read, neither by a
// command nor after a restart; the state is on disk before it is in force, and is taken away
// after it is not; Verified is said only when a program that nobody knows was kept from
// running, by itself and by an interpreter, and a known one was not. Limits: who may install
// packages may run what they bring; content that reaches an interpreter by a pipe or as an
// argument (sh -c), or that a trusted script reads and runs without #! or a usual extension, is
// not told from data; while the agent is down the kernel asks nobody, and what began then
// goes on. Start at Restrictor.
package restrict
