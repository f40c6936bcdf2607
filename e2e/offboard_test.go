package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestADeviceLeaves offboards a device: its last word is the proof, its
// certificate is worth nothing afterwards, and its agent does nothing more, not even after a
// restart with the token that it had.
func TestADeviceLeaves(t *testing.T) {
	s := startServer(t)
	a := startAgent(t, s, "")
	device := s.onlyDevice(t)
	ctx := context.Background()
	act, err := s.Act(ctx, device.ID, "offboard", map[string]any{"Comment": "it is sold"})
	if err != nil {
		t.Fatal(err)
	}
	ended := func(id, want string) *client.ActionDetail {
		t.Helper()
		var d *client.ActionDetail
		await(t, "the action to be "+want, func() (err error) {
			if d, err = s.ActionDetail(ctx, id); err == nil && d.State != want {
				err = fmt.Errorf("it is %s: %s", d.State, d.Truth)
			}
			return err
		})
		return d
	}
	d := ended(act.ID, "verified")
	if last := d.Steps[len(d.Steps)-1]; last.Actor != device.Name || !strings.Contains(string(last.Evidence), `"indicators"`) {
		t.Errorf("the last word: %+v", last)
	}
	idle := func() {
		t.Helper()
		await(t, "the agent to do nothing", func() error {
			if !strings.Contains(a.out.String(), "this device was offboarded: the agent does nothing") {
				return fmt.Errorf("%s", a.out)
			}
			return nil
		})
	}
	idle()
	raw, err := os.ReadFile(filepath.Join(a.state, "offboarded.json"))
	if err != nil || !strings.Contains(string(raw), act.ID) {
		t.Errorf("%s, %v", raw, err)
	}
	status := func() string {
		var m struct {
			Status string `json:"onboardingStatus"`
		}
		if err := s.Do(ctx, "GET", "/api/machines/"+device.ID, nil, &m); err != nil {
			t.Fatal(err)
		}
		return m.Status
	}
	if got := status(); got != "CanBeOnboarded" {
		t.Errorf("onboardingStatus %s", got)
	}
	if _, err := s.Act(ctx, device.ID, "collectInvestigationPackage", map[string]any{"Comment": "x"}); err == nil {
		t.Error("a device that left is asked for something")
	}
	// Neither a restart nor the token of then brings it back.
	a.stop()
	a.process = start(t, a.args[0], a.args[1:]...)
	idle()
	time.Sleep(time.Second) // time in which it would enrol, if it did
	if got := status(); got != "CanBeOnboarded" {
		t.Errorf("after a restart: onboardingStatus %s", got)
	}
}
