// Command vedette-kql runs recorded KQL cases on the SQL engine.
//
// It is apart from vedette because it links DuckDB, which needs cgo; `vedette kql run
// --engine sql` starts it. It serves nobody and opens no store: the cases bring their
// tables with them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/types"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("vedette-kql", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cases := flags.String("cases", "", "file of cases")
	report := flags.String("report", "", "file that takes the outcomes")
	at := flags.String("now", "", "instant of now(), the clock's without it")
	if err := flags.Parse(args); err != nil || *cases == "" {
		fmt.Fprintln(stderr, "vedette-kql: -cases is needed")
		return 2
	}
	now := types.FromTime(time.Now())
	if *at != "" {
		t, ok := types.ParseDatetime(*at)
		if !ok {
			fmt.Fprintf(stderr, "vedette-kql: %q is no datetime\n", *at)
			return 2
		}
		now = t
	}
	ctx := context.Background()
	eng, err := duck.New(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "vedette-kql:", err)
		return 1
	}
	failed, err := kqltest.RunFile(ctx, stdout, *cases, *report, eng, now)
	if cerr := eng.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fmt.Fprintln(stderr, "vedette-kql:", err)
		return 1
	}
	if failed > 0 {
		return 1
	}
	return 0
}
