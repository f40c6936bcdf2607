package storetest

import (
	"fmt"
	"testing"

	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/ident"
)

// Audit tests an audit.Store. open returns an empty one.
func Audit(t *testing.T, open func(testing.TB) audit.Store) {
	s, ctx := open(t), t.Context()
	for _, err := range together(40, func(i int) error {
		tenant := []ident.TenantID{tenantA, tenantB}[i%2]
		_, err := s.AppendAudit(ctx, tenant, func(last audit.Record) audit.Record {
			return audit.Record{
				Seq: last.Seq + 1, Hash: append([]byte{byte(last.Seq + 1)}, last.Hash...),
				Entry: audit.Entry{At: base, Tenant: tenant, Verb: "x.y", Detail: fmt.Sprint("<é\x01>", i), Outcome: audit.Done},
			}
		})
		return err
	}) {
		check(t, err)
	}
	var all []audit.Record
	for {
		page, err := s.AuditRecords(ctx, tenantA, int64(len(all)), 7)
		check(t, err)
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	if len(all) != 20 {
		t.Fatalf("%d records of one tenant, want 20", len(all))
	}
	for i, r := range all {
		if r.Seq != int64(i+1) || len(r.Hash) != i+1 || r.Tenant != tenantA || !r.At.Equal(base) {
			t.Errorf("record %d is %+v: appending is not one transaction", i, r)
		}
	}
	latest, err := s.LatestAudit(ctx, tenantA, 0, 7)
	check(t, err)
	older, err := s.LatestAudit(ctx, tenantA, 14, 100)
	check(t, err)
	if len(latest) != 7 || latest[0].Seq != 20 || latest[6].Seq != 14 || len(older) != 13 || older[0].Seq != 13 || older[0].Tenant != tenantA {
		t.Errorf("the latest records are %+v, those before %+v", latest, older)
	}
}
