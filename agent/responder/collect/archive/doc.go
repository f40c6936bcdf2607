// Package archive writes an investigation package: a ZIP whose entries are the folders of
// what was collected, a summary of how each data point fared, and a manifest with the
// SHA-256 of every entry.
//
// What it is given comes from a device that may be an attacker's: names of entries are
// made harmless for every file system, cells of tables cannot become formulas or forge
// lines, and everything is bounded. It does not know what is collected, or how.
//
// The invariant: an entry is in the archive whole, with the hash that the manifest states,
// or is marked there as cut, with the reason. Start at Writer; Verify reads an archive back.
package archive
