package external_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/external"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// files is what the addresses of a test hold.
type files map[string]string

func (f files) open(_ context.Context, uri string) (io.ReadCloser, error) {
	s, ok := f[uri]
	if !ok {
		return nil, errors.New("not there")
	}
	return io.NopCloser(strings.NewReader(s)), nil
}

// scanOf compiles the externaldata of a query.
func scanOf(t *testing.T, text string) *plan.External {
	t.Helper()
	q, err := kql.Compile(text, noTables{}, kql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var x *plan.External
	plan.Walk(q.Root, func(n plan.Node) {
		if s, ok := n.(*plan.Scan); ok {
			x = s.External
		}
	})
	return x
}

func read(t *testing.T, f files, text string, lim external.Limits) ([]string, error) {
	t.Helper()
	var out []string
	err := external.Read(t.Context(), scanOf(t, text), f.open, lim, func(row []types.Value) error {
		var cells []string
		for _, v := range row {
			s := v.Text()
			if v.Null {
				s = "null"
			}
			cells = append(cells, s)
		}
		out = append(out, strings.Join(cells, "|"))
		return nil
	})
	return out, err
}

func gz(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func zipped(list ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(list); i += 2 {
		w, _ := z.Create(list[i])
		_, _ = io.WriteString(w, list[i+1])
	}
	_ = z.Close()
	return b.String()
}

// TestFormats reads one file of each format. The first four are the shapes that public
// hunting queries use; what each format means is said by Kusto's documentation of data
// formats.
func TestFormats(t *testing.T) {
	const csv = "\xef\xbb\xbfip,count,seen\r\n10.0.0.1,3,2026-01-02\r\n\"a,\"\"b\"\"\nc\",,x\r\n"
	f := files{
		"https://h/a.csv": csv, "https://h/a.csv.gz?sig=1": gz(csv), "https://h/x": csv,
		"https://h/l.txt": "one\ntwo, too\r\n\nlast", "https://h/t.tsv": "a\tb\nc\n", "https://h/p.psv": "a|b", "https://h/s": "a;b", "https://h/e": "a\\tb\tc\\\\",
		"https://h/j.json":  `{"a": 1, "b": {"c": [5, "x"]}, "a b": true}` + "\n" + `{"b": null}`,
		"https://h/m.json":  ` [{"a": 1}, {"a": "2"} ] {"a": 3}`,
		"https://h/two.zip": zipped("one.txt", "a\nb\n", "two.txt", "c"),
		"https://h/raw":     "a,b\nc",
	}
	for text, want := range map[string][]string{
		`externaldata(ip:string, count:long, seen:datetime)["https://h/a.csv"] with (ignoreFirstRecord=true)`:             {"10.0.0.1|3|2026-01-02T00:00:00.0000000Z", "a,\"b\"\nc|null|null"},
		`externaldata(ip:string, count:long)[h@"https://h/a.csv.gz?sig=1"] with (format="csv", ignoreFirstRecord = true)`: {"10.0.0.1|3", "a,\"b\"\nc|null"},
		`externaldata(ip:string)["https://h/x"]`:                                                        {"ip", "10.0.0.1", "a,\"b\"\nc"},
		`externaldata(l:string)["https://h/l.txt"] with (format=txt)`:                                   {"one", "two, too", "", "last"},
		`externaldata(l:string)["https://h/l.txt"]`:                                                     {"one", "two, too", "", "last"},
		`externaldata(x:string, y:string, z:int)["https://h/t.tsv"]`:                                    {"a|b|null", "c||null"},
		`externaldata(x:string, y:string)["https://h/p.psv", "https://h/p.psv"]`:                        {"a|b", "a|b"},
		`externaldata(x:string, y:string)["https://h/s"] with (format="scsv")`:                          {"a|b"},
		`externaldata(x:string, y:string)["https://h/e"] with (format="tsve")`:                          {"a\tb|c\\"},
		`externaldata(a:long, b:dynamic, ["a b"]:bool)["https://h/j.json"]`:                             {`1|{"c":[5,"x"]}|true`, "null|null|null"},
		`externaldata(a:long)["https://h/m.json"] with (format="multijson")`:                            {"1", "2", "3"},
		`externaldata(v:dynamic)["https://h/m.json"] with (format="multijson", ignoreFirstRecord=true)`: {"null", "null"},
		`externaldata(y:string, x:long)["https://h/j.json"] with (format="json", ingestionMapping='[{"Column":"y","Properties":{"Path":"$.b.c[1]"}},{"column":"x","path":"$[\'a\']"}]')`: {"x|1", "|null"},
		`externaldata(n:long, ip:string)["https://h/a.csv"] with (ignoreFirstRecord=true, ingestionMapping='[{"Name":"ip","Ordinal":0},{"Column":"n","Properties":{"Ordinal":"1"}}]')`:   {"3|10.0.0.1", "null|a,\"b\"\nc"},
		`externaldata(l:string)["https://h/two.zip"]`:                 {"a", "b", "c"},
		`externaldata(l:string)["https://h/raw"] with (format="raw")`: {"a,b\nc"},
	} {
		got, err := read(t, f, text, external.Limits{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// TestFilesThatAreRefused shows that each error says where, and that nothing small can
// become something large.
func TestFilesThatAreRefused(t *testing.T) {
	f := files{
		"https://h/bomb": gz(strings.Repeat("a", 50<<20)), "https://h/zip": zipped("a", strings.Repeat("b", 50<<20)),
		"https://h/zip2": "PK\x03\x04broken", "https://h/gz": "\x1f\x8bbroken", "https://h/j": `{"a":1} {"a":`, "https://h/deep": strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"https://h/long": strings.Repeat("a\n", 100), "https://h/cut": gz(strings.Repeat("word ", 9999))[:50],
	}
	lim := external.Limits{Bytes: 1 << 20, Rows: 50}
	for text, want := range map[string]string{
		"\n externaldata(a:string)['https://h/none']":                                             `2:25: KQL0110: externaldata "https://h/none": not there`,
		"externaldata(a:string)['https://h/bomb']":                                                "more than 1 MiB",
		"externaldata(a:string)['https://h/bomb'] with (format='raw')":                            "more than 1 MiB",
		"externaldata(a:string)['https://h/bomb'] with (format='json')":                           "it is no JSON",
		"externaldata(a:string)['https://h/zip']":                                                 "more than 1 MiB",
		"externaldata(a:string)['https://h/zip2']":                                                "it is no zip archive",
		"externaldata(a:string)['https://h/gz']":                                                  "it is no gzip file",
		"externaldata(a:string)['https://h/cut']":                                                 "unexpected EOF",
		"externaldata(a:long)['https://h/j'] with (format='json')":                                "record 2: it is no JSON",
		"externaldata(a:dynamic)['https://h/deep'] with (format='json')":                          "record 1: it is no JSON",
		"externaldata(a:string)['https://h/long']":                                                "record 51: more than 50 records",
		"externaldata(a:string)['https://h/long'] with (format='parquet')":                        `the format "parquet" is not supported`,
		"externaldata(a:string)['https://h/long'] with (nonsense=1)":                              `there is no property "nonsense"`,
		"externaldata(a:string)['https://h/long'] with (ignoreFirstRecord=5)":                     "ignoreFirstRecord is true or false",
		"externaldata(a:string)['https://h/long'] with (ingestionMapping='[{\"Column\":\"b\"}]')": `names the column "b"`,
	} {
		_, err := read(t, f, text, lim)
		var e *external.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	own := errors.New("own")
	err := external.Read(t.Context(), scanOf(t, "externaldata(a:string)['https://h/long']"), f.open, lim, func([]types.Value) error { return own })
	if err != own {
		t.Errorf("the sink's error: %v", err)
	}
}

// noTables is a catalogue of nothing.
type noTables struct{}

func (noTables) Table(string) (*bind.Table, bool) { return nil, false }

func (noTables) TableNames() []string { return nil }
