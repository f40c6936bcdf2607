package duck_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain gives properties the same seed in every run; -rapid.seed overrides it.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "20240601"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
