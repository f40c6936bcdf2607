package kqltest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/types"
)

// evalFloor is the number of cases that pass on eval; it only ever grows.
const evalFloor = 327

func TestOracleOnEval(t *testing.T) {
	path := "../../../shared/oracle/kql-emulator-cases.json"
	cases, err := kqltest.LoadCases(path)
	if os.IsNotExist(err) {
		t.Skip("the oracle file is not beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	// The instant at which the emulator's answers were recorded.
	now := types.FromTime(time.Date(2026, 8, 2, 22, 0, 0, 0, time.UTC))
	passed, total := 0, 0
	for _, o := range kqltest.RunCases(context.Background(), cases, kqltest.Eval{}, now) {
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
	t.Logf("eval: %d of %d cases without geometry pass", passed, total)
	if passed < evalFloor {
		t.Errorf("%d cases pass, fewer than the %d that did", passed, evalFloor)
	}
}
