// Package enforce keeps the indicators that this device is to enforce: it takes complete
// sets and differences by revision, keeps them across restarts, lets them expire, hands
// those of addresses and names to what blocks them, and answers what is wanted of a file.
//
// It does not fetch and does not judge who signed: package link does both. It does not
// block either: packages address, name and file do. Kinds that nothing on this device can
// enforce are kept all the same, and said to be missing in Facilities.
//
// The invariants: Revision names a set only when all of it that can be enforced here is in
// force; after a restart, what was in force is in force again before the server is asked;
// an indicator that has expired is not in force one second later. A set is a file of
// records of fixed width, sorted and memory-mapped (package-internal base), and the
// changes since, in a log and in memory (overlay). Start at Open and Set.Apply.
package enforce
