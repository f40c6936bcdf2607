package fleetsim_test

import "github.com/vedette-edr/vedette/server/device"

// bump makes the device's certificates ones of a former incarnation.
func bump(d *device.Device) error {
	d.Incarnation++
	return nil
}
