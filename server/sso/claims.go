package sso

import (
	"encoding/json"
	"slices"
	"strings"
)

// claims is what a provider says of somebody, by name.
type claims map[string]json.RawMessage

// Bounds of what is read of a claim, in bytes and members.
const (
	maxClaim  = 512
	maxGroups = 5000
)

// find returns a claim by its name, or by its path with dots where no claim is called so:
// realm_access.roles is a member of an object.
func (c claims) find(name string) json.RawMessage {
	if v, ok := c[name]; ok {
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	var inner claims
	if json.Unmarshal(c[first], &inner) != nil {
		return nil
	}
	return inner.find(rest)
}

// text returns a claim that is a text, "" for one that is none or too long.
func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c.find(name), &s) != nil || len(s) > maxClaim || !proper(s) {
		return ""
	}
	return strings.TrimSpace(s)
}

// is reports whether a claim is there and is the boolean, which some providers write as
// text.
func (c claims) is(name string, want bool) bool {
	var b bool
	raw := c.find(name)
	if json.Unmarshal(raw, &b) == nil && len(raw) > 0 {
		return b == want
	}
	return c.text(name) == map[bool]string{true: "true", false: "false"}[want]
}

// list returns a claim of texts, or of one text; nil when there is none.
func (c claims) list(name string) []string {
	raw := c.find(name)
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		one := c.text(name)
		if one == "" {
			return nil
		}
		many = []string{one}
	}
	if many == nil {
		return nil
	}
	many = slices.DeleteFunc(many, func(s string) bool { return s == "" || len(s) > maxClaim })
	return many[:min(len(many), maxGroups)]
}

// elsewhere reports whether a claim is said to be somewhere else than in the token (OpenID
// Connect Core §5.6.2), as Entra ID does with groups that are too many.
func (c claims) elsewhere(name string) bool {
	var names map[string]string
	if json.Unmarshal(c["_claim_names"], &names) != nil {
		return false
	}
	_, ok := names[name]
	return ok
}
