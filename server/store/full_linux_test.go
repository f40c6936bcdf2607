package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// TestDiskFull fills a small file system: writes fail with StoreFull and are not kept,
// reads go on, and when there is room again the same store writes again.
func TestDiskFull(t *testing.T) {
	dir := mounttest.Tmpfs(t, "size=4m")
	s := open(t, dir)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := int64(0)
	write := func() error {
		_, err := s.Alerts().CreateAlerts(t.Context(), []*alert.Alert{{
			ID: ident.AlertID(fmt.Sprintf("da%d_1", kept)), Tenant: tenant, Description: strings.Repeat("x", 20_000),
		}})
		return err
	}
	var err error
	for err = write(); err == nil; err = write() {
		if kept++; kept > 1000 {
			t.Fatal("the disk never fills up")
		}
	}
	var e *errs.E
	if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.Code != errs.StoreFull || e.Retry == 0 {
		t.Fatalf("on a full disk: %v", err)
	}
	if n := count(t, s); n != kept {
		t.Errorf("%d alerts on the full disk, %d were acknowledged", n, kept)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	kept++
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, dir)); n != kept {
		t.Errorf("%d alerts after reopening, %d were acknowledged", n, kept)
	}
}
