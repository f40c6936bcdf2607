package duck_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/types"
)

// sqlFloor is the number of cases that pass on SQL; it only ever grows.
const sqlFloor = 328

func TestOracleOnDuckDB(t *testing.T) {
	cases, err := kqltest.LoadCases("../../../../shared/oracle/kql-emulator-cases.json")
	if os.IsNotExist(err) {
		t.Skip("the oracle file is not beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	eng, err := duck.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	// The instant at which the emulator's answers were recorded.
	now := types.FromTime(time.Date(2026, 8, 2, 22, 0, 0, 0, time.UTC))
	passed, total := 0, 0
	for _, o := range kqltest.RunCases(ctx, cases, eng, now) {
		if o.Class == "geometry" {
			continue
		}
		total++
		if o.Passed {
			passed++
		} else {
			t.Logf("%s (%s): %s", o.ID, o.Class, o.Reason)
		}
	}
	t.Logf("duckdb: %d of %d cases without geometry pass", passed, total)
	if passed < sqlFloor {
		t.Errorf("%d cases pass, fewer than the %d that did", passed, sqlFloor)
	}
}

func TestScriptsOnDuckDB(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.kql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	now := types.FromTime(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			kqltest.RunScript(t, string(b), eng, &kqltest.Data{}, now)
		})
	}
}
