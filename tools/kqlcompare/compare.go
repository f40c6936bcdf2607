package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/catalog"
)

// Summary is the outcome of a comparison.
type Summary struct {
	Valid    int // queries that Kusto's parser accepts
	Accepted int // of those, the ones that we accept
	Same     int // of those, the ones with the same columns
	Invalid  int // queries that it refuses
	Refused  int // of those, the ones that we refuse
	Broken   int // queries on which it fails
	// ValidTexts are the queries that Kusto's parser accepts.
	ValidTexts []string
	// Differences are the queries that are judged otherwise, in order.
	Differences []Difference
}

// Difference is one query that is judged otherwise.
type Difference struct {
	At     int // index of the query
	Text   string
	Kind   string // refused, columns, accepted or panic
	Detail string
}

// Enough reports whether 99 % of the valid queries are accepted and 98 % of those have the
// same columns.
func (s Summary) Enough() bool {
	return 100*s.Accepted >= 99*s.Valid && 100*s.Same >= 98*s.Accepted && s.Count("panic") == 0
}

// Count answers the number of differences of a kind.
func (s Summary) Count(kind string) int {
	n := 0
	for _, d := range s.Differences {
		if d.Kind == kind {
			n++
		}
	}
	return n
}

func (s Summary) String() string {
	return fmt.Sprintf("%d of %d valid queries accepted, %d with the same columns; %d of %d invalid ones refused; %d not judged",
		s.Accepted, s.Valid, s.Same, s.Refused, s.Invalid, s.Broken)
}

// alias is a name that our tables answer to beside the published one.
var alias = regexp.MustCompile(`\bTimeGenerated\b`)

// Compare judges texts by both.
func Compare(ctx context.Context, j Judge, texts []string) (Summary, error) {
	var s Summary
	read := make([]string, len(texts))
	for i, t := range texts {
		read[i] = alias.ReplaceAllString(t, "Timestamp")
	}
	verdicts, err := j.Queries(ctx, read)
	if err != nil {
		return s, err
	}
	now := types.FromTime(time.Now())
	for i, v := range verdicts {
		cols, err := ours(read[i], now)
		add := func(kind, detail string) {
			s.Differences = append(s.Differences, Difference{i, texts[i], kind, detail})
		}
		if err != nil && strings.HasPrefix(err.Error(), "panic: ") {
			add("panic", err.Error())
			continue
		}
		switch {
		case v.Broken != "":
			s.Broken++
		case !v.Valid:
			s.Invalid++
			if err != nil {
				s.Refused++
			} else {
				add("accepted", v.Errors[0].Message)
			}
		case err != nil:
			s.Valid++
			s.ValidTexts = append(s.ValidTexts, texts[i])
			add("refused", err.Error())
		default:
			s.Valid++
			s.ValidTexts = append(s.ValidTexts, texts[i])
			s.Accepted++
			if d := differ(cols, v); d != "" {
				add("columns", d)
			} else {
				s.Same++
			}
		}
	}
	return s, nil
}

// ours answers the columns that we see.
func ours(text string, now int64) (cols [][2]string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	q, err := kql.Compile(text, catalog.Tables(), kql.Options{Now: now})
	if err != nil {
		return nil, err
	}
	for _, c := range q.Columns {
		t := c.Type
		if c.JSONString {
			t = types.Dynamic
		}
		cols = append(cols, [2]string{c.Name, t.String()})
	}
	return cols, nil
}

// differ says where columns differ, "" when they do not. A column that Kusto's parser
// cannot type, behind bag_unpack for example, may have any type.
// Where it knows no column at all, behind pivot for example, there is nothing to compare.
func differ(mine [][2]string, v Verdict) string {
	theirs := v.Columns
	if len(theirs) == 0 {
		return ""
	}
	for i, c := range theirs {
		if i >= len(mine) {
			return fmt.Sprintf("column %d is missing, Kusto's is %s:%s", i+1, c[0], c[1])
		}
		if mine[i][0] != c[0] || mine[i][1] != c[1] && c[1] != "unknown" {
			return fmt.Sprintf("column %d is %s:%s, Kusto's is %s:%s", i+1, mine[i][0], mine[i][1], c[0], c[1])
		}
	}
	if len(mine) > len(theirs) && !v.Open {
		return fmt.Sprintf("column %d is %s, Kusto has none", len(theirs)+1, mine[len(theirs)][0])
	}
	return ""
}
