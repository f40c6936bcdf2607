// Package history is the record of how one thing became what it is: which field was
// changed from what to what, when and by whom. Analysts read it beside an alert or an
// incident.
//
// It is not the audit record: that one is a chain over everything that anybody did and is
// there to be verified; this one is kept by object and is there to be read. Entries are
// only ever added, in the transaction of the change they tell of. Start at Entry.
package history

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Object is what a history is of.
type Object struct {
	Tenant ident.TenantID
	Noun   string // "alert", "incident"
	ID     string
}

// Entry is one change of one field.
type Entry struct {
	Seq   int64 // 1, 2, 3, … within the object; given by the store
	At    time.Time
	By    ident.Actor
	Field string // as the published API names it, or a word for what happened: "created", "merged"
	Old   string // "" for none
	New   string // "" for none
}

// MaxText bounds the Old and New of an entry, in bytes; longer ones are cut by Cut.
const MaxText = 4096

// Store keeps histories. Every method is safe for concurrent use.
type Store interface {
	// AppendHistory adds entries to the history of o, in their order.
	AppendHistory(ctx context.Context, o Object, entries ...Entry) error
	// History returns up to limit entries of o whose Seq is greater than after, oldest first.
	History(ctx context.Context, o Object, after int64, limit int) ([]Entry, error)
}

// Discard is a Store that keeps nothing, for parts that run without one.
var Discard Store = discard{}

type discard struct{}

func (discard) AppendHistory(context.Context, Object, ...Entry) error { return nil }

func (discard) History(context.Context, Object, int64, int) ([]Entry, error) { return nil, nil }

// Diff collects the entries of one change.
type Diff struct {
	At      time.Time
	By      ident.Actor
	Entries []Entry
}

// Field adds an entry when the field differs.
func (d *Diff) Field(name, was, is string) {
	if was != is {
		d.Entries = append(d.Entries, Entry{At: d.At, By: d.By, Field: name, Old: Cut(was), New: Cut(is)})
	}
}

// Cut shortens a text to MaxText bytes, on a border between characters.
func Cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	n := MaxText
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
