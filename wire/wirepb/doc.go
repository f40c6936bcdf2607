// Package wirepb is the generated form of the messages between agent and server, from
// the .proto files beside it.
//
// It holds no rules: package wire builds, checks and explains what goes into the
// messages. The generated files are committed, so that a build needs no protoc; after a
// change to a .proto run go generate here with the versions that generate.sh names.
package wirepb

//go:generate sh generate.sh
