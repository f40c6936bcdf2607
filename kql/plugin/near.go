package plugin

import (
	"fmt"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/types"
)

// rowsNear keeps the rows around those of which the condition is true, in their order.
func rowsNear(c *Call, in, _ Rows, _ int) (Rows, error) {
	at := c.at("Condition")
	before := c.value("NumRows", types.Long)
	after := before
	if _, ok := c.arg("RowsAfter"); ok {
		after = c.value("RowsAfter", types.Long)
	}
	if before.Null || after.Null || before.I < 0 || after.I < 0 {
		return nil, fmt.Errorf("rows_near takes numbers of rows that are not negative")
	}
	n := int64(len(in))
	keep := make([]bool, n)
	until := int64(0) // rows before it are decided
	for i := range n {
		if !in[i][at].True() {
			continue
		}
		end := i + min(after.I, n-1-i)
		for j := max(until, i-min(before.I, i)); j <= end; j++ {
			keep[j] = true
		}
		until = max(until, end+1)
	}
	var out Rows
	for i, row := range in {
		if !keep[i] {
			continue
		}
		cells := append([]types.Value{}, row[:at]...)
		out = append(out, append(cells, row[at+1:]...))
	}
	return out, nil
}

func intersectShape(c *Call, _ Rows) ([]Column, error) {
	list := c.list("hll")
	if len(list) < 2 || len(list) > 16 {
		return nil, fmt.Errorf("dcount_intersect takes 2 to 16 columns of sketches")
	}
	var out []Column
	for i, a := range list {
		if t := c.In[a.At].Type; t != types.Dynamic {
			return nil, fmt.Errorf("dcount_intersect takes sketches as hll makes them, not a %s", t)
		}
		out = append(out, Column{fmt.Sprintf("s%d", i), types.Long})
	}
	return out, nil
}

func intersect(c *Call, in, _ Rows, _ int) (Rows, error) {
	list := c.list("hll")
	out := make(Rows, len(in))
	for i, row := range in {
		var sketches []types.Value
		for _, a := range list {
			sketches = append(sketches, row[a.At])
			out[i] = append(out[i], funcs.IntersectSketches(sketches))
		}
	}
	return out, nil
}
