// Package sensor says what a sensor of the agent is: something that watches the device
// and emits events until it is told to stop.
//
// The sensors themselves are the packages below this one, each named after the facility
// it watches with. A facility that the device lacks is never fatal: the sensor reports it
// in Facilities, with what would bring it, and works with what is left.
package sensor

import (
	"context"

	"github.com/vedette-edr/vedette/schema/event"
)

// Sink takes what a sensor observes. Its methods may be called from several goroutines
// and return quickly: a Sink that cannot keep up counts what it drops as a Gap itself.
type Sink interface {
	// Emit hands e over; neither the caller nor the Sink changes e or its parts afterwards.
	Emit(e *event.Event)
	// Lost reports telemetry that the sensor knows it missed.
	Lost(g event.Gap)
}

// Sensor is one source of events.
type Sensor interface {
	// Name is short and stable: it stands in gaps, health and logs.
	Name() string
	// Run watches until ctx ends, then releases everything it attached or opened and
	// returns nil. An error means that the sensor could not work at all.
	Run(ctx context.Context, sink Sink) error
	// Facilities reports what the sensor found when it started, and what changed since.
	// It may be called at any time from any goroutine.
	Facilities() []Facility
}

// State is how well a facility works on this device.
type State string

// The states of a facility.
const (
	Working  State = "working"
	Degraded State = "degraded" // works in part, or by a fallback
	Missing  State = "missing"
)

// Facility is one thing that a sensor needs of the device: a kernel program, a
// netlink group, a file.
type Facility struct {
	Name   string // e.g. bpf:exec, audit:readlog
	State  State
	Detail string // why it is not Working, in words for people; "" when it is
	Remedy string // what an operator can do about it; "" when nothing
}
