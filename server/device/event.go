package device

import "github.com/vedette-edr/vedette/server/ident"

// Moved says that devices of a tenant are in another group than before. The slice is
// shared and must not be changed.
type Moved struct {
	Tenant  ident.TenantID
	Devices []ident.DeviceID
}

// Grouper decides the group of a device.
type Grouper interface {
	// GroupOf returns the group that a device belongs to as it is now. It is called inside
	// transactions: it waits for nothing and asks no store.
	GroupOf(d *Device) int64
}
