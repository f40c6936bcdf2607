// Package wire is the protocol between agent and server: its version and history, the
// batch of telemetry, the signed command, and the names both sides agree on.
//
// The messages themselves are generated (package wirepb) and travel by Connect RPC over
// HTTP/2 and mutual TLS. Here are the parts that need rules: EncodeBatch and DecodeBatch,
// which treat every frame as hostile; Sign and Verify for commands and indicator sets. The
// invariants: a frame that EncodeBatch made decodes for ever to the same events (wiretest
// holds recorded ones), and a batch is encoded once, so that sending it again sends the
// same bytes. The package does no input or output and does not log.
package wire

import (
	"strconv"
)

// Version is the protocol that this build speaks. Its history:
//
//	1  2026-11-21  first: enrolment, batches of format VDB1, heartbeat, watch, commands,
//	               results, indicator sets
//	   2026-11-22  progress of commands, and the wish to stop them: an older peer does
//	               without
//	   2026-11-22  upload and fetch of files, live sessions: an older peer refuses them
//
// A change that an older peer would misread takes the next number and a dated line here.
const Version = 1

// MinVersion is the oldest agent that the server still serves.
const MinVersion = 1

// The TLS server names that tell an agent's connections from all others on one port.
const (
	AgentName = "agent.vedette" // enrolled devices; a client certificate is required
	EnrolName = "enrol.vedette" // enrolment; no client certificate is asked for
)

// VersionHeader is the HTTP header in which each side states its Version.
const VersionHeader = "Vedette-Protocol"

// Bounds of single messages, in bytes.
const (
	MaxMessage   = 8 << 20   // any message
	MaxInventory = 256 << 10 // HeartbeatRequest.inventory
	MaxParams    = 256 << 10 // Command.params
	MaxEvidence  = 1 << 20   // Result.evidence
	MaxNumbers   = 16 << 10  // ReportProgressRequest.numbers
)

// ParseVersion reads the value of VersionHeader.
func ParseVersion(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0
}
