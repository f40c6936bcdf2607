// Package group is the noun device group: which devices belong together, by rules over
// their name, domain, tags and operating system; who sees them; and how far automated
// remediation may go on them.
//
// A device is in one group: the highest-ranked one whose rules it matches, or the default
// one. The group of a device is kept with the device and not worked out when it is read:
// package device asks the Service whenever it changes a device, and when the groups
// change, the Service sorts all devices of the tenant anew in the background. The
// invariant: once a tenant counts as sorted, every device is in the group that the rules
// say, whatever happened meanwhile (sort.go). Start at Service.
package group

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Default is the group of the devices that no other one takes. It cannot be ranked,
// renamed or deleted, and has no rules.
const Default int64 = 0

// DefaultName is the published name of Default.
const DefaultName = "UnassignedGroup"

// Automation is how far automated remediation goes without a person's approval.
type Automation string

// The published automation levels.
const (
	Full        Automation = "Full"               // remediate threats automatically
	SemiAll     Automation = "SemiAllFolders"     // any remediation waits for approval
	SemiCore    Automation = "SemiCoreFolders"    // what lies in the folders of the system waits
	SemiNonTemp Automation = "SemiNonTempFolders" // what lies outside of temporary folders waits
	None        Automation = "None"               // no automated response, no live response
)

// Automations returns the five levels.
func Automations() []Automation { return []Automation{Full, SemiAll, SemiCore, SemiNonTemp, None} }

// Property is what a condition looks at.
type Property string

// The properties of matching rules.
const (
	Name   Property = "Name"   // of the device, fully qualified or its first label
	Domain Property = "Domain" // what follows the first label
	Tag    Property = "Tag"    // any of its tags
	OS     Property = "OS"     // platform or distribution
)

// Operator is how a condition compares; case counts in none of them.
type Operator string

// The operators of matching rules.
const (
	StartsWith Operator = "StartsWith"
	EndsWith   Operator = "EndsWith"
	Contains   Operator = "Contains"
	Equals     Operator = "Equals"
	In         Operator = "In" // equals one of a list
)

// Condition is one line of a group's rules: it holds when one of the values fits.
type Condition struct {
	Property Property
	Operator Operator
	Values   []string
}

// Access is who sees a group's devices: the members of the user groups and the holders of
// the roles. With neither, everybody does.
type Access struct {
	UserGroups []ident.UserGroupID
	Roles      []ident.RoleID
}

// Open reports whether everybody sees the group.
func (a Access) Open() bool { return len(a.UserGroups)+len(a.Roles) == 0 }

// Group is one device group of a tenant.
type Group struct {
	ID          int64 // rises and is never used again; Default's is 0
	Tenant      ident.TenantID
	Name        string
	Description string
	Automation  Automation
	Rules       []Condition // all of them must hold; none match no device
	Rank        int         // 1 is the highest; 0 for Default
	Access      Access
	Created     time.Time
	Updated     time.Time
}

// Bounds of groups, as published where published.
const (
	MaxGroups     = 1000
	maxConditions = 20
	maxValues     = 10  // of Name, Domain and Tag
	maxListed     = 100 // of OS, and of In
	maxValue      = 256 // characters
	maxName       = 256
	maxText       = 2000
	maxAccess     = 100
)

func invalid(format string, args ...any) error {
	return errs.New("group.check", errs.Invalid, errs.InvalidInput, format, args...)
}

// check validates g and trims its texts.
func (g *Group) check() error {
	g.Name = strings.TrimSpace(g.Name)
	switch {
	case g.Name == "" || utf8.RuneCountInString(g.Name) > maxName || !utf8.ValidString(g.Name) || strings.ContainsFunc(g.Name, unicode.IsControl):
		return invalid("name is empty, longer than %d characters, not UTF-8 or has control characters", maxName)
	case g.ID != Default && strings.EqualFold(g.Name, DefaultName):
		return invalid("name: %s is the default group's", DefaultName)
	case utf8.RuneCountInString(g.Description) > maxText || !utf8.ValidString(g.Description):
		return invalid("description is longer than %d characters or not UTF-8", maxText)
	case !slices.Contains(Automations(), g.Automation):
		return invalid("automationLevel is not one of %v", Automations())
	case len(g.Rules) > maxConditions:
		return invalid("rules: %d conditions, at most %d", len(g.Rules), maxConditions)
	case g.ID == Default && len(g.Rules) > 0:
		return invalid("rules: the default group has none")
	case len(g.Access.UserGroups) > maxAccess || len(g.Access.Roles) > maxAccess:
		return invalid("access: at most %d user groups and %d roles", maxAccess, maxAccess)
	}
	for i := range g.Rules {
		if err := g.Rules[i].check(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Condition) check(n int) error {
	if !slices.Contains([]Property{Name, Domain, Tag, OS}, c.Property) {
		return invalid("rules[%d].property: %q is not Name, Domain, Tag or OS", n, clip(string(c.Property)))
	}
	if !slices.Contains([]Operator{StartsWith, EndsWith, Contains, Equals, In}, c.Operator) {
		return invalid("rules[%d].operator: %q is not StartsWith, EndsWith, Contains, Equals or In", n, clip(string(c.Operator)))
	}
	if c.Property == OS && c.Operator != In && c.Operator != Equals {
		return invalid("rules[%d].operator: OS is compared with Equals or In", n)
	}
	most := maxValues
	if c.Property == OS || c.Operator == In {
		most = maxListed
	}
	if len(c.Values) == 0 || len(c.Values) > most {
		return invalid("rules[%d].values: %d of them, not between 1 and %d", n, len(c.Values), most)
	}
	for i, v := range c.Values {
		if v = strings.TrimSpace(v); v == "" || utf8.RuneCountInString(v) > maxValue || !utf8.ValidString(v) {
			return invalid("rules[%d].values[%d] is empty, longer than %d characters or not UTF-8", n, i, maxValue)
		}
		c.Values[i] = v
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Copy returns a copy that shares nothing with g.
func (g *Group) Copy() *Group {
	c := *g
	c.Rules = slices.Clone(g.Rules)
	for i := range c.Rules {
		c.Rules[i].Values = slices.Clone(c.Rules[i].Values)
	}
	c.Access.UserGroups, c.Access.Roles = slices.Clone(g.Access.UserGroups), slices.Clone(g.Access.Roles)
	return &c
}
