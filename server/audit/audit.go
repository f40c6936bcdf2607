// Package audit is the tamper-evident record of who did what, to what, and what came of
// it. Records are only ever added.
//
// The records of a tenant form a chain: each carries a keyed hash over its own content
// and the hash of the one before. Changing, removing, inserting or reordering records
// without the installation's key is found by Verify; cutting off the newest ones is found
// by comparing with a Head that was noted elsewhere. It is not a log for diagnosis and not
// an event feed.
package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Outcome is how something ended.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"
	Denied Outcome = "denied" // refused for lack of right or of valid credentials
	Failed Outcome = "failed"
)

// Entry is what is to be recorded.
type Entry struct {
	At      time.Time // zero for now
	Tenant  ident.TenantID
	Actor   ident.Actor
	Verb    string // noun.verb, such as action.request
	Object  string // what it was done to: an id
	Detail  string // for people; never a secret
	Outcome Outcome
}

// Record is an entry in its place in the tenant's chain.
type Record struct {
	Seq int64 // 1, 2, 3, … within the tenant
	Entry
	Hash []byte // over Entry, Seq and the hash of the record before
}

// Head names the newest record of a chain at some time. The zero Head stands for the
// empty chain.
type Head struct {
	Seq  int64
	Hash []byte
}

// Store keeps records. Every method is safe for concurrent use.
type Store interface {
	// AppendAudit keeps the record that next makes of the tenant's newest one, which is
	// zero for the first, in one transaction.
	AppendAudit(ctx context.Context, tenant ident.TenantID, next func(last Record) Record) (Record, error)
	// AuditRecords returns up to limit records of the tenant with Seq greater than after,
	// oldest first.
	AuditRecords(ctx context.Context, tenant ident.TenantID, after int64, limit int) ([]Record, error)
	// LatestAudit returns up to limit records of the tenant with Seq less than before,
	// newest first; 0 stands for behind the newest.
	LatestAudit(ctx context.Context, tenant ident.TenantID, before int64, limit int) ([]Record, error)
}

// Log records what is done.
type Log interface {
	// Record keeps e; it is on stable storage when nil is returned.
	Record(ctx context.Context, e Entry) error
}

// Discard is a Log that keeps nothing, for parts that run without one.
var Discard Log = discard{}

type discard struct{}

func (discard) Record(context.Context, Entry) error { return nil }

// Chain is the Log on a Store.
type Chain struct {
	store Store
	key   []byte
	now   func() time.Time
}

// New returns the log that chains its records with the key: 32 random bytes, kept apart
// from the store. now may be nil for time.Now.
func New(store Store, key []byte, now func() time.Time) *Chain {
	if now == nil {
		now = time.Now
	}
	return &Chain{store: store, key: key, now: now}
}

// Bounds of the texts of an entry, in bytes; longer ones are cut.
const maxText = 4096

// Record implements Log.
func (c *Chain) Record(ctx context.Context, e Entry) error {
	if e.At.IsZero() {
		e.At = c.now()
	}
	e.At = e.At.UTC().Round(0)
	for _, s := range []*string{&e.Verb, &e.Object, &e.Detail, &e.Actor.ID, &e.Actor.Name} {
		*s = cut(*s)
	}
	_, err := c.store.AppendAudit(ctx, e.Tenant, func(last Record) Record {
		r := Record{Seq: last.Seq + 1, Entry: e}
		r.Hash = c.hash(r, last.Hash)
		return r
	})
	return errs.Wrap("audit.Record", err)
}

// hash covers every field of the record, each with its length, after the hash before.
func (c *Chain) hash(r Record, before []byte) []byte {
	m := hmac.New(sha256.New, c.key)
	put := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		m.Write(n[:])
		m.Write(b)
	}
	put(before)
	put(binary.BigEndian.AppendUint64(nil, uint64(r.Seq)))
	for _, s := range []string{
		r.At.UTC().Format(time.RFC3339Nano), string(r.Tenant), string(r.Actor.Kind), r.Actor.ID, r.Actor.Name,
		string(r.Actor.Tenant), r.Verb, r.Object, r.Detail, string(r.Outcome),
	} {
		put([]byte(s))
	}
	return m.Sum(nil)
}

// page is how many records Verify reads at a time.
const page = 1000

// Verify checks the whole chain of a tenant and returns its head. noted is a head that
// was noted earlier, or zero: the chain must still go through it. A chain that is broken
// is errs.Conflict and the detail names the first record that does not fit.
func (c *Chain) Verify(ctx context.Context, tenant ident.TenantID, noted Head) (Head, error) {
	const op = "audit.Verify"
	var head Head
	for {
		records, err := c.store.AuditRecords(ctx, tenant, head.Seq, page)
		if err != nil {
			return head, errs.Wrap(op, err)
		}
		for _, r := range records {
			switch {
			case r.Seq != head.Seq+1:
				return head, errs.New(op, errs.Conflict, "", "record %d is missing", head.Seq+1)
			case r.Tenant != tenant || !hmac.Equal(r.Hash, c.hash(r, head.Hash)):
				return head, errs.New(op, errs.Conflict, "", "record %d does not fit the chain", r.Seq)
			case r.Seq == noted.Seq && !hmac.Equal(r.Hash, noted.Hash):
				return head, errs.New(op, errs.Conflict, "", "record %d is not the one that was noted", r.Seq)
			}
			head = Head{Seq: r.Seq, Hash: r.Hash}
		}
		if len(records) < page {
			break
		}
	}
	if head.Seq < noted.Seq {
		return head, errs.New(op, errs.Conflict, "", "records %d to %d are missing", head.Seq+1, noted.Seq)
	}
	return head, nil
}

// Records returns up to limit records of the tenant after the given Seq, oldest first.
func (c *Chain) Records(ctx context.Context, tenant ident.TenantID, after int64, limit int) ([]Record, error) {
	r, err := c.store.AuditRecords(ctx, tenant, after, limit)
	return r, errs.Wrap("audit.Records", err)
}

// Latest returns up to limit records of the tenant before the given Seq, newest first; 0
// begins with the newest.
func (c *Chain) Latest(ctx context.Context, tenant ident.TenantID, before int64, limit int) ([]Record, error) {
	r, err := c.store.LatestAudit(ctx, tenant, before, limit)
	return r, errs.Wrap("audit.Latest", err)
}
