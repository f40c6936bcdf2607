package custom

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
)

// organizationalScope is Graph's security.organizationalScope: the device groups that a
// rule is confined to, by name.
type organizationalScope struct {
	Type  string   `json:"scopeType"`
	Names []string `json:"scopeNames"`
}

// maxScopeNames bounds the device groups that a rule may name.
const maxScopeNames = 100

// parseScope reads an organizationalScope. A scope that is not wholly understood is
// refused: a rule must not look further than its author said.
func parseScope(text string) (*organizationalScope, error) {
	const place = "detectionAction.organizationalScope"
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, bad("%s is no object", place)
	}
	for name := range raw {
		if name != "scopeType" && name != "scopeNames" && !strings.HasPrefix(name, "@odata.") {
			return nil, bad("%s.%.64s is not understood: it has scopeType and scopeNames", place, name)
		}
	}
	var out organizationalScope
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&out); err != nil {
		return nil, bad("%s: scopeType is text, and scopeNames an array of texts", place)
	}
	if !strings.EqualFold(out.Type, "deviceGroup") {
		return nil, bad("%s.scopeType %.64q is not offered, only deviceGroup", place, out.Type)
	}
	if len(out.Names) == 0 || len(out.Names) > maxScopeNames {
		return nil, bad("%s.scopeNames names between 1 and %d device groups", place, maxScopeNames)
	}
	return &out, nil
}

// confine makes r see what by sees, and of that only the device groups of its
// organizationalScope. The groups are kept by id, so that renaming one changes nothing.
func (s *Service) confine(ctx context.Context, r *Rule, by *access.Principal) error {
	r.Sees = by.Scope
	if r.Scope == "" {
		return nil
	}
	scope, err := parseScope(r.Scope)
	if err != nil {
		return err
	}
	if s.cfg.Groups == nil {
		return bad("detectionAction.organizationalScope.scopeNames: there is no device group %.64q", scope.Names[0])
	}
	_, ids, err := s.cfg.Groups.Resolve(ctx, by.Tenant, scope.Names, nil)
	if err != nil {
		return err
	}
	sees := access.Scope{}
	for _, text := range ids {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		if by.Scope.Holds(id) {
			sees.Groups = append(sees.Groups, id)
		}
	}
	slices.Sort(sees.Groups)
	r.Sees = sees
	return nil
}
