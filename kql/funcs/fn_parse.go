package funcs

import (
	"encoding/csv"
	"net/url"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func parseFuncs() []entry {
	return []entry{
		{sig: "parse_url(url:string) dynamic", alias: []string{"parseurl"}, doc: "Parts of a URL: Scheme, Host, Port, Path, Username, Password, Query Parameters, Fragment.", eval: parseURL},
		{sig: "parse_urlquery(query:string) dynamic", alias: []string{"parseurlquery"}, doc: "Parameters of a URL's query.", eval: func(_ *Ctx, a []types.Value) types.Value {
			b := types.NewBag()
			b.Set("Query Parameters", queryBag(strings.TrimPrefix(a[0].S, "?")))
			return dyn(b)
		}},
		{sig: "parse_user_agent(agent:string, lookFor:any) dynamic", doc: "Browser, operating system and device that the text of a user agent names; lookFor is one or an array of browser, os and device.", eval: parseUserAgent},
		{sig: "parse_path(path:string) dynamic", doc: "Parts of a file path: Scheme, RootPath, DirectoryPath, DirectoryName, Filename, Extension, AlternateDataStreamName.", eval: parsePath},
		{sig: "parse_version(version:string) decimal", doc: "Number that orders versions of up to four parts.", eval: parseVersion},
		{sig: "parse_csv(text:string) dynamic", doc: "Array of the fields of the first CSV record.", eval: func(c *Ctx, a []types.Value) types.Value {
			r := csv.NewReader(strings.NewReader(a[0].S))
			r.LazyQuotes, r.FieldsPerRecord = true, -1
			rec, err := r.Read()
			if err != nil {
				return c.null()
			}
			out := make([]any, len(rec))
			for i, f := range rec {
				out[i] = f
			}
			return dyn(out)
		}},
		{sig: "parse_command_line(command:string, parser:string) dynamic", doc: "Array of a command line's arguments by the rules of Windows.", eval: func(_ *Ctx, a []types.Value) types.Value { return dyn(commandLine(a[0].S)) }},
		{sig: "parse_xml(xml:string) dynamic", doc: "XML as a bag.", eval: func(c *Ctx, a []types.Value) types.Value {
			d, ok := parseXML(a[0].S)
			if !ok {
				return c.null()
			}
			return dyn(d)
		}},
		{sig: "parse_hex(text:string) long", in: true, doc: "Number of hexadecimal digits.", eval: func(c *Ctx, a []types.Value) types.Value {
			u, err := strconv.ParseUint(strings.TrimPrefix(a[0].S, "0x"), 16, 64)
			if err != nil {
				return c.null()
			}
			return types.NewLong(int64(u))
		}},
		{sig: "parse_kv(text:string, options:dynamic) dynamic", in: true, doc: "Key-value pairs of a text.", eval: parseKVCall},
	}
}

func queryBag(q string) *types.Bag {
	b := types.NewBag()
	for _, kv := range strings.Split(q, "&") {
		k, v, _ := strings.Cut(kv, "=")
		if k == "" {
			continue
		}
		if u, err := url.PathUnescape(v); err == nil {
			v = u
		}
		b.Set(k, v)
	}
	return b
}

func parseURL(_ *Ctx, a []types.Value) types.Value {
	b := types.NewBag()
	s := a[0].S
	rest, frag, _ := strings.Cut(s, "#")
	rest, query, _ := strings.Cut(rest, "?")
	scheme, after, has := strings.Cut(rest, ":")
	if !has {
		scheme, after = "", rest
	}
	host, path, user, pass, port := "", after, "", "", ""
	if auth, ok := strings.CutPrefix(after, "//"); ok {
		host, path = auth, ""
		if i := strings.IndexByte(auth, '/'); i >= 0 {
			host, path = auth[:i], auth[i:]
		}
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			user, pass, _ = strings.Cut(host[:i], ":")
			host = host[i+1:]
		}
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			host, port = host[:i], host[i+1:]
		}
	}
	for _, kv := range [][2]string{{"Scheme", scheme}, {"Host", host}, {"Port", port}, {"Path", path}, {"Username", user}, {"Password", pass}} {
		b.Set(kv[0], kv[1])
	}
	b.Set("Query Parameters", queryBag(query))
	b.Set("Fragment", frag)
	return dyn(b)
}

func parsePath(_ *Ctx, a []types.Value) types.Value {
	s, b := a[0].S, types.NewBag()
	scheme, root, ads := "", "", ""
	rest := s
	if i := strings.Index(rest, "://"); i > 0 {
		scheme, rest = rest[:i], rest[i+3:]
	}
	dir, file := "", rest
	if i := strings.LastIndexAny(rest, `\/`); i >= 0 {
		dir, file = rest[:i], rest[i+1:]
	}
	switch {
	case len(rest) > 1 && rest[1] == ':':
		root = rest[:2]
	case strings.HasPrefix(rest, "/") && scheme == "":
		root = ""
	}
	if i := strings.IndexByte(file, ':'); i > 1 {
		file, ads = file[:i], file[i+1:]
	}
	dirName := dir
	if i := strings.LastIndexAny(dir, `\/`); i >= 0 {
		dirName = dir[i+1:]
	}
	ext := ""
	if i := strings.LastIndexByte(file, '.'); i >= 0 {
		ext = file[i+1:]
	}
	for _, kv := range [][2]string{{"Scheme", scheme}, {"RootPath", root}, {"DirectoryPath", dir}, {"DirectoryName", dirName}, {"Filename", file}, {"Extension", ext}, {"AlternateDataStreamName", ads}} {
		b.Set(kv[0], kv[1])
	}
	return dyn(b)
}

func parseVersion(c *Ctx, a []types.Value) types.Value {
	parts := strings.Split(a[0].S, ".")
	if len(parts) > 4 {
		return c.null()
	}
	var b strings.Builder
	for i := 0; i < 4; i++ {
		p := "0"
		if i < len(parts) {
			p = strings.TrimSpace(parts[i])
		}
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil || n > 99999999 {
			return c.null()
		}
		s := strconv.FormatUint(n, 10)
		b.WriteString(strings.Repeat("0", 8-len(s)) + s)
	}
	return types.NewDecimal(b.String())
}

// commandLine splits as CommandLineToArgvW does: backslashes quote only before a quote.
func commandLine(s string) []any {
	out := []any{}
	var b strings.Builder
	quoted, any := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			n := 0
			for i < len(s) && s[i] == '\\' {
				n++
				i++
			}
			if i < len(s) && s[i] == '"' {
				b.WriteString(strings.Repeat(`\`, n/2))
				if n%2 == 1 {
					b.WriteByte('"')
				} else {
					i--
				}
			} else {
				b.WriteString(strings.Repeat(`\`, n))
				i--
			}
			any = true
		case c == '"':
			quoted, any = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if any {
				out = append(out, b.String())
				b.Reset()
				any = false
			}
		default:
			b.WriteByte(c)
			any = true
		}
	}
	if any {
		out = append(out, b.String())
	}
	return out
}
