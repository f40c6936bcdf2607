package duck_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/types"
)

// hostileText draws texts that have broken out of quotes, comments and names elsewhere.
func hostileText() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"'", "''", `"`, `""`, "\\", `\'`, "--", "/*", "*/", ";", "DROP TABLE x", "$$", "$a$", "%s", "%[1]s", "\x00", "\n", "\r\n", "E'", "X'41'", "|", "a", "B", "ö", "İ", "ß", "{", "}", "[", "]", "(", ")",
		"'); SELECT 1; --", "\u2028", "`", "~", "/", "~1", ".", "$", "?", "\t", "7", "null", "\U0001F600", "\u200b", "||chr(39)||"})
	any := rapid.StringN(0, 8, 40)
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			return strings.ToValidUTF8(any.Draw(t, "any"), "?")
		}
		return strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), "")
	})
}

// place is a spot of a query that takes a text. Its query, with the text s as a literal of
// some form or a name, answers rows whose last column is what want says.
type place struct {
	name  string
	query func(s string) string
	want  func(s string) string
}

func same(s string) string { return s }

// plain is a text that is not empty and holds no zero byte, which names cannot.
func plain(s string) string { return "n" + strings.ReplaceAll(s, "\x00", "") }

func name(s string) string { return "['" + escapeName(plain(s)) + "']" }

func verbatim(s string) string { return `@"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// oneLine is a text that a literal which ends with its line can hold.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "\u2028", " ", "\x00", " ").Replace(s)
}

var places = []place{
	{"literal", func(s string) string { return "T | extend y = " + types.Quote(s) }, same},
	{"single quotes", func(s string) string { return "T | extend y = '" + escapeName(s) + "'" }, same},
	{"verbatim", func(s string) string { return "T | extend y = " + verbatim(oneLine(s)) }, oneLine},
	{"obfuscated", func(s string) string { return "T | extend y = h" + types.Quote(s) }, same},
	{"two literals", func(s string) string { return "T | extend y = " + types.Quote(s) + " '' " + types.Quote("x") }, func(s string) string { return s + "x" }},
	{"multi-line", func(s string) string { return "T | extend y = ```" + strings.ReplaceAll(oneLine(s), "`", "") + "```" }, func(s string) string { return strings.ReplaceAll(oneLine(s), "`", "") }},
	{"bracketed name", func(s string) string { return "T | extend " + name(s) + " = 'v' | extend y = " + name(s) }, func(string) string { return "v" }},
	{"name of a table", func(s string) string { return "let " + name(s) + " = T | extend y = 'v'; " + name(s) }, func(string) string { return "v" }},
	{"name of an as", func(s string) string {
		return "T | extend y = 'v' | as " + name(s) + " | union (" + name(s) + " | take 0)"
	}, func(string) string { return "v" }},
	{"name of a let", func(s string) string { return "let " + name(s) + " = 'v'; T | extend y = " + name(s) }, func(string) string { return "v" }},
	{"parameter of a function", func(s string) string {
		return "let f = (" + name(s) + ":string) { strcat(" + name(s) + ", 'w') }; T | extend y = f(" + types.Quote(s) + ")"
	}, func(s string) string { return s + "w" }},
	{"default of a parameter", func(s string) string { return "let f = (p:string = " + types.Quote(s) + ") { p }; T | extend y = f()" }, same},
	{"path of JSON", func(s string) string {
		return "T | extend j = bag_pack(" + types.Quote(plain(s)) + ", s) | extend y = tostring(j[" + types.Quote(plain(s)) + "])"
	}, func(string) string { return "row" }},
	{"path of a path", func(s string) string {
		return "T | extend j = parse_json(tostring(bag_pack('k', bag_pack(" + types.Quote(plain(s)) + ", s)))) | extend y = tostring(j.k[" + types.Quote(plain(s)) + "])"
	}, func(string) string { return "row" }},
	{"dynamic", func(s string) string { return "T | extend y = tostring(dynamic([" + types.Quote(s) + "])[0])" }, same},
	{"cell of a datatable", func(s string) string {
		return "datatable(x:long, y:string)[1, " + types.Quote(s) + ", 2, 'z'] | where x == 1"
	}, same},
	{"column of a datatable", func(s string) string {
		return "datatable(" + name(s) + ":string)['v', 'v'] | take 1 | project y = " + name(s)
	}, func(string) string { return "v" }},
	{"pattern of parse", func(s string) string {
		return "T | extend z = strcat(" + types.Quote(plain(s)) + ", 'v') | parse z with " + types.Quote(plain(s)) + " y:string"
	}, func(string) string { return "v" }},
	{"key of make_bag", func(s string) string {
		return "T | summarize b = make_bag(bag_pack(" + types.Quote(plain(s)) + ", 'v')) | project y = tostring(b[" + types.Quote(plain(s)) + "])"
	}, func(string) string { return "v" }},
	{"comparison", func(s string) string {
		return "T | where s != " + types.Quote(s+"!") + " and s !contains " + types.Quote(s+"!") + " and s !in (" + types.Quote(s+"!") + ", 'q') and s !has " + types.Quote(s+"!") + " | extend y = 'v'"
	}, func(string) string { return "v" }},
	{"case", func(s string) string {
		return "T | extend y = case(s == " + types.Quote(s) + ", 'a', s == 'row', " + types.Quote(s) + ", 'b')"
	}, func(s string) string {
		if s == "row" {
			return "a"
		}
		return s
	}},
	{"aggregate", func(s string) string {
		return "T | summarize y = max(strcat(" + types.Quote(s) + ", '')) by k = " + types.Quote(s) + " | project y"
	}, same},
	{"replace", func(s string) string {
		return "T | extend y = replace_string(strcat('<', " + types.Quote(plain(s)) + ", '>'), " + types.Quote(plain(s)) + ", " + types.Quote(s) + ")"
	}, func(s string) string { return "<" + s + ">" }},
	{"term", func(s string) string {
		return "T | extend y = iff(strcat(s, ' ', " + types.Quote(s) + ") has_any ('row', " + types.Quote(s) + "), 'v', 'w')"
	}, func(string) string { return "v" }},
	{"join", func(s string) string {
		return "T | extend k = " + types.Quote(s) + " | join kind=inner (T | extend k = " + types.Quote(s) + ") on k | project y = k1"
	}, same},
	{"comment", func(s string) string { return "T // " + oneLine(s) + "\n| extend y = 'v'" }, func(string) string { return "v" }},
}

// TestTextsStayTexts puts hostile texts into every place of a query that takes one: the
// value that comes back is the text, and the statement is, but for its literals, that of
// any harmless text.
func TestTextsStayTexts(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	d := &kqltest.Data{}
	d.Add("T", []bind.Column{{Name: "s", Type: types.String}}, [][]types.Value{{types.NewString("row")}})
	texts := hostileText()
	for _, p := range places {
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := texts.Draw(t, "text")
				text := p.query(s)
				for _, e := range []kqltest.Engine{kqltest.Eval{}, eng} {
					q, err := kql.Compile(text, d, kql.Options{Now: now})
					if err != nil {
						t.Fatalf("%v\n%s", err, text)
					}
					rows, err := e.Run(context.Background(), q, d)
					if err != nil {
						t.Fatalf("%T: %v\n%s", e, err, text)
					}
					if len(rows) != 1 {
						t.Fatalf("%T: %d rows\n%s", e, len(rows), text)
					}
					if got := rows[0][len(rows[0])-1].Text(); got != p.want(s) {
						t.Fatalf("%T: %q, want %q\n%s", e, got, p.want(s), text)
					}
				}
				// A harmless text of the same kind: what the writer decides by the contents,
				// such as whether there are any, decides alike.
				calm := strings.Map(func(r rune) rune {
					if r == 0 {
						return r
					}
					return 'q'
				}, s)
				got, want := skeleton(t, statement(t, text, d)), skeleton(t, statement(t, p.query(calm), d))
				if got != want {
					t.Fatalf("the statement is\n%s\nand with %q\n%s\n%s", got, calm, want, text)
				}
			})
		})
	}
}

// statement writes the SQL of a query; "" when there is none but what eval does.
func statement(t *rapid.T, text string, d *kqltest.Data) string {
	q, err := kql.Compile(text, d, kql.Options{Now: now})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	sql, _, err := sqlgen.Generate(q.Root, relations{})
	if err != nil {
		return fmt.Sprintf("-- %T", err)
	}
	return sql
}

type relations struct{}

// Source implements sqlgen.Sources.
func (relations) Source(s *plan.Scan) (sqlgen.Source, error) {
	return sqlgen.Source{Relation: s.Base}, nil
}

// skeleton is a statement with its literals left out, by DuckDB's rules for tokens: an
// apostrophe within a literal is doubled and a backslash is nothing of note, quoted names
// likewise, comments and dollar quotes begin only outside of both, where none may be.
func skeleton(t *rapid.T, sql string) string {
	var b strings.Builder
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; c {
		case '\'', '"':
			start := i
			for i++; ; i++ {
				if i >= len(sql) {
					t.Fatalf("a literal has no end: %s", sql)
				}
				if sql[i] != c {
					continue
				}
				if i+1 < len(sql) && sql[i+1] == c {
					i++
					continue
				}
				break
			}
			if c == '"' {
				b.WriteString(sql[start : i+1])
			} else {
				b.WriteString("'_'")
			}
		case 0, ';', '$', '\\':
			t.Fatalf("%q outside of literals: %s", c, sql)
		default:
			if strings.HasPrefix(sql[i:], "--") || strings.HasPrefix(sql[i:], "/*") {
				t.Fatalf("a comment: %s", sql)
			}
			b.WriteByte(c)
		}
	}
	// A text with a zero byte is written as several.
	return strings.ReplaceAll(b.String(), "('_' || chr(0) || '_')", "'_'")
}
