package fleetsim_test

import (
	"github.com/vedette-edr/vedette/e2e/fleetsim"
	"github.com/vedette-edr/vedette/server/device"
)

var allDevices device.Query

func bump(d *device.Device) error {
	d.Incarnation++
	return nil
}

func dirOf(f *fleetsim.Fleet) string { return f.Dir() }
