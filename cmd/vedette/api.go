package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

type apiCommand struct {
	Method string `arg:"" help:"GET, POST, PATCH, PUT or DELETE."`
	Path   string `arg:"" help:"Path below the server, such as '/api/alerts?$$top=5'."`
	Body   string `arg:"" optional:"" help:"JSON text, @FILE to read it from a file, or - for standard input."`
}

// Run sends the request and prints the answer, JSON indented and the rest as it is.
func (a *apiCommand) Run(s *session) error {
	var body []byte
	if a.Body != "" {
		text, err := argText(a.Body)
		if err != nil {
			return err
		}
		body = []byte(text)
	}
	if !strings.HasPrefix(a.Path, "/") {
		return fmt.Errorf("the path %q does not begin with a slash, such as /api/alerts", a.Path)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	answer, media, err := c.Raw(s.ctx, strings.ToUpper(a.Method), a.Path, body)
	if err != nil || len(answer) == 0 {
		return err
	}
	var b bytes.Buffer
	if !strings.HasPrefix(media, "application/json") || json.Indent(&b, answer, "", "  ") != nil {
		b.Reset()
		b.Write(answer)
	}
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	_, err = s.out.w.Write(b.Bytes())
	return err
}
