package group

import (
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// Traits is what rules look at of a device. Texts are in any case.
type Traits struct {
	ID           ident.DeviceID
	Name         string // fully qualified where known
	Tags         []string
	Platform     string
	Distribution string
	Group        int64 // the one it is in
}

// traitsOf returns the traits of a device.
func traitsOf(d *device.Device) Traits {
	return Traits{ID: d.ID, Name: d.Name, Tags: d.Tags, Platform: d.Platform, Distribution: d.Inventory.Distribution, Group: d.Group}
}

// rules is a tenant's groups as devices are matched against them: lower-cased, by rank.
// It is immutable.
type rules struct {
	groups     []*Group // by rank, Default last
	generation int64
	matchers   []matcher
}

type matcher struct {
	id         int64
	conditions []Condition // of lower-case values
}

func compile(groups []*Group, generation int64) *rules {
	r := &rules{groups: groups, generation: generation}
	for _, g := range groups {
		if g.ID != Default && len(g.Rules) > 0 {
			r.matchers = append(r.matchers, compileOne(g))
		}
	}
	return r
}

func compileOne(g *Group) matcher {
	m := matcher{id: g.ID}
	for _, c := range g.Rules {
		low := Condition{Property: c.Property, Operator: c.Operator}
		for _, v := range c.Values {
			low.Values = append(low.Values, strings.ToLower(v))
		}
		m.conditions = append(m.conditions, low)
	}
	return m
}

// assign returns the group that a device belongs to.
func (r *rules) assign(t Traits) int64 {
	t = t.folded()
	for i := range r.matchers {
		if r.matchers[i].match(&t) {
			return r.matchers[i].id
		}
	}
	return Default
}

func (t Traits) folded() Traits {
	t.Name, t.Platform, t.Distribution = strings.ToLower(t.Name), strings.ToLower(t.Platform), strings.ToLower(t.Distribution)
	if len(t.Tags) > 0 {
		t.Tags = slices.Clone(t.Tags)
		for i, s := range t.Tags {
			t.Tags[i] = strings.ToLower(s)
		}
	}
	return t
}

// match reports whether all conditions hold for folded traits.
func (m *matcher) match(t *Traits) bool {
	for i := range m.conditions {
		if !m.conditions[i].holds(t) {
			return false
		}
	}
	return len(m.conditions) > 0
}

func (c *Condition) holds(t *Traits) bool {
	switch c.Property {
	case Name:
		label, _, _ := strings.Cut(t.Name, ".")
		return c.fits(t.Name) || c.fits(label)
	case Domain:
		_, domain, ok := strings.Cut(t.Name, ".")
		return ok && c.fits(domain)
	case Tag:
		return slices.ContainsFunc(t.Tags, c.fits)
	case OS:
		return c.fits(t.Platform) || c.fits(t.Distribution)
	}
	return false
}

func (c *Condition) fits(s string) bool {
	if s == "" {
		return false
	}
	return slices.ContainsFunc(c.Values, func(v string) bool {
		switch c.Operator {
		case StartsWith:
			return strings.HasPrefix(s, v)
		case EndsWith:
			return strings.HasSuffix(s, v)
		case Contains:
			return strings.Contains(s, v)
		case Equals, In:
			return s == v
		}
		return false
	})
}
