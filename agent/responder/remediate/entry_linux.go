package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/quarantine"
)

// entries takes away what starts the file by itself.
func (j *removal) entries() {
	if j.r.cfg.Persistence == nil {
		return
	}
	found, err := j.r.cfg.Persistence().Find(j.ctx, j.paths)
	if err != nil {
		j.out.problem("not all of what starts programs could be read: %v", err)
	}
	for _, e := range found {
		row := Entry{Kind: e.Kind, Path: process.Text(e.Path), Lines: e.Lines, State: Removed}
		if err := j.detach(e); err != nil {
			row.State, row.Detail = Left, process.Text(err.Error())
			j.out.problem("%s of %s was left: %v", e.Kind, e.Path, err)
		}
		j.out.Evidence.Entries = append(j.out.Evidence.Entries, row)
	}
}

func (j *removal) detach(e persistence.Entry) error {
	if e.Whole() && j.r.cfg.Owners != nil {
		owners, err := j.r.cfg.Owners(j.ctx, []string{e.Path})
		if err != nil {
			return err
		}
		if o, ok := owners[e.Path]; ok {
			return fmt.Errorf("it belongs to the package %s", o.Package)
		}
	}
	at := -1
	keep := func(c persistence.Change) error {
		if at < 0 {
			at = len(j.rec.Changes)
			j.rec.Changes = append(j.rec.Changes, c)
		}
		j.rec.Changes[at] = c
		return j.r.ledger.save(j.rec)
	}
	c, err := persistence.Detach(j.ctx, e, vault{j.r.cfg.Vault, quarantine.Reason{Command: j.why.Command, Indicator: j.why.Indicator, Note: "it started " + strings.ToValidUTF8(e.Names, "�")}}, keep)
	if err != nil && c.Item == "" {
		if at >= 0 { // it was not made
			j.rec.Changes = j.rec.Changes[:at]
			err = errors.Join(err, j.r.ledger.save(j.rec))
		}
		return err
	}
	return errors.Join(err, keep(c))
}

// vault lets package persistence use the quarantine.
type vault struct {
	v   *quarantine.Vault
	why quarantine.Reason
}

// Take implements persistence.Taker.
func (q vault) Take(ctx context.Context, f *os.File, path string) (string, error) {
	item, err := q.v.Take(ctx, quarantine.Source{File: f, Path: path}, q.why)
	return item.ID, err
}

// Give implements persistence.Taker.
func (q vault) Give(ctx context.Context, id string) error {
	_, err := q.v.Restore(ctx, id, "")
	return err
}
