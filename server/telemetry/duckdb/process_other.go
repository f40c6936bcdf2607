//go:build !linux

package duckdb

import (
	"errors"
	"math"
	"os"
	"os/exec"
)

func isRoot() bool { return false }

func boxes(*WorkerConfig) []box { return nil }

func startLocked(cmd *exec.Cmd) error { return cmd.Start() }

// readUsage cannot be had: queries are bounded by time and by DuckDB's own limits.
func readUsage(int) (usage, error) { return usage{}, errors.ErrUnsupported }

// freeSpace is not asked for: a full disk shows as failing writes.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }

func openPlain(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR, 0) }
