package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIndicatorsAreReadFromFiles(t *testing.T) {
	want := []map[string]any{{"indicatorType": "DomainName", "indicatorValue": "a.test", "generateAlert": true, "mitreTechniques": []string{"T1", "T2"}},
		{"indicatorType": "IpAddress", "indicatorValue": "192.0.2.1"}}
	got, err := readIndicators(strings.NewReader("\ufeffIndicatorType,indicatorvalue,GenerateAlert,mitretechniques\nDomainName,a.test,True,T1;T2\nIpAddress, 192.0.2.1,,\n"), true)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	for _, text := range []string{`[{"indicatorValue":"x"}]`, `{"Indicators":[{"indicatorValue":"x"}]}`, `{"value":[{"indicatorValue":"x"}]}`} {
		got, err := readIndicators(strings.NewReader(text), false)
		if err != nil || len(got) != 1 || got[0]["indicatorValue"] != "x" {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"":                      "EOF",
		"indicatorValue\n":      "no indicators",
		"indicatorValue,what\n": `"what"`,
		"indicatorValue,generateAlert\nx,maybe\n": "line 2",
		"indicatorValue\nx,y\n":                   "line 2",
	} {
		if _, err := readIndicators(strings.NewReader(text), true); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %s", text, err, says)
		}
	}
	if _, err := readIndicators(strings.NewReader("x"), false); err == nil {
		t.Error("no error for what is no JSON")
	}
}
