package external

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// mapped says where a column's value is in a record: the path of a JSON record, the
// ordinal of one of fields. Both are -1 or nil for a column that nothing is mapped to.
type mapped struct {
	ordinal int
	path    []any // string or int
}

// mapping reads an ingestionMapping, one element for each column.
// Source: "Ingestion mappings" of Kusto's documentation.
func mapping(s string, cols []plan.Column) ([]mapped, error) {
	type rule struct {
		Column, Name string
		Path         string
		Ordinal      *int
		Properties   struct {
			Path    string
			Ordinal json.RawMessage
		}
	}
	var rules []rule
	if err := json.Unmarshal([]byte(s), &rules); err != nil {
		return nil, fmt.Errorf("ingestionMapping is no JSON array of mappings: %w", err)
	}
	out := make([]mapped, len(cols))
	for i := range out {
		out[i].ordinal = -1
	}
	for _, m := range rules {
		name := m.Column
		if name == "" {
			name = m.Name
		}
		at := -1
		for i, c := range cols {
			if c.Name == name {
				at = i
			}
		}
		if at < 0 {
			return nil, fmt.Errorf("ingestionMapping names the column %q, which is not declared", name)
		}
		if m.Ordinal != nil {
			out[at].ordinal = *m.Ordinal
		}
		if len(m.Properties.Ordinal) > 0 {
			n, err := strconv.Atoi(strings.Trim(string(m.Properties.Ordinal), `"`))
			if err != nil {
				return nil, fmt.Errorf("ingestionMapping: the ordinal of %s is no number", name)
			}
			out[at].ordinal = n
		}
		p := m.Path
		if m.Properties.Path != "" {
			p = m.Properties.Path
		}
		if p != "" {
			steps, err := jsonPath(p)
			if err != nil {
				return nil, fmt.Errorf("ingestionMapping: the path %q of %s: %w", p, name, err)
			}
			out[at].path = steps
		}
	}
	return out, nil
}

// jsonPath reads $.a['b'][0].
func jsonPath(s string) ([]any, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, errors.New("a path begins with $")
	}
	steps := []any{}
	for rest != "" {
		switch {
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			steps, rest = append(steps, rest[1:1+end]), rest[1+end:]
		case strings.HasPrefix(rest, "['"):
			end := strings.Index(rest, "']")
			if end < 0 {
				return nil, errors.New("a bracket is not closed")
			}
			steps, rest = append(steps, rest[2:end]), rest[end+2:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, errors.New("a bracket is not closed")
			}
			n, err := strconv.Atoi(rest[1:end])
			if err != nil || n < 0 {
				return nil, fmt.Errorf("%q is no index", rest[1:end])
			}
			steps, rest = append(steps, n), rest[end+1:]
		default:
			return nil, errors.New("a member begins with a dot")
		}
	}
	return steps, nil
}

// walk answers what is at the path, nil for nothing.
func (m mapped) walk(v any) any {
	if m.path == nil {
		return nil
	}
	for _, step := range m.path {
		switch x := v.(type) {
		case *types.Bag:
			key, ok := step.(string)
			if !ok {
				return nil
			}
			v, _ = x.Get(key)
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}
