package mde_test

import (
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
)

// queries is what hunts answers in the tests.
func queries() hunts {
	return hunts{"everything": everyType, "nothing": notANumber, "busy": busy}
}

func table(columns []hunt.Column, rows ...[]types.Value) hunt.Table {
	var kinds []types.Type
	for _, c := range columns {
		kinds = append(kinds, c.Type)
	}
	t := hunt.Table{Columns: columns, Rows: hunt.NewRows(kinds, "")}
	for _, row := range rows {
		if err := t.Rows.Add(row); err != nil {
			panic(err)
		}
	}
	return t
}

func everyType() (*hunt.Result, error) {
	at := types.FromTime(time.Date(2024, 5, 1, 2, 3, 4, 123456700, time.UTC))
	bag := types.ParseDynamic(`{"a":"<b>","n":[1,2.5]}`)
	columns := []hunt.Column{
		{Name: "Timestamp", Type: types.Datetime}, {Name: "FileName", Type: types.String}, {Name: "ProcessId", Type: types.Long},
		{Name: "Small", Type: types.Int}, {Name: "Flag", Type: types.Bool}, {Name: "Real", Type: types.Real},
		{Name: "Span", Type: types.Timespan}, {Name: "Guid", Type: types.GUID}, {Name: "AdditionalFields", Type: types.Dynamic, JSON: true},
		{Name: "Bag", Type: types.Dynamic},
	}
	empty := make([]types.Value, len(columns))
	for i, c := range columns {
		empty[i] = types.Null(c.Type)
	}
	return &hunt.Result{
		Table: table(columns, []types.Value{
			types.NewDatetime(at), types.NewString("a\"b\n"), types.NewLong(1 << 60), types.NewInt(-7), types.NewBool(true),
			types.NewReal(0.5), types.NewTimespan(36000000000), types.NewGUID("0f0e0d0c-0000-0000-0000-000000000001"), bag, bag,
		}, empty),
		Stats: hunt.Stats{Elapsed: 1500 * time.Millisecond, CPU: 250 * time.Millisecond, Memory: 1 << 20, Bytes: 99},
		Completeness: hunt.Completeness{Gaps: []hunt.Gap{{Device: "d", Source: "exec", Reason: "ring full", Lost: 3,
			From: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC)}}},
	}, nil
}

func notANumber() (*hunt.Result, error) {
	return &hunt.Result{Table: table([]hunt.Column{{Name: "x", Type: types.Real}}, []types.Value{types.NewReal(math.NaN())}), Completeness: hunt.Completeness{Complete: true}}, nil
}

func busy() (*hunt.Result, error) {
	return nil, &errs.E{Op: "hunt", Kind: errs.Limited, Code: errs.TooManyRequests, Detail: "quota", Retry: 30 * time.Second}
}

const everything = `{"Stats":{"ExecutionTime":1.5,"resource_usage":{"cache":null,"cpu":{"user":null,"kernel":null,"total cpu":"00:00:00.2500000"},"memory":{"peak_per_node":1048576}},"dataset_statistics":[{"table_row_count":2,"table_size":99}]},` +
	`"Schema":[{"Name":"Timestamp","Type":"DateTime"},{"Name":"FileName","Type":"String"},{"Name":"ProcessId","Type":"Int64"},{"Name":"Small","Type":"Int32"},{"Name":"Flag","Type":"SByte"},{"Name":"Real","Type":"Double"},{"Name":"Span","Type":"TimeSpan"},{"Name":"Guid","Type":"Guid"},{"Name":"AdditionalFields","Type":"String"},{"Name":"Bag","Type":"Object"}],` +
	`"Results":[{"Timestamp":"2024-05-01T02:03:04.1234567Z","FileName":"a\"b\n","ProcessId":1152921504606846976,"Small":-7,"Flag":true,"Real":0.5,"Span":"01:00:00","Guid":"0f0e0d0c-0000-0000-0000-000000000001","AdditionalFields":"{\"a\":\"<b>\",\"n\":[1,2.5]}","Bag":{"a":"<b>","n":[1,2.5]}},` +
	`{"Timestamp":null,"FileName":"","ProcessId":null,"Small":null,"Flag":null,"Real":null,"Span":null,"Guid":null,"AdditionalFields":"","Bag":null}],` +
	`"completeness":{"complete":false,"gaps":[{"deviceId":"d","source":"exec","reason":"ring full","eventsLost":3,"from":"2024-05-01T00:00:00.0000000Z","to":"2024-05-02T00:00:00.0000000Z"}],"more":false}}`

func TestHuntingAnswersHaveThePublishedShape(t *testing.T) {
	s := newSite(t, 0)
	want := decode(t, []byte(everything))
	for _, r := range [][3]string{
		{"POST", "/api/advancedqueries/run", `{"Query":"everything","AdvancedQueryRunSettings":{}}`},
		{"POST", "/api/V1.0/advancedQueries/run/", `{"Query":"everything"}`},
		{"POST", "/api/advancedhunting/run", `{"Query":"everything"}`},
		{"GET", "/api/advancedqueries?key=everything&", ""},
		{"GET", "/api/advancedqueries/run?key=" + url.QueryEscape("everything"), ""},
	} {
		w := s.call("all", r[0], r[1], r[2])
		if w.Code != 200 {
			t.Errorf("%s %s: %d %s", r[0], r[1], w.Code, w.Body)
			continue
		}
		if err := subset("body", want, decode(t, w.Body.Bytes())); err != nil {
			t.Errorf("%s %s: %v\n%s", r[0], r[1], err, w.Body)
		}
	}
	w := s.call("all", "POST", "/api/advancedqueries/run", `{"Query":"nothing"}`)
	if body := w.Body.String(); !strings.Contains(body, `"Results":[{"x":"NaN"}]`) || !strings.Contains(body, `"completeness":{"complete":true,"gaps":[],"more":false}`) {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestHuntingErrorsReachTheCaller(t *testing.T) {
	s := newSite(t, 0)
	w := s.call("all", "POST", "/api/advancedqueries/run", `{"Query":"Nope"}`)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "line 1, column 1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = s.call("all", "POST", "/api/advancedqueries/run", `{"Query":"busy"}`)
	if w.Code != 429 || w.Header().Get("Retry-After") != "30" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, body := range []string{`{"query":"everything"}`, `{"Query":""}`, `{}`} {
		if w := s.call("all", "POST", "/api/advancedqueries/run", body); w.Code != 400 || !strings.Contains(w.Body.String(), "MissingRequiredParameter") {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if w := s.call("alerts", "POST", "/api/advancedqueries/run", `{"Query":"everything"}`); w.Code != 403 {
		t.Errorf("without the role: %d", w.Code)
	}
}
