package access

import (
	"context"
	"slices"
)

// Scope is the devices a caller may see, and with them their alerts, actions, telemetry
// and incidents. The zero Scope sees nothing.
type Scope struct {
	All    bool    // every device: applications, the server's own parts, administrators
	Groups []int64 // device groups otherwise, sorted; 0 is the devices in no group
}

// Everything is the scope of a caller whom no device group restricts.
var Everything = Scope{All: true}

// Holds reports whether a device of the group is in the scope.
func (s Scope) Holds(group int64) bool {
	if s.All {
		return true
	}
	_, ok := slices.BinarySearch(s.Groups, group)
	return ok
}

// ScopeOf returns the scope of the context's principal. Services ask it at the one place
// where they read their store, so that no route can forget it; a context without a
// principal is the server's own work, which sees everything.
func ScopeOf(ctx context.Context) Scope {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	if !ok {
		return Everything
	}
	return p.Scope
}
