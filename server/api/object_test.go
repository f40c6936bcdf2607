package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
)

func TestMalformedBodiesNameThePlace(t *testing.T) {
	for body, want := range map[string]string{
		"":                         "empty",
		" \n":                      "empty",
		"{\n  \"a\": tru\n}":       "line 2, column 11",
		"{\"a\":1,}":               "line 1, column 8",
		"{\"a\":[1,{\"b\": 'x'}]}": "line 1, column 15",
		"[1]":                      "line 1, column 1: a JSON object is needed, not an array",
		"{\"a\":1} x":              "line 1, column 9",
		"{\"a\":1,\n \"a\":2}":     "line 2, column 2: a is given twice",
		"{\"a\":":                  "line 1",
		strings.Repeat("{\"a\":", 70) + "1" + strings.Repeat("}", 70): "nested more than 64 deep",
	} {
		_, err := api.ParseObject([]byte(body))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", body, err, want)
		}
	}
}

func TestMembersAreReadByExactName(t *testing.T) {
	o, err := api.ParseObject([]byte("\xef\xbb\xbf" + `{"Value":"t\u0041g","on":"True","n":7,"s":"8","when":"2020-12-12T01:02:03.1234567+01:00",
		"list":["a","b"],"items":[{"x":1}],"null":null,"unknown":{"deep":[[]]}}`))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, got, want any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	s, err := o.String("Value")
	check("Value", s, "tAg", err)
	s, err = o.String("value")
	check("value in the wrong case", s, "", err)
	b, err := o.Bool("on")
	check("on", b, true, err)
	n, err := o.Int("n")
	check("n", n, int64(7), err)
	n, err = o.Int("s")
	check("s", n, int64(8), err)
	at, err := o.Time("when")
	check("when", at, time.Date(2020, 12, 12, 0, 2, 3, 123456700, time.UTC), err)
	l, err := o.Strings("list")
	check("list", l, []string{"a", "b"}, err)
	l, err = o.Strings("absent")
	check("absent", l, []string(nil), err)
	if !o.Has("null") || !o.IsNull("null") || o.Has("absent") || o.IsNull("absent") {
		t.Error("null and absent are mixed up")
	}
	for name, err := range map[string]error{
		"wrong type": second(o.String("n")), "not a bool": second(o.Bool("Value")), "not an int": second(o.Int("Value")),
		"not a time": second(o.Time("Value")), "not a list": second(o.Strings("n")), "not strings": second(o.Strings("items")),
		"not objects": second(o.Objects("list")),
	} {
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"null", "absent", "value"} {
		var e *errs.E
		if _, err := o.RequireString(name); !errors.As(err, &e) || e.Code != errs.MissingRequiredParameter {
			t.Errorf("required %s: %v", name, err)
		}
	}
	items, err := o.Objects("items")
	if err != nil || len(items) != 1 {
		t.Fatalf("items: %v", err)
	}
	if _, err := items[0].String("x"); err == nil || !strings.Contains(err.Error(), "items[0].x") {
		t.Errorf("the path is not named: %v", err)
	}
	if s, err := o.Fold().String("VALUE"); err != nil || s != "tAg" {
		t.Errorf("folded: %q %v", s, err)
	}
}

func TestOfFoldedTwinsTheLaterCounts(t *testing.T) {
	for range 50 {
		o, err := api.ParseObject([]byte(`{"status":"a","Status":"b","STATUS":"c"}`))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := o.Fold().String("status"); err != nil || s != "c" {
			t.Fatalf("%q %v", s, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTimesAreReadAsClientsWriteThem(t *testing.T) {
	want := time.Date(2018, 8, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range []string{"2018-08-01Z", "2018-08-01", "2018-08-01T00:00:00Z", "2018-08-01T00:00:00.0000000Z", "2018-08-01T02:00:00+02:00", "2018-08-01T00:00", "2018-08-01 00:00:00"} {
		if got, ok := api.ParseTime(s); !ok || !got.Equal(want) {
			t.Errorf("%s: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "yesterday", "2018-13-01", "20180801"} {
		if _, ok := api.ParseTime(s); ok {
			t.Errorf("%q was read", s)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := api.ParseObject(data)
		if (o == nil) == (err == nil) {
			t.Fatalf("%v %v", o, err)
		}
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Fatalf("not an error of the caller: %v", err)
		}
	})
}
