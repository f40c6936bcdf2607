//go:build !linux

package agent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/wire"
)

// errPlatform is what the agent answers where it has no sensors.
var errPlatform = errors.New("the agent runs on Linux only")

// platform cannot be made on this system; its methods are never called.
type platform struct{}

func newPlatform(context.Context, Config, func(context.Context) ([]netip.AddrPort, error), *uplink) (*platform, error) {
	return nil, errPlatform
}

func (*platform) host() machine                                             { return machine{} }
func (*platform) run(context.Context, sensor.Sink, func()) error            { return errPlatform }
func (*platform) facilities() []sensor.Facility                             { return nil }
func (*platform) ready() bool                                               { return false }
func (*platform) contained(context.Context)                                 {}
func (*platform) isolated() bool                                            { return false }
func (*platform) respond(context.Context, *wire.Command) link.Result        { return link.Result{} }
func (*platform) health(context.Context) link.Health                        { return link.Health{} }
func (*platform) sections(context.Context) []link.Section                   { return nil }
func (*platform) enforce(string, func() time.Time) (link.Indicators, error) { return nil, errPlatform }
func (*platform) endIsolation(context.Context) Released                     { return Released{} }
func (*platform) releasedByCode(time.Time)                                  {}
func (*platform) close()                                                    {}

// lockPatience is not used here.
const lockPatience = 0

func lock(context.Context, string, time.Duration) (func(), error) { return nil, errPlatform }

// Watchdog is never started here.
func Watchdog() error { return errPlatform }
