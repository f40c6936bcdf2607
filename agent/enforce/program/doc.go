// Package program is what programs that enforce at cgroups have in common in user space:
// loading them under names of their own, the table of rules that is swapped whole, putting
// them on a cgroup and off, and following what they report.
//
// It knows neither addresses nor names: packages address and name own the rules, their
// keys and the events. The invariants: a swap is one step, so that a program sees the old
// rules or the new ones; after a failed Attach nothing is attached.
// Start at Load, Table and Follow.
package program
