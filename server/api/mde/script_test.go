package mde_test

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestScripts runs testdata/*.txtar. An archive is a list of files in pairs:
//
//	-- request --     METHOD TARGET, headers, an empty line, the body. The header As names
//	                  the caller ("all" when absent); {{name}} stands for a variable.
//	-- response --    the status, headers that must be there, an empty line, the body: JSON
//	                  that must be part of the answer ("*" for any value), or lines that begin
//	                  with "= " for the exact bytes and "~ " for bytes that it must contain.
//	                  "Save: name=key" keeps a top-level key of the answer as a variable.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	check(t, err)
	if len(paths) == 0 {
		t.Fatal("no scripts")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			check(t, err)
			s := newSite(t, 0)
			for i := 0; i+1 < len(archive.Files); i += 2 {
				request, response := archive.Files[i], archive.Files[i+1]
				if request.Name != "request" || response.Name != "response" {
					t.Fatalf("files %d and %d are %s and %s", i, i+1, request.Name, response.Name)
				}
				if err := s.exchange(string(request.Data), string(response.Data)); err != nil {
					t.Errorf("%s: %v", strings.SplitN(string(request.Data), "\n", 2)[0], err)
				}
			}
		})
	}
}

type message struct {
	first   string
	headers [][2]string
	body    string
}

func (s *site) parse(text string) message {
	for k, v := range s.vars {
		text = strings.ReplaceAll(text, "{{"+k+"}}", v)
	}
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	m := message{first: lines[0], body: strings.TrimSuffix(body, "\n")}
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ": ")
		m.headers = append(m.headers, [2]string{k, v})
	}
	return m
}

func (s *site) exchange(request, response string) error {
	q := s.parse(request)
	method, target, _ := strings.Cut(q.first, " ")
	r := httptest.NewRequest(method, "/", strings.NewReader(q.body))
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = path, path, strings.ReplaceAll(query, " ", "%20")
	as := "all"
	for _, h := range q.headers {
		if h[0] == "As" {
			as = h[1]
		} else {
			r.Header.Set(h[0], h[1])
		}
	}
	if tok := s.token[as]; tok != "" {
		r.Header.Set("Authorization", "Bearer "+tok)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return s.verify(s.parse(response), w)
}

func (s *site) verify(want message, w *httptest.ResponseRecorder) error {
	if status, _ := strconv.Atoi(want.first); w.Code != status {
		return fmt.Errorf("status %d, want %s: %s", w.Code, want.first, w.Body)
	}
	body := w.Body.String()
	for _, h := range want.headers {
		if h[0] == "Save" {
			name, key, _ := strings.Cut(h[1], "=")
			s.vars[name] = fmt.Sprint(decode(s.t, w.Body.Bytes()).(map[string]any)[key])
			continue
		}
		if got := w.Header().Get(h[0]); got != h[1] {
			return fmt.Errorf("header %s is %q, want %q", h[0], got, h[1])
		}
	}
	if want.body == "" {
		return nil
	}
	if want.body == "empty" {
		if body != "" {
			return fmt.Errorf("the body is not empty: %s", body)
		}
		return nil
	}
	if strings.HasPrefix(want.body, "= ") || strings.HasPrefix(want.body, "~ ") {
		for l := range strings.SplitSeq(want.body, "\n") {
			if exact, ok := strings.CutPrefix(l, "= "); ok && body != exact {
				return fmt.Errorf("body %s, want %s", body, exact)
			}
			if part, ok := strings.CutPrefix(l, "~ "); ok && !strings.Contains(body, part) {
				return fmt.Errorf("%q is not in %s", part, body)
			}
		}
		return nil
	}
	if err := subset("body", decode(s.t, []byte(want.body)), decode(s.t, []byte(body))); err != nil {
		return fmt.Errorf("%w\nin %s", err, body)
	}
	return nil
}
