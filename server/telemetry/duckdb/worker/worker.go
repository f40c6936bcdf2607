// Package worker is the query worker: a process of its own that runs one tenant's queries
// in DuckDB, shut into a sandbox, and is killed when a query takes too much.
//
// It is the only package that holds DuckDB. It decides nothing: the store tells it what
// to run and how much, and watches it from outside, because DuckDB's own limits do not
// hold for every query (a scalar function may take gigabytes and cannot be interrupted).
//
// The invariant: no statement runs before the sandbox is closed and DuckDB's
// configuration locked. Start with Main.
package worker

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	_ "time/tzdata" // the sandbox has no files of time zones

	_ "github.com/duckdb/duckdb-go/v2" // the engine

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/geoip"
	"github.com/vedette-edr/vedette/kql/sqlgen/duckfn"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// Main runs the worker and returns its exit code. args are the command's arguments: one,
// the JSON of frame.Setup. It ends when in does, whatever it is doing then.
func Main(args []string, in io.Reader, out io.Writer) int {
	hello := frame.Hello{}
	db, err := start(args, &hello)
	if err != nil {
		hello.Error = err.Error()
	}
	if werr := frame.WriteJSON(out, frame.KindHello, hello); err != nil || werr != nil {
		return 1
	}
	// Read apart from the work, so that the end of the store ends a running query.
	requests := make(chan frame.Request)
	var once sync.Once
	go func() {
		r := frame.NewReader(in)
		for {
			k, b, err := r.Next()
			var q frame.Request
			if err == nil && k == frame.KindRequest {
				err = json.Unmarshal(b, &q)
			}
			if err != nil || k != frame.KindRequest {
				once.Do(func() { os.Exit(0) })
			}
			requests <- q
		}
	}()
	for q := range requests {
		d := frame.Done{}
		if err := run(db, &q, out); err != nil {
			d.Failure, d.Error = classify(err), err.Error()
		}
		if frame.WriteJSON(out, frame.KindDone, d) != nil {
			return 1
		}
	}
	return 0
}

func start(args []string, hello *frame.Hello) (*sql.Conn, error) {
	if len(args) != 1 {
		return nil, errors.New("worker: want one argument")
	}
	var s frame.Setup
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return nil, fmt.Errorf("worker: argument: %w", err)
	}
	// From inside there is no file but the tenant's.
	places, err := openPlaces(s.Places)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	lacks, err := enter(&s)
	if err != nil {
		return nil, fmt.Errorf("worker: sandbox: %w", err)
	}
	hello.Lacks = strings.Join(lacks, ", ")
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	if err := duckfn.Register(conn, places); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	allowed := []string{s.Data}
	if s.Out != "" {
		allowed = append(allowed, s.Out)
	}
	for _, set := range []string{
		fmt.Sprintf("SET memory_limit='%dB'", s.Memory),
		fmt.Sprintf("SET threads=%d", max(1, s.Threads)),
		"SET temp_directory=''",
		"SET autoinstall_known_extensions=false",
		"SET autoload_known_extensions=false",
		"SET allow_community_extensions=false",
		"SET parquet_metadata_cache=true",
		"SET preserve_insertion_order=false",
		// Each operator of a query is a step of depth to DuckDB, and the binder allows thousands.
		"SET max_expression_depth=20000",
		"SET TimeZone='UTC'",
		"SET allowed_directories=" + list(allowed),
		"SET enable_external_access=false",
		"SET lock_configuration=true",
	} {
		if _, err := conn.ExecContext(context.Background(), set); err != nil {
			return nil, fmt.Errorf("worker: %s: %w", set, err)
		}
	}
	return conn, nil
}

// openPlaces opens the database of places, nil for no path. It is open as long as the
// process lives.
func openPlaces(path string) (funcs.Places, error) {
	if path == "" {
		return nil, nil
	}
	return geoip.Open(path)
}

// list renders paths as a SQL list.
func list(paths []string) string {
	quoted := make([]string, len(paths))
	for i, p := range paths {
		quoted[i] = "'" + strings.ReplaceAll(p, "'", "''") + "'"
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

var (
	errRows  = errors.New("too many rows")
	errBytes = errors.New("too many bytes")
)

func classify(err error) frame.Failure {
	switch {
	case errors.Is(err, errRows):
		return frame.FailRows
	// A frame holds at least one row: what fits in none is too large whatever its limits.
	case errors.Is(err, errBytes), errors.Is(err, frame.ErrMalformed):
		return frame.FailBytes
	case strings.Contains(err.Error(), "Out of Memory"), strings.Contains(err.Error(), "bad_alloc"):
		return frame.FailMemory
	// The texts of EMFILE and ENFILE, of which DuckDB gives nothing else.
	case strings.Contains(err.Error(), "Too many open files"):
		return frame.FailFiles
	}
	return frame.FailQuery
}
