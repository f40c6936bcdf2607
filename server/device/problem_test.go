package device

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProblems(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		device Device
		want   []string // what each problem holds
	}{
		"none":    {Device{Offset: time.Second, Facilities: []Facility{{Name: "exec", State: "working"}}}, []string{}},
		"behind":  {Device{Offset: 48 * time.Hour}, []string{"48h0m0s behind the server's"}},
		"ahead":   {Device{Offset: -48 * time.Hour}, []string{"48h0m0s ahead of the server's"}},
		"clone":   {Device{Clone: &Clone{At: at}}, []string{"2026-03-01T12:00:00Z"}},
		"dropped": {Device{Spool: Spool{Dropped: 7}}, []string{"dropped 7 events"}},
		"sensor":  {Device{Facilities: []Facility{{Name: "exec", State: "missing", Detail: "no BPF", Remedy: "root"}}}, []string{"exec is missing: no BPF (to mend it: root)"}},
	} {
		got := c.device.Problems()
		if len(got) == len(c.want) {
			for i := range got {
				if strings.Contains(got[i], c.want[i]) {
					got[i] = c.want[i]
				}
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
