package kqltest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/types"
)

var scriptNow = types.FromTime(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))

func TestScriptsOnEval(t *testing.T) {
	files, err := filepath.Glob("testdata/*.kql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			kqltest.RunScript(t, string(b), kqltest.Eval{}, &kqltest.Data{}, scriptNow)
		})
	}
}

func TestHuntsOnEval(t *testing.T) {
	kqltest.RunScript(t, kqltest.HuntScript, kqltest.Eval{}, kqltest.HuntData(scriptNow), scriptNow)
}
