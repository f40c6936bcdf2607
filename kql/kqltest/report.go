package kqltest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// RunFile runs a file of cases, prints each failure and "N passed, M failed" to w, and
// writes the outcomes to the file report as JSON when that is not "".
func RunFile(ctx context.Context, w io.Writer, path, report string, eng Engine, now int64) (failed int, err error) {
	cases, err := LoadCases(path)
	if err != nil {
		return 0, err
	}
	out := RunCases(ctx, cases, eng, now)
	for _, o := range out {
		if !o.Passed {
			failed++
			if _, err := fmt.Fprintf(w, "%s (%s): %s\n", o.ID, o.Class, o.Reason); err != nil {
				return failed, err
			}
		}
	}
	if _, err := fmt.Fprintf(w, "%d passed, %d failed\n", len(out)-failed, failed); err != nil {
		return failed, err
	}
	return failed, WriteReport(report, out)
}

// WriteReport writes v to a file as indented JSON; to none when path is "".
func WriteReport(path string, v any) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
