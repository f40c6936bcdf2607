package server

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/detect/backtest"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
)

// TestMain keeps the test binary from being taken for a server's program: a query that went
// to the embedded store would start it as a worker, which would run all tests again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		fmt.Fprintln(os.Stderr, "the tests of this package run queries in memory: see inMemory")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// inMemory makes the server answer queries by the interpreter of KQL, over rows that a test
// adds. It has to be called before the routes are made.
func inMemory(s *Server) *hunttest.Memory {
	rows := &hunttest.Memory{}
	s.stream.hunts = hunt.New(hunt.Config{Store: rows, Audit: s.control.audit, Devices: s.control.groups,
		Quota: hunt.Quota{Hour: 1000 * time.Hour, Day: 1000 * time.Hour}})
	s.detect.backtests.Close()
	s.detect.backtests = backtest.New(backtest.Config{Store: rows, Hunter: s.stream.hunts, Devices: s.control.groups})
	return rows
}
