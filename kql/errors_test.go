package kql_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/kqltest"
)

// inside checks that an error points into the text.
func inside(t *testing.T, text string, e *kql.Error) {
	t.Helper()
	lines := strings.Split(text, "\n")
	switch {
	case e.Code == "" || e.Message == "":
		t.Errorf("the error %+v has no code or message\n%s", *e, text)
	case e.Offset < 0 || e.Length < 0 || e.Offset+e.Length > len(text):
		t.Errorf("bytes %d+%d of %v are outside of %d\n%s", e.Offset, e.Length, e, len(text), text)
	case e.Line < 1 || e.Line > len(lines):
		t.Errorf("line %d of %v, of %d\n%s", e.Line, e, len(lines), text)
	case e.Column < 1 || e.Column > len(lines[e.Line-1])+1:
		t.Errorf("column %d of %v, of %d\n%s", e.Column, e, len(lines[e.Line-1]), text)
	case len(strings.Join(lines[:e.Line-1], "\n"))+min(e.Line-1, 1)+e.Column-1 != e.Offset:
		t.Errorf("%v says byte %d, which is elsewhere\n%s", e, e.Offset, text)
	}
}

// corpus is every query of the scripts.
func corpus(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("kqltest/testdata/*.kql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var out []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, kqltest.Queries(string(b))...)
	}
	return append(out, kqltest.Queries(kqltest.HuntScript)...)
}

// TestErrorsPointIntoTheText damages queries in many ways: none makes the compiler panic,
// and each error says where in the text it is.
func TestErrorsPointIntoTheText(t *testing.T) {
	data := kqltest.HuntData(0)
	r := rand.New(rand.NewPCG(4, 4))
	odd := []string{"", "|", "(", ")", "'", `"`, "[", "]", "{", ",", ";", "\n", "let", "=", "..", "0x", "1d", "ö", "\x00", "\xff", "/", "//", "@", "```", "$left.", "by", "on", "(((", "in", "typeof(", "-", "*", "datetime(", "dynamic({", "\u2028"}
	wrong := 0
	for _, text := range corpus(t) {
		words := regexp.MustCompile(`\w+|\s+|.`).FindAllString(text, -1)
		for range 25 {
			list := append([]string{}, words...)
			for range r.IntN(3) + 1 {
				i := r.IntN(len(list))
				switch r.IntN(5) {
				case 0:
					list[i] = ""
				case 1:
					list[i] = odd[r.IntN(len(odd))]
				case 2:
					j := r.IntN(len(list))
					list[i], list[j] = list[j], list[i]
				case 3:
					list[i] += list[i]
				case 4:
					list = list[:i+1]
				}
			}
			damaged := strings.Join(list, "")
			_, err := kql.Compile(damaged, data, kql.Options{Now: 1})
			if err == nil {
				continue
			}
			var all kql.Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Errorf("%T has no list of errors: %v\n%s", err, err, damaged)
				continue
			}
			wrong++
			for _, e := range all {
				inside(t, damaged, e)
			}
			if t.Failed() {
				return
			}
		}
	}
	if wrong < 100 {
		t.Errorf("only %d texts were wrong", wrong)
	}
}

// TestNearNamesAreSuggested misspells names of every kind.
func TestNearNamesAreSuggested(t *testing.T) {
	data := kqltest.HuntData(0)
	for text, want := range map[string]string{
		"DeviceProcesEvents | take 1":                                          "DeviceProcessEvents",
		"DeviceProcessEvents | wehre ProcessId == 1":                           "where",
		"DeviceProcessEvents | where ProcesId == 1":                            "ProcessId",
		"DeviceProcessEvents | extend x = tolowr(FileName)":                    "tolower",
		"DeviceProcessEvents | summarize coutn() by FileName":                  "count",
		"DeviceProcessEvents | summarize dcuont(FileName)":                     "dcount",
		"DeviceProcessEvents | join kind=inner (DeviceLogonEvents) on DevceId": "DeviceId",
		"DeviceProcessEvents | evaluate bag_unpak(AdditionalFields)":           "bag_unpack",
		"let Interval = 1h; print Intreval":                                    "Interval",
		"let F = (x:long) { x + 1 }; print G = FF(1), H = tolong(strlenn(''))": "strlen",
		"DeviceProcessEvents | project-away ProcessIdd":                        "ProcessId",
		"DeviceProcessEvents | sort by Timestmp":                               "Timestamp",
	} {
		_, err := kql.Compile(text, data, kql.Options{Now: 1})
		var all kql.Errors
		if !errors.As(err, &all) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		found := false
		for _, e := range all {
			inside(t, text, e)
			found = found || e.Suggestion == want
		}
		if !found {
			t.Errorf("%s: %v suggests no %q", text, all, want)
		}
	}
}

// TestSeveralErrorsAreFound checks that one text answers the errors of several operators.
func TestSeveralErrorsAreFound(t *testing.T) {
	text := "DeviceProcessEvents\n| where Nme == 'ö' | extend a = nosuch(1)\n| project FileName, Porcess\n| summarize cuont() by FileName"
	_, err := kql.Compile(text, kqltest.HuntData(0), kql.Options{Now: 1})
	var all kql.Errors
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	lines := map[int]bool{}
	for _, e := range all {
		inside(t, text, e)
		lines[e.Line] = true
	}
	if !lines[2] || !lines[3] || !lines[4] {
		t.Errorf("the errors are %v", all)
	}
}
