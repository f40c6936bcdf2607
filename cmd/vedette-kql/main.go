// Command vedette-kql runs recorded KQL cases and corpora of queries on the SQL engine.
//
// It is apart from vedette because it links DuckDB, which needs cgo; `vedette kql run
// --engine sql` and `vedette kql corpus --engine sql` start it. It serves nobody and opens
// no store: the cases bring their tables with them, a corpus is given made rows.
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
	"github.com/vedette-edr/vedette/schema/catalog"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("vedette-kql", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cases := flags.String("cases", "", "file of cases")
	corpus := flags.String("corpus", "", "file of queries, instead of cases")
	perTable := flags.Int("rows", 0, "made rows in each table of a corpus")
	report := flags.String("report", "", "file that takes the outcomes")
	at := flags.String("now", "", "instant of now(), the clock's without it")
	if err := flags.Parse(args); err != nil || *cases == "" && *corpus == "" {
		fmt.Fprintln(stderr, "vedette-kql: -cases or -corpus is needed")
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
	failed := 0
	if *corpus != "" {
		err = runCorpus(ctx, stdout, *corpus, *report, kqltest.Corpus{Catalog: catalog.Tables(), Now: now, Rows: *perTable, Engines: []kqltest.Engine{kqltest.Eval{}, eng}})
	} else {
		failed, err = kqltest.RunFile(ctx, stdout, *cases, *report, eng, now)
	}
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

func runCorpus(ctx context.Context, w io.Writer, path, report string, c kqltest.Corpus) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if report == "" {
		return kqltest.RunCorpus(ctx, w, c, f, nil)
	}
	out, err := os.Create(report)
	if err != nil {
		return err
	}
	if err := kqltest.RunCorpus(ctx, w, c, f, out); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
