package link

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want); d < -time.Second || d > time.Second {
		t.Errorf("%s: %s, not %s", what, got, want)
	}
}

func TestServersTimeOutlastsTheAgent(t *testing.T) {
	dir := t.TempDir()
	device := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return device }
	c := OpenClock(dir, clock)
	near(t, "before the server said anything", c.Now(), device)
	said := time.Date(2026, 5, 5, 5, 5, 5, 0, time.UTC)
	c.heard(said)
	device = device.AddDate(30, 0, 0) // somebody sets the device's clock
	near(t, "what it said", c.Now(), said)
	near(t, "after a restart", OpenClock(dir, clock).Now(), said)

	// After another boot only the device's clock goes on, and never before what was said.
	raw, err := json.Marshal(keptClock{Said: said, At: 1, BootID: "another"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, clockFile), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	near(t, "after a boot, by a later clock", OpenClock(dir, clock).Now(), device)
	device = said.AddDate(-1, 0, 0)
	near(t, "after a boot, by an earlier clock", OpenClock(dir, clock).Now(), said)
	if err := os.WriteFile(filepath.Join(dir, clockFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	near(t, "from a damaged file", OpenClock(dir, clock).Now(), device)
}
