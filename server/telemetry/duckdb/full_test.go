package duckdb

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/vedette-edr/vedette/server/errs"
)

// TestFullDisk fills a small file system under the store and frees it again, once with a
// reserve that the store respects, once down to the last byte.
func TestFullDisk(t *testing.T) {
	for name, reserve := range map[string]int64{"reserve": 4 << 20, "last byte": 1} {
		t.Run(name, func(t *testing.T) {
			disk := mounttest.Tmpfs(t, "size=16m")
			cfg := testConfig(filepath.Join(disk, "store"))
			cfg.Reserve = reserve
			s := openStore(t, cfg)
			mustAppend(t, s, makeBatch(tenantA, 1, 1, 10))
			cutAll(t, s)

			ballast := filepath.Join(disk, "ballast")
			fill(t, ballast)
			next := uint64(2)
			eventually(t, "Append is refused", func() bool {
				_, err := s.Append(context.Background(), makeBatch(tenantA, 1, next, 10))
				if err == nil {
					next++
					return false
				}
				e, ok := err.(*errs.E)
				if !ok || e.Kind != errs.Unavailable || e.Code != errs.StoreFull || e.Retry <= 0 {
					t.Fatalf("Append on a full disk: %v", err)
				}
				return true
			})
			if s.Status().Degraded == "" {
				t.Error("the status names no trouble")
			}
			if _, err := s.Append(context.Background(), makeBatch(tenantA, 1, next, 10)); !errs.Is(err, errs.Unavailable) {
				t.Errorf("Append on a full disk: %v", err)
			}

			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the store recovers by itself", func() bool { return s.Status().Degraded == "" })
			mustAppend(t, s, makeBatch(tenantA, 1, next, 10))
			cutAll(t, s)
			s = reopen(t, s)
			rows := ask(t, s, tenantA, "DeviceProcessEvents", "long long", `SELECT count(*), count(DISTINCT ProcessCommandLine) FROM %s`)
			if want := int64(next) * 10; rows[0][0].I != want || rows[0][1].I != want {
				t.Errorf("kept %v, want %d", rows[0], want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s.stop = nil
		})
	}
}

// fill writes until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
}
