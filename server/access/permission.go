package access

import (
	"slices"
	"strings"
)

// Permissions returns every permission this server knows, in a fixed order.
func Permissions() []Permission {
	return []Permission{
		AlertRead, AlertReadWrite, MachineRead, MachineReadWrite, MachineIsolate, MachineCollect,
		MachineScan, MachineRestrict, MachineQuarantine, MachineOffboard, MachineLive,
		TIReadWriteOwn, TIReadWrite, AdvancedQueryRead, AdvancedHuntRead, ThreatHuntingRead,
		UserRead, FileRead, IPRead, URLRead, ServerAdmin, ServerHealthDetail,
	}
}

// Delegated returns the name of p as a delegated permission, in a token's scp claim.
func (p Permission) Delegated() string { return strings.TrimSuffix(string(p), ".All") }

// Known reports whether p is one of Permissions.
func (p Permission) Known() bool { return slices.Contains(Permissions(), p) }

// Role is a person's place in the team; it stands for a set of permissions.
type Role string

// The roles of people.
const (
	Admin Role = "admin" // everything
)

// Permissions returns what r permits; nothing for a role that is not known.
func (r Role) Permissions() []Permission {
	if r == Admin {
		return Permissions()
	}
	return nil
}

// scopes returns the delegated permissions that both the person and the application
// have: a person never gains through an application, nor an application through a person.
func scopes(p *Person, a *Application) []string {
	var out []string
	for _, r := range p.Roles {
		for _, perm := range r.Permissions() {
			if slices.Contains(a.Roles, string(perm)) && !slices.Contains(out, perm.Delegated()) {
				out = append(out, perm.Delegated())
			}
		}
	}
	return out
}
