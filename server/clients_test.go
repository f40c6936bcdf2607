package server

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// This file sends what real clients of the published API send, byte for byte as they write
// it, over TCP to a whole server, and reads of the answers what those clients read. The
// rows stand in the clients_*_test.go files beside it, one slice a client.

// clientRow is one row of the list of clients: its name there, and what the client sends.
type clientRow struct {
	name  string
	calls []clientCall
}

// clientCall is one request. In request, header, body and keeps, {name} stands for what
// an earlier call kept or the world has.
type clientCall struct {
	request string   // method and target as on the wire
	header  []string // lines beside Host, Authorization and Content-Length
	body    string
	anon    bool // without the token
	status  int
	reads   string            // what the client consumes, as consumed says; "" for nothing
	says    []string          // texts that the body or a header line must hold
	never   []string          // texts that the body must not hold
	keeps   map[string]string // names for later calls, by path in the answer
	before  func(*world)      // what happens outside of the API before the call
	check   func(*world, *clientAnswer) error
}

// clientAnswer is what came back.
type clientAnswer struct {
	status int
	header http.Header
	body   []byte
	json   any // nil when the body is no JSON
}

// row makes a row of calls.
func row(name string, calls ...clientCall) clientRow { return clientRow{name, calls} }

// jsonType is the header line of clients that say what they send.
var jsonType = []string{"Content-Type: application/json"}

// ask is a call without a body.
func ask(request, reads string) clientCall {
	return clientCall{request: request, status: 200, reads: reads}
}

// tell is a call with a JSON body.
func tell(request, body string, status int, reads string) clientCall {
	return clientCall{request: request, header: jsonType, body: body, status: status, reads: reads}
}

// named fills in what stands for something.
func (w *world) named(s string) string {
	return regexp.MustCompile(`\{[a-zA-Z0-9]+\}`).ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := w.names[m[1:len(m)-1]]; ok {
			return v
		}
		return m
	})
}

// send writes a request to a connection of its own and reads the answer.
func (w *world) send(c *clientCall) (*clientAnswer, error) {
	conn, err := net.DialTimeout("tcp", w.address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	method, target, _ := strings.Cut(w.named(c.request), " ")
	body := w.named(c.body)
	var raw strings.Builder
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\n", method, target)
	host := "Host: " + w.address
	for _, h := range c.header {
		if strings.HasPrefix(h, "Host:") {
			host = h
			continue
		}
		raw.WriteString(w.named(h) + "\r\n")
	}
	raw.WriteString(host + "\r\n")
	if !c.anon && w.names["token"] != "" {
		raw.WriteString("Authorization: Bearer " + w.names["token"] + "\r\n")
	}
	if body != "" || method == "POST" || method == "PATCH" {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(body))
	}
	raw.WriteString("Connection: close\r\n\r\n" + body)
	if _, err := io.WriteString(conn, raw.String()); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	out := &clientAnswer{status: r.StatusCode, header: r.Header}
	if out.body, err = io.ReadAll(r.Body); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(out.body))
	d.UseNumber()
	if d.Decode(&out.json) != nil {
		out.json = nil
	}
	return out, nil
}

// do sends a call and says what is wrong with the answer.
func (w *world) do(c *clientCall) error {
	if c.before != nil {
		c.before(w)
	}
	a, err := w.send(c)
	if err != nil {
		return err
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s %s\n\t%s\n\t%d %.1500s", w.named(c.request), w.named(c.body), fmt.Sprintf(format, args...), a.status, a.body)
	}
	if a.status != c.status {
		return fail("status %d, want %d", a.status, c.status)
	}
	if a.status == http.StatusNoContent && len(a.body) > 0 {
		return fail("204 with a body")
	}
	if o, ok := a.json.(map[string]any); ok && a.status < 300 && o["error"] != nil {
		return fail("a success that holds an error at its top")
	}
	if err := consumed(a.json, w.named(c.reads)); err != nil {
		return fail("%v", err)
	}
	var lines bytes.Buffer
	_ = a.header.Write(&lines)
	for _, s := range c.says {
		if s = w.named(s); !strings.Contains(string(a.body), s) && !strings.Contains(lines.String(), s) {
			return fail("does not say %s in\n%s", s, &lines)
		}
	}
	for _, s := range c.never {
		if s = w.named(s); strings.Contains(string(a.body), s) {
			return fail("says %s", s)
		}
	}
	for path, name := range c.keeps {
		v := at(a.json, path)
		if len(v) == 0 {
			return fail("has no %s", path)
		}
		w.names[name] = fmt.Sprint(v[0])
	}
	if c.check != nil {
		if err := c.check(w, a); err != nil {
			return fail("%v", err)
		}
	}
	return nil
}

// at returns what stands at a path such as value[].id or value[0].id; [] is every item.
func at(v any, path string) []any {
	all := []any{v}
	for _, key := range strings.Split(strings.ReplaceAll(path, "\\.", "\x00"), ".") {
		if key == "" {
			continue
		}
		key, index, list := strings.Cut(strings.ReplaceAll(key, "\x00", "."), "[")
		var next []any
		for _, v := range all {
			if o, ok := v.(map[string]any); ok && key != "" {
				if v, ok = o[key]; !ok {
					continue
				}
			}
			items, isList := v.([]any)
			switch {
			case !list:
				next = append(next, v)
			case isList && index == "]":
				next = append(next, items...)
			case isList && index == "0]" && len(items) > 0:
				next = append(next, items[0])
			}
		}
		all = next
	}
	return all
}

// consumed holds an answer against what a client reads of it: "path type" pairs, divided
// by semicolons, of the types string, integer, number, boolean, object, list, strings,
// some (a list that is not empty) and any (but null). After a ? the value may be null or absent, as
// for clients that drop nulls before they look; "path = text" wants that very text.
func consumed(v any, reads string) error {
	for want := range strings.SplitSeq(reads, ";") {
		f := strings.Fields(want)
		if len(f) == 0 {
			continue
		}
		found := at(v, f[0])
		if len(f) > 2 && f[1] == "=" {
			text := strings.Join(f[2:], " ")
			if len(found) == 0 || slices.ContainsFunc(found, func(v any) bool { return fmt.Sprint(v) != text }) {
				return fmt.Errorf("%s is %v, want %s", f[0], found, text)
			}
			continue
		}
		kind, optional := strings.CutSuffix(f[1], "?")
		if len(found) == 0 && !optional {
			return fmt.Errorf("%s is not there", f[0])
		}
		for _, v := range found {
			if v == nil && optional {
				continue
			}
			if !isA(v, kind) {
				return fmt.Errorf("%s is %#v, want %s", f[0], v, kind)
			}
		}
	}
	return nil
}

func isA(v any, kind string) bool {
	if kind == "any" {
		return v != nil
	}
	switch v := v.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case json.Number:
		_, err := v.Int64()
		return kind == "number" || kind == "integer" && err == nil
	case map[string]any:
		return kind == "object"
	case []any:
		return kind == "list" || kind == "some" && len(v) > 0 ||
			kind == "strings" && !slices.ContainsFunc(v, func(v any) bool { return !isA(v, "string") })
	}
	return false
}

// clients are all rows, by the client's name in the list.
func clients() map[string][]clientRow {
	return map[string][]clientRow{
		"cortex_msdefender":    cortexRows(),
		"splunk_mde":           splunkRows(),
		"rapid7_microsoft_atp": rapid7Rows(),
		"sekoia_msdefender":    sekoiaRows(),
		"msticpy_mde":          msticpyRows(),
		connector:              connectorRows(),
		"Elastic integration `microsoft_defender_endpoint`": elasticRows(),
		surprises: surpriseRows(),
	}
}

// TestClientsAreServedUnchanged sends every row. Each client has a device of its own, and
// gets its token as it does in life: the first row of most.
func TestClientsAreServedUnchanged(t *testing.T) {
	w := newWorld(t)
	all := clients()
	for _, client := range slices.Sorted(maps.Keys(all)) {
		t.Run(client, func(t *testing.T) {
			w.begin(t, client)
			for _, r := range all[client] {
				t.Run(r.name, func(t *testing.T) {
					w.t = t
					for i := range r.calls {
						if err := w.do(&r.calls[i]); err != nil {
							t.Errorf("%v", err)
						}
					}
				})
			}
		})
	}
}

// TestEveryClientRowIsThere compares the rows with the list that they were taken from,
// where that list is at hand.
func TestEveryClientRowIsThere(t *testing.T) {
	for client, rows := range clients() {
		seen := map[string]bool{}
		for _, r := range rows {
			if seen[r.name] || len(r.calls) == 0 {
				t.Errorf("%s: %s comes twice or sends nothing", client, r.name)
			}
			seen[r.name] = true
		}
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "shared", "spec", "clients.md"))
	if os.IsNotExist(err) {
		t.Log("the list of clients is not at hand: the rows are not compared")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	listed := listedRows(string(raw))
	all := clients()
	for client, names := range listed {
		var have []string
		for _, r := range all[client] {
			have = append(have, r.name)
		}
		if !slices.Equal(have, names) {
			t.Errorf("%s: the list has %d rows and the tests %d:\n%s\nand\n%s", client, len(names), len(have), strings.Join(names, "\n"), strings.Join(have, "\n"))
		}
	}
	for client := range all {
		if listed[client] == nil {
			t.Errorf("%s is not in the list", client)
		}
	}
}

// listedRows reads the rows of each section: the first cell of a table's rows, and what is
// bold at the beginning of a bullet, or else stands before its colon.
func listedRows(text string) map[string][]string {
	out := map[string][]string{}
	client := ""
	header := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			client = name
			out[client] = []string{}
			continue
		}
		if bullet, ok := strings.CutPrefix(line, "- "); ok && client != "" {
			bold, isBold := strings.CutPrefix(bullet, "**")
			name, _, _ := strings.Cut(bullet, ":")
			if isBold {
				name, _, _ = strings.Cut(bold, "**")
			}
			out[client] = append(out[client], name)
		}
		cell, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|") || !ok:
			header = true
		case header:
			header = false
		case strings.HasPrefix(line, "|---"):
		default:
			out[client] = append(out[client], strings.Trim(strings.TrimSpace(cell), "`"))
		}
	}
	return out
}

// unzipped is the content of a gzip file that an answer is.
func unzipped(a *clientAnswer) (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(z)
	return string(out), err
}
