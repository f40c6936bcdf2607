package hunt

import (
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

// TestTooMuch tells a query that asks for too much from a quota that is used up.
func TestTooMuch(t *testing.T) {
	for name, c := range map[string]struct {
		err  *errs.E
		want errs.Kind
	}{
		"size":        {&errs.E{Kind: errs.Limited, Detail: "too large"}, errs.Invalid},
		"quota":       {&errs.E{Kind: errs.Limited, Code: errs.TooManyRequests, Detail: "quota"}, errs.Limited},
		"come back":   {&errs.E{Kind: errs.Limited, Retry: time.Second, Detail: "busy"}, errs.Limited},
		"time":        {&errs.E{Kind: errs.Timeout, Detail: "too long"}, errs.Timeout},
		"unavailable": {&errs.E{Kind: errs.Unavailable, Detail: "closing"}, errs.Unavailable},
	} {
		var e *errs.E
		err := tooMuch("hunt", errs.Wrap("store", c.err))
		if !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if e, _ = err.(*errs.E); e == nil || e.Detail != c.err.Detail {
			t.Errorf("%s: the detail is lost: %v", name, err)
		}
	}
}
