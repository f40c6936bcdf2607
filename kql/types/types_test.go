package types

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTimespanAndDatetimeTextsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-1<<61, 1<<61).Draw(t, "ticks")
		if got, ok := ParseTimespan(FormatTimespan(n)); !ok || got != n {
			t.Fatalf("%d prints as %s, which reads as %d", n, FormatTimespan(n), got)
		}
		d := rapid.Int64Range(0, MaxDatetime).Draw(t, "datetime")
		for _, s := range []string{FormatDatetime(d), FormatDatetimeJSON(d)} {
			if got, ok := ParseDatetime(s); !ok || got != d {
				t.Fatalf("%d prints as %s, which reads as %d", d, s, got)
			}
		}
	})
}

func TestTexts(t *testing.T) {
	for want, v := range map[string]Value{
		"":                                     Null(Long),
		"1":                                    NewReal(1),
		"1.5":                                  NewReal(1.5),
		"1E+20":                                NewReal(1e20),
		"-1.00:00:00":                          NewTimespan(-TicksPerDay),
		"2017-10-30T01:02:03.7654321Z":         NewDatetime(636449221237654321),
		`{"b":1,"a":[true,null,1.0]}`:          ParseDynamic(`{"b": 1, "a": [true, null, 1.0]}`),
		"plain":                                ParseDynamic("plain"),
		"0.1":                                  NewDecimal("0.10"),
		"10e99626-bc2b-4c75-bb3e-fe606de25700": NewGUID("{10E99626BC2B4C75BB3EFE606DE25700}"),
	} {
		if got := v.Text(); got != want {
			t.Errorf("text of %+v is %q, want %q", v, got, want)
		}
	}
}
