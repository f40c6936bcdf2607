// Command kqlcompare compares our reading of queries with that of Kusto's own parser,
// @kusto/language-service-next: which queries are accepted, and the names and types of
// their results. It needs node, and `npm ci --prefix tools/kqlcompare` once.
//
//	kqlcompare CORPUS.jsonl        queries, {"text": …} a line
//	kqlcompare -mutate N -seed S CORPUS.jsonl   N mutations of each of them as well
//	kqlcompare -calls N -seed S    N calls of every signature of every function
//
// It prints every difference and exits with 1 when less than 99 % of the valid queries
// are accepted or less than 98 % of those have the same columns.
//
// Start at Compare; the parser itself runs in judge.js.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	code, err := run(context.Background(), os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kqlcompare:", err)
		code = 2
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, w io.Writer) (int, error) {
	flags := flag.NewFlagSet("kqlcompare", flag.ContinueOnError)
	mutations := flags.Int("mutate", 0, "mutations of each query")
	calls := flags.Int("calls", 0, "calls of each signature of each function")
	seed := flags.Uint64("seed", 1, "seed of mutations and calls")
	valid := flags.String("valid", "", "file that takes the queries that Kusto's parser accepts")
	show := flags.Bool("show", false, "print the queries that differ")
	dir := flags.String("dir", "tools/kqlcompare", "directory of judge.js")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	j := Judge{Dir: *dir}
	var texts []string
	for _, path := range flags.Args() {
		list, err := readCorpus(path)
		if err != nil {
			return 2, err
		}
		texts = append(texts, list...)
	}
	texts = append(texts, Mutate(texts, *mutations, *seed)...)
	if *calls > 0 {
		sigs, err := j.Signatures(ctx)
		if err != nil {
			return 2, err
		}
		texts = append(texts, Calls(sigs, *calls, *seed)...)
	}
	if len(texts) == 0 {
		return 2, fmt.Errorf("there are no queries to compare")
	}
	s, err := Compare(ctx, j, texts)
	if err != nil {
		return 2, err
	}
	for _, d := range s.Differences {
		fmt.Fprintf(w, "%d: %s: %s\n", d.At+1, d.Kind, d.Detail)
		if *show {
			fmt.Fprintf(w, "\t%s\n", strings.ReplaceAll(d.Text, "\n", "\n\t"))
		}
	}
	fmt.Fprintln(w, s)
	if *valid != "" {
		if err := writeCorpus(*valid, s.ValidTexts); err != nil {
			return 2, err
		}
	}
	if s.Enough() {
		return 0, nil
	}
	return 1, nil
}

func readCorpus(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	var out []string
	for n := 1; lines.Scan(); n++ {
		var q struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		out = append(out, q.Text)
	}
	return out, lines.Err()
}

func writeCorpus(path string, texts []string) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	for _, t := range texts {
		if err := enc.Encode(map[string]string{"text": t}); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
