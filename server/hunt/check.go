package hunt

import (
	"errors"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
)

// Checked is what can be told of a query without running it.
type Checked struct {
	Problems kql.Errors // nil for a sound query
	Columns  []Column   // of its result; nil when it is not sound
	// Render is the query's render operator as kind and properties, "" for none.
	Render     string
	Properties map[string]string
}

// Check compiles a query and runs nothing: columns that depend on rows, as of bag_unpack,
// are those that the text itself tells. An error is of the request, such as an empty text;
// what is wrong within the text is in the answer.
func (s *Service) Check(text string) (*Checked, error) {
	const op = "hunt.Check"
	if err := admissible(op, text); err != nil {
		return nil, err
	}
	q, err := kql.Compile(text, Catalog(), kql.Options{Now: event.Ticks(s.now())})
	var wrong kql.Errors
	if errors.As(err, &wrong) {
		return &Checked{Problems: wrong}, nil
	}
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	out := &Checked{}
	for _, c := range q.Columns {
		col := Column{Name: c.Name, Type: c.Type, JSON: c.JSONString}
		if c.JSONString {
			col.Type = types.Dynamic
		}
		out.Columns = append(out.Columns, col)
	}
	if q.Render != nil {
		out.Render, out.Properties = q.Render.Kind, q.Render.Props
	}
	return out, nil
}
