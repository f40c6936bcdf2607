package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/geoip"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/catalog"
)

type kqlCommand struct {
	Check   kqlCheck   `cmd:"" help:"Check files of KQL against the hunting tables."`
	Run     kqlRun     `cmd:"" help:"Run recorded cases and compare their answers."`
	Corpus  kqlCorpus  `cmd:"" help:"Count how many queries of a corpus parse, bind, compile and execute on an empty store."`
	Schema  kqlSchema  `cmd:"" help:"Columns and types of a query's result, as JSON."`
	Explain kqlExplain `cmd:"" help:"Plan and SQL of a query."`
}

func nowTicks() int64 { return types.FromTime(time.Now()) }

func compileKQL(text string) (*kql.Query, error) {
	return kql.Compile(text, catalog.Tables(), kql.Options{Now: nowTicks()})
}

type kqlCheck struct {
	Files []string `arg:"" type:"existingfile" help:"Files, each one query."`
}

// Run prints FILE:LINE:COLUMN: CODE: MESSAGE for every error.
func (c *kqlCheck) Run(s *session) error {
	bad := 0
	for _, path := range c.Files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = compileKQL(string(text))
		if err == nil {
			continue
		}
		bad++
		var list kql.Errors
		if !errors.As(err, &list) {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, e := range list {
			fmt.Fprintf(s.errs, "%s:%s\n", path, e)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d files have errors", bad, len(c.Files))
	}
	return nil
}

type kqlRun struct {
	Cases  string `required:"" type:"existingfile" help:"File of cases: {\"cases\": [{id, kql, columns, column_types, rows}]}."`
	Engine string `enum:"eval,sql" default:"eval" help:"Engine: ${enum}. The SQL engine is the program vedette-kql beside this one."`
	Report string `type:"path" help:"File that takes the outcome of each case, as JSON."`
	Now    string `help:"Instant of now(), as a datetime; the clock's without it."`
	GeoIP  string `name:"geoip" type:"existingfile" help:"File in MaxMind's format for geo_info_from_ip_address (engine eval)."`
	Files  string `type:"existingdir" help:"Directory with the files of externaldata, by the last part of their addresses (engine eval)."`
}

func (c *kqlRun) Run(s *session) error {
	if c.Engine == "sql" && (c.GeoIP != "" || c.Files != "") {
		return errors.New("--geoip and --files are for the engine eval")
	}
	if c.Engine == "sql" {
		return c.sql(s)
	}
	now := nowTicks()
	if c.Now != "" {
		t, ok := types.ParseDatetime(c.Now)
		if !ok {
			return fmt.Errorf("%q is no datetime", c.Now)
		}
		now = t
	}
	var eng kqltest.Eval
	if c.GeoIP != "" {
		places, err := geoip.Open(c.GeoIP)
		if err != nil {
			return err
		}
		defer func() { _ = places.Close() }()
		eng.Places = places
	}
	if c.Files != "" {
		root, err := os.OpenRoot(c.Files)
		if err != nil {
			return err
		}
		defer func() { _ = root.Close() }()
		eng.Files = func(_ context.Context, uri string) (io.ReadCloser, error) {
			if u, err := url.Parse(uri); err == nil {
				uri = u.Path
			}
			return root.Open(path.Base(uri))
		}
	}
	failed, err := kqltest.RunFile(s.ctx, s.out.w, c.Cases, c.Report, eng, now)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d cases failed", failed)
	}
	return err
}

func (c *kqlRun) sql(s *session) error {
	args := []string{"-cases", c.Cases}
	if c.Report != "" {
		args = append(args, "-report", c.Report)
	}
	if c.Now != "" {
		args = append(args, "-now", c.Now)
	}
	return sqlProgram(s, args)
}

// sqlProgram runs vedette-kql, which links the database that this program does without.
func sqlProgram(s *session, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(self), "vedette-kql")
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("vedette-kql"); err != nil {
			return fmt.Errorf("the SQL engine is the program vedette-kql; it is neither beside this one nor in PATH")
		}
	}
	cmd := exec.CommandContext(s.ctx, path, args...)
	cmd.Stdout, cmd.Stderr = s.out.w, s.errs
	return cmd.Run()
}

type kqlCorpus struct {
	File   string `arg:"" type:"existingfile" help:"File with one {\"text\": …} a line."`
	Report string `type:"path" help:"File that takes how far each query came, one JSON object a line."`
	Engine string `enum:"eval,sql" default:"eval" help:"Engine: ${enum}. With sql both run and their answers are compared."`
	Rows   int    `default:"0" help:"Made rows in each table; 0 is an empty store."`
}

func (c *kqlCorpus) Run(s *session) error {
	if c.Engine == "sql" {
		args := []string{"-corpus", c.File, "-rows", strconv.Itoa(c.Rows)}
		if c.Report != "" {
			args = append(args, "-report", c.Report)
		}
		return sqlProgram(s, args)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	var report io.Writer
	if c.Report != "" {
		out, err := os.Create(c.Report)
		if err != nil {
			return err
		}
		defer out.Close()
		report = out
	}
	run := kqltest.Corpus{Catalog: catalog.Tables(), Now: nowTicks(), Rows: c.Rows, Engines: []kqltest.Engine{kqltest.Eval{}}}
	if err := kqltest.RunCorpus(s.ctx, s.out.w, run, f, report); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return nil
}

type kqlSchema struct {
	Query string `arg:"" help:"KQL text, @FILE to read it from a file, or - for standard input."`
}

func (c *kqlSchema) Run(s *session) error {
	q, err := queryOf(c.Query)
	if err != nil {
		return err
	}
	type column struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	out := []column{}
	for _, col := range q.Columns {
		t := col.Type
		if col.JSONString {
			t = types.Dynamic
		}
		out = append(out, column{col.Name, t.String()})
	}
	enc := json.NewEncoder(s.out.w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

type kqlExplain struct {
	Query string `arg:"" help:"KQL text, @FILE to read it from a file, or - for standard input."`
}

func (c *kqlExplain) Run(s *session) error {
	q, err := queryOf(c.Query)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.out.w, "%s\n", plan.Print(q.Root)); err != nil {
		return err
	}
	return explainSQL(s, q.Root)
}

// explainSQL prints the statements of a plan: one, or those below what the interpreter runs.
func explainSQL(s *session, n plan.Node) error {
	text, _, err := sqlgen.Generate(n, relations{})
	var no *sqlgen.Unsupported
	switch {
	case err == nil:
		_, err = fmt.Fprintf(s.out.w, "-- SQL\n%s\n", text)
		return err
	case !errors.As(err, &no):
		return err
	}
	if _, err := fmt.Fprintf(s.out.w, "-- in the interpreter: %s\n", strings.SplitN(plan.Print(n), "\n", 2)[0]); err != nil {
		return err
	}
	for _, in := range n.Inputs() {
		if err := explainSQL(s, in); err != nil {
			return err
		}
	}
	return nil
}

func queryOf(arg string) (*kql.Query, error) {
	text, err := argText(arg)
	if err != nil {
		return nil, err
	}
	return compileKQL(text)
}

// relations shows every scan as a relation of its table's name.
type relations struct{}

// Source implements sqlgen.Sources.
func (relations) Source(scan *plan.Scan) (sqlgen.Source, error) {
	if scan.External != nil {
		return sqlgen.Source{}, nil
	}
	return sqlgen.Source{Relation: scan.Base}, nil
}
