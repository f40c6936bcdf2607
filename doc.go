// Package vedette is the root of the Vedette module: an open, self-hosted endpoint
// detection and response platform with orchestration built in.
//
// It holds no code. Start reading at README.md and ARCHITECTURE.md; the programs are
// under cmd, and the import law that arch_test.go checks is a table in ARCHITECTURE.md.
package vedette
