// Package graphclient runs Microsoft's own Go SDK for Graph against a server and an agent:
// what this project believes about Graph's shapes is held against what somebody else's
// generated code reads and sends.
//
// It is a module of its own, because the SDK takes minutes to build; `make e2e-graph` runs
// it.
package graphclient
