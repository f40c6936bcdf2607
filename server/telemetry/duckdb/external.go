package duckdb

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/parquet"
)

// externalDir is where a tenant's workers find the files that stand for externaldata
// while a query runs, below the directory of its segments. No table can have the name.
// What a crash leaves there is removed with other files that the manifest does not name.
const externalDir = "external-data"

// maxFetching bounds the queries that have the rows of external files in memory.
const maxFetching = 2

// externals are the files of one query, by what they stand for: path below the tenant's
// directory, "" for no rows.
type externals map[string]string

// key tells externaldata apart: a let that is used twice is fetched once.
func key(x *plan.External) string {
	type column struct {
		Name string
		Type types.Type
	}
	var cols []column
	for _, c := range x.Cols {
		cols = append(cols, column{c.Name, c.Type})
	}
	var uris []string
	for _, a := range x.Addresses {
		uris = append(uris, a.URI)
	}
	b, _ := json.Marshal([]any{cols, uris, x.Props, x.Given}) // texts and numbers alone
	return string(b)
}

// bring makes files of the externaldata that a query reads. The caller removes them.
func (s *Store) bring(ctx context.Context, q *telemetry.Query) (externals, error) {
	const op = "duckdb.bring"
	var scans []*plan.External
	seen := map[string]bool{}
	plan.Walk(q.Plan, func(n plan.Node) {
		if scan, ok := n.(*plan.Scan); ok && scan.External != nil && !seen[key(scan.External)] {
			seen[key(scan.External)] = true
			scans = append(scans, scan.External)
		}
	})
	states := stateTables(q)
	if len(scans)+len(states) == 0 {
		return nil, nil
	}
	if len(scans) > 0 && q.External == nil {
		return nil, errs.New(op, errs.Unsupported, errs.DisabledFeature,
			"externaldata is not available on this server: queries read the tables of telemetry alone, no addresses and no files")
	}
	if t, ok := ident.ParseTenantID(string(q.Tenant)); !ok || t != q.Tenant {
		return nil, errs.New(op, errs.Invalid, "", "tenant is not an id")
	}
	limits := s.pool.cfg.bounded(q.Limits)
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, errs.New(op, errs.Timeout, "", textTimeout))
	defer cancel()
	// What the caller has in memory anyway waits for nobody who fetches from elsewhere.
	if len(states) > 0 || slices.ContainsFunc(scans, func(x *plan.External) bool { return x.Given == "" }) {
		select {
		case s.fetching <- struct{}{}:
			defer func() { <-s.fetching }()
		case <-ctx.Done():
			return nil, poolError(op, ctx.Err())
		}
	}
	files := externals{}
	for _, table := range states {
		name, err := s.bringState(ctx, q, table)
		if err != nil {
			s.drop(q.Tenant, files)
			return nil, err
		}
		files[stateKey(table)] = name
	}
	for _, x := range scans {
		name, err := s.bringOne(ctx, q, x)
		if err != nil {
			s.drop(q.Tenant, files)
			return nil, err
		}
		files[key(x)] = name
	}
	return files, nil
}

func (s *Store) bringOne(ctx context.Context, q *telemetry.Query, x *plan.External) (string, error) {
	columns := make([]*parquet.Column, len(x.Cols))
	for i, c := range x.Cols {
		columns[i] = parquet.NewColumn(plan.ExternalColumn(i), physicalTypes[c.Type])
	}
	rows := 0
	err := q.External(ctx, x, func(row []types.Value) error {
		rows++
		for i, v := range row {
			putValue(columns[i], v)
		}
		return nil
	})
	if err != nil || rows == 0 || len(columns) == 0 {
		return "", err
	}
	enc, err := parquet.NewEncoder()
	if err != nil {
		return "", err
	}
	b, err := enc.Encode(nil, columns)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s/%d.parquet", externalDir, s.nextID.Add(1))
	path := filepath.Join(s.segmentDir(q.Tenant), name)
	if err := writeSegment(path, b); err != nil {
		return "", &errs.E{Op: "duckdb.bring", Kind: errs.Unavailable, Code: errs.ServiceDegraded, Detail: textBroken, Err: err}
	}
	return name, nil
}

// putValue adds a value to a column of its type, valid UTF-8 if it is text.
func putValue(c *parquet.Column, v types.Value) {
	switch {
	case v.Null:
		c.Null()
	case c.Type == parquet.Bool:
		c.Flag(v.I != 0)
	case c.Type == parquet.Double:
		c.Float(v.F)
	case c.Type == parquet.Text && v.Type == types.Dynamic:
		c.Str(types.MarshalDynamic(v.D))
	case c.Type == parquet.Text:
		c.Str(v.S)
	default:
		c.Int(v.I)
	}
}

// drop removes the files of a query that has ended.
func (s *Store) drop(t ident.TenantID, files externals) {
	for _, name := range files {
		if name != "" {
			// What cannot be removed now is removed at the next start.
			_ = os.Remove(filepath.Join(s.segmentDir(t), name))
		}
	}
}
