package audit_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

func entry(n int) audit.Entry {
	return audit.Entry{
		Tenant: tenant, Actor: ident.Actor{Kind: ident.ActorApp, ID: "x", Name: "Script <é>", Tenant: tenant}, Verb: "action.request",
		Object: fmt.Sprint("object ", n), Detail: "isolate: \xff\x00 " + strings.Repeat("long ", 2000), Outcome: audit.Done,
	}
}

func TestVerifyFindsTampering(t *testing.T) {
	for name, tamper := range map[string]string{
		"changed":        `UPDATE audit SET doc = replace(doc, 'object 3', 'object 9') WHERE seq = 4`,
		"removed":        `DELETE FROM audit WHERE seq = 4`,
		"removed first":  `DELETE FROM audit WHERE seq = 1`,
		"cut off":        `DELETE FROM audit WHERE seq > 7`,
		"all gone":       `DELETE FROM audit`,
		"swapped":        `UPDATE audit SET seq = CASE seq WHEN 4 THEN -1 ELSE 4 END WHERE seq IN (4, 5); UPDATE audit SET seq = 5 WHERE seq = -1`,
		"renumbered":     `DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1, doc = replace(doc, '"Seq":' || seq, '"Seq":' || (seq - 1)) WHERE seq > 4`,
		"other tenant's": `UPDATE audit SET doc = replace(doc, '"Tenant":"0a0a0a0a', '"Tenant":"0b0b0b0b') WHERE seq = 10`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := store.Open(t.Context(), store.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			log := audit.New(s.Audit(), s.Key().Derive("audit"), func() time.Time { return time.Now() })
			for n := range 10 {
				if err := log.Record(t.Context(), entry(n)); err != nil {
					t.Fatal(err)
				}
			}
			head, err := log.Verify(t.Context(), tenant, audit.Head{})
			if err != nil || head.Seq != 10 {
				t.Fatalf("head %+v, %v", head, err)
			}
			if err := log.Record(t.Context(), entry(10)); err != nil {
				t.Fatal(err)
			}
			if _, err := log.Verify(t.Context(), tenant, head); err != nil {
				t.Fatalf("a chain that grew: %v", err)
			}
			db, err := sql.Open("sqlite", filepath.Join(dir, "control.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(tamper); err != nil {
				t.Fatal(err)
			}
			if _, err := log.Verify(t.Context(), tenant, head); !errs.Is(err, errs.Conflict) {
				t.Errorf("not found: %v", err)
			}
		})
	}
}

func TestAnotherKeyDoesNotFit(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := audit.New(s.Audit(), []byte("forger"), nil).Record(t.Context(), entry(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.New(s.Audit(), s.Key().Derive("audit"), nil).Verify(t.Context(), tenant, audit.Head{}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a record made without the key: %v", err)
	}
}
