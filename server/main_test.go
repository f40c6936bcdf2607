package server

import (
	"os"
	"testing"

	"github.com/vedette-edr/vedette/server/telemetry/duckdb/worker"
)

// TestMain lets the test binary be the query worker of the servers under test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(worker.Main(os.Args[2:], os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}
