package remediate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/walk"
)

// Wanted says what is to be given back: every file with a digest, or one item.
type Wanted struct {
	SHA1   string `json:"sha1,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Item   string `json:"item,omitempty"`
}

func (w *Wanted) means(i quarantine.Item) bool {
	if w.Item != "" {
		return i.ID == w.Item
	}
	return (w.SHA1 == "" || i.SHA1 == w.SHA1) && (w.SHA256 == "" || i.SHA256 == w.SHA256)
}

// Restore gives files back as they were, with their further names and what started them.
// What was given back before is looked at again and left.
func (r *Remediator) Restore(ctx context.Context, w Wanted) (out Outcome) {
	out.Evidence.Files = []File{}
	w.SHA1, w.SHA256 = strings.ToLower(w.SHA1), strings.ToLower(w.SHA256)
	switch {
	case w.Item == "" && w.SHA1 == "" && w.SHA256 == "":
		out.Refused = errors.New("neither item nor sha1 nor sha256 is given")
	case r.cfg.Vault == nil:
		out.Refused = errors.New("this agent has no quarantine")
	}
	if out.Refused != nil {
		return out
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer out.Evidence.bound()
	records, err := r.ledger.all()
	if err != nil {
		out.problem("not all of what was written down can be read: %v", err)
	}
	for _, rec := range records {
		r.reconcile(rec)
	}
	var items []quarantine.Item
	for _, i := range r.cfg.Vault.Items() {
		if w.means(i) && (i.State == quarantine.Quarantined || i.State == quarantine.Restored) {
			items = append(items, i)
		}
	}
	// One that was given back and taken again is two items: the newest of a place counts.
	latest := map[string]int{}
	for n, i := range items {
		latest[i.Path] = n
	}
	given := map[string]bool{}
	for _, n := range slices.Sorted(maps.Values(latest)) {
		i := items[n]
		if r.cfg.Blocked != nil {
			if id, blocked := r.cfg.Blocked(hash.Sums{SHA1: i.SHA1, SHA256: i.SHA256, MD5: i.MD5}); blocked {
				out.Refused = fmt.Errorf("indicator %d blocks the file: it would be taken again at once; change the indicator first", id)
				return out
			}
		}
		if ctx.Err() != nil {
			out.problem("it was broken off: %v", ctx.Err())
			break
		}
		out.Evidence.SHA1, out.Evidence.SHA256, out.Evidence.MD5 = i.SHA1, i.SHA256, i.MD5
		given[i.ID] = r.give(ctx, i, &out)
	}
	for _, rec := range records {
		r.undo(ctx, rec, given, &out)
	}
	if len(out.Evidence.Files) == 0 {
		out.Refused = errors.New("nothing of that is in quarantine on this device")
		return out
	}
	out.Whole = len(out.Problems) == 0
	return out
}

// give gives one item back and looks whether it is what it was.
func (r *Remediator) give(ctx context.Context, i quarantine.Item, out *Outcome) bool {
	row := File{Path: process.Text(i.Path), Item: i.ID, Size: i.Size, State: Restored}
	var err error
	if i.State != quarantine.Restored {
		if _, err = r.cfg.Vault.Restore(ctx, i.ID, ""); errors.Is(err, fs.ErrExist) {
			err = errors.New("another file stands in its place")
		} else if now, ierr := r.cfg.Vault.Item(i.ID); ierr == nil && now.State == quarantine.Restored && err != nil {
			row.Detail = err.Error() // given back, with something lacking
			err = nil
		}
	}
	if err == nil {
		err = r.same(ctx, i)
		out.Removed = true // something was done
	}
	if err != nil {
		row.State, row.Detail = Left, process.Text(err.Error())
		if i.State == quarantine.Restored {
			row.Detail = "it was given back before; since then: " + row.Detail
		}
	}
	if row.Detail != "" {
		out.problem("%s: %s", i.Path, row.Detail)
	}
	out.Evidence.Files = append(out.Evidence.Files, row)
	return err == nil
}

// same is the probe: it compares the file at its place with what the vault has of it.
func (r *Remediator) same(ctx context.Context, i quarantine.Item) error {
	f, err := walk.OpenFile(i.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, sums, err := r.cfg.Pool.Large(ctx, f)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case sums.SHA256 != i.SHA256:
		return errors.New("its content is another")
	case st.Mode&0o7777 != i.Mode:
		return fmt.Errorf("its mode is %o, not %o", st.Mode&0o7777, i.Mode)
	case st.Uid != i.UID || st.Gid != i.GID:
		return fmt.Errorf("it belongs to %d:%d, not %d:%d", st.Uid, st.Gid, i.UID, i.GID)
	case st.Mtim.Nano() != i.Modified.UnixNano():
		return errors.New("its time of modification is another")
	}
	for name, want := range i.Xattrs {
		got := make([]byte, len(want)+1)
		n, err := unix.Fgetxattr(int(f.Fd()), name, got)
		if err != nil || !bytes.Equal(got[:n], want) {
			return fmt.Errorf("its attribute %s is another", name)
		}
	}
	return nil
}

// undo puts links and entries back that a command took together with given items.
func (r *Remediator) undo(ctx context.Context, rec *record, given map[string]bool, out *Outcome) {
	ours := false
	for _, i := range rec.Items {
		ours = ours || given[i]
	}
	for n := range rec.Links {
		l := &rec.Links[n]
		if l.Done || !given[l.Item] {
			continue
		}
		row := File{Path: process.Text(l.Path), Item: l.Item, State: Restored, Detail: "a further name"}
		item, err := r.cfg.Vault.Item(l.Item)
		if err == nil {
			if err = os.Link(item.Path, l.Path); errors.Is(err, fs.ErrExist) && sameFile(item.Path, l.Path) {
				err = nil
			}
		}
		if l.Done = err == nil; err != nil {
			row.State, row.Detail = Left, process.Text(err.Error())
			out.problem("%s: %v", l.Path, err)
		}
		row.Size = item.Size
		out.Evidence.Files = append(out.Evidence.Files, row)
	}
	if !ours {
		return
	}
	for n := range rec.Changes {
		c := &rec.Changes[n]
		if c.Undone {
			continue
		}
		row := Entry{Kind: c.Kind, Path: process.Text(c.Path), State: Restored}
		switch err := persistence.Attach(ctx, *c, vault{v: r.cfg.Vault}); {
		case errors.Is(err, persistence.ErrTouched):
			c.Undone, row.Detail = true, err.Error()
		case err != nil:
			row.State, row.Detail = Left, process.Text(err.Error())
			out.problem("%v", err)
		default:
			c.Undone = true
		}
		out.Evidence.Entries = append(out.Evidence.Entries, row)
	}
	if err := r.ledger.save(rec); err != nil {
		out.problem("what was given back could not be written down: %v", err)
	}
}

func sameFile(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}
