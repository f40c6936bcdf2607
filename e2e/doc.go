// Package e2e proves the product from outside: the real server, agent and command line, as
// a user starts them, against the real kernel. It has tests only.
//
// The tests need root, because sensors, network namespaces and logons do. They take their
// binaries from $VEDETTE_BIN, as `make e2e` sets it, or build them. Nothing of this host's
// own network, accounts or files is changed for longer than a test runs.
package e2e
