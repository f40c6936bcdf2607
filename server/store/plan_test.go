package store

import (
	"context"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/ident"
)

// TestStatementsOfALargeFleetBeginWhereTheyShould asks SQLite how it goes about statements
// that take milliseconds by the one index and minutes by another on 100,000 devices. No
// small database shows the difference.
func TestStatementsOfALargeFleetBeginWhereTheyShould(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, c := range map[string]struct {
		text string
		args []any
		want []string
	}{
		"the packages of a device": {`SELECT s.product FROM installation i CROSS JOIN software s WHERE i.tenant = @tenant AND i.device = ?` + ofOne +
			` AND i.removed IS NULL@scope AND s.tenant = i.tenant AND s.id = i.software`, []any{"d"},
			[]string{"SEARCH i USING INDEX sqlite_autoindex_installation_1 (tenant=? AND device=?)"}},
		"the packages of a device and their findings": {`SELECT s.product FROM installation i JOIN software s ON s.tenant = i.tenant AND s.id = i.software LEFT` + found + ` LEFT` + rated +
			` WHERE i.tenant = @tenant AND i.device = ?` + ofOne + ` AND i.removed IS NULL AND s.ecosystem IN (SELECT a.ecosystem FROM advisory a WHERE a.tenant = @tenant)`, []any{"d"},
			[]string{"SEARCH i USING INDEX sqlite_autoindex_installation_1 (tenant=? AND device=?)"}},
		"a page of an export": {`SELECT ` + assetSelect + assetWalk + ` AND i.removed IS NULL AND f.ended IS NULL AND (i.device, i.software) >= (?, ?) ORDER BY device, software, vulnerability LIMIT 10`,
			[]any{"d", "s"}, []string{"SEARCH i USING INDEX sqlite_autoindex_installation_1 (tenant=? AND (device,software)>(?,?))"}},
		"a page of the list": {`SELECT ` + assetColumns + ` FROM (` + assetSheet.from + `) AS x ORDER BY device, vulnerability, software LIMIT 10`, nil,
			[]string{"SEARCH i USING INDEX sqlite_autoindex_installation_1 (tenant=? AND device>?)"}},
	} {
		text, args := scoped(t.Context(), c.text, ident.TenantID("t"), c.args...)
		var plan []string
		err := s.view(t.Context(), "test", func(ctx context.Context, q querier) error {
			return eachRow(ctx, q, "EXPLAIN QUERY PLAN "+text, args, func(scan func(...any) error) error {
				var a, b, d int
				var detail string
				err := scan(&a, &b, &d, &detail)
				plan = append(plan, detail)
				return err
			})
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := strings.Join(plan, "\n")
		if strings.Contains(all, "USE TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s: all rows are sorted in\n%s", name, all)
		}
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no %q in\n%s", name, want, all)
			}
		}
	}
}
