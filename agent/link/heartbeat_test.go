package link

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/wire/wirepb"
)

// TestClipped expects what a server takes, whatever sensors say.
func TestClipped(t *testing.T) {
	var fs []*wirepb.Facility
	for range 400 {
		fs = append(fs, &wirepb.Facility{Name: "bpf", State: "missing", Detail: "x" + strings.Repeat("ä", 5000), Remedy: strings.Repeat("\xffx", 5000)})
	}
	got := clipped(fs)
	if len(got) >= 256 {
		t.Errorf("%d facilities", len(got))
	}
	for _, s := range []string{got[0].Detail, got[0].Remedy} {
		if len(s) > 1024 || len(s) < 900 || !utf8.ValidString(s) {
			t.Errorf("%d bytes, UTF-8: %v", len(s), utf8.ValidString(s))
		}
	}
	if got[0].Name != "bpf" || got[0].State != "missing" {
		t.Errorf("%v", got[0])
	}
}
