package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What goes wrong between the command line and the server is said with what to look at.
func TestReportSaysWhatToLookAt(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	defer strange.Close()
	get := func(url string) error {
		r, err := http.NewRequestWithContext(context.Background(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
			t.Fatalf("%s answered", url)
		}
		return err
	}
	for want, err := range map[string]error{
		"cannot be reached": get(down.URL),
		"ca_file":           get(strange.URL),
		"vedette: plain":    errors.New("plain"),
	} {
		b := strings.Builder{}
		report(&b, err)
		if !strings.Contains(b.String(), want) {
			t.Errorf("%v is reported as %q, want %q in it", err, b.String(), want)
		}
	}
}
