package hunt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of a process tree: how far up and down it goes, and how many processes it shows.
const (
	treeUp       = 12
	treeDown     = 4
	treeSize     = 300
	treeBefore   = 7 * 24 * time.Hour // how long before a process its ancestors are looked for
	treeAfter    = 24 * time.Hour     // how long after it its descendants are
	treeSameTime = 2 * time.Second    // a device's clock may be corrected by less than that
)

// TreeNode is one process of a tree.
type TreeNode struct {
	Process event.Process
	// Parent is the index of its parent in the tree, -1 for none.
	Parent int
	// Root says that the tree was asked for from this process.
	Root bool
}

// Tree is processes with their parents, ancestors before descendants.
type Tree struct {
	Nodes []TreeNode
	// More says that there are processes beyond those shown.
	More bool
}

// ProcessTree returns the ancestors and descendants of a process of a device, as its
// telemetry tells them, and the process itself. A process that telemetry does not know is
// alone in its tree. Permission is decided by the caller, before.
func (s *Service) ProcessTree(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, of event.Process) (*Tree, error) {
	const op = "hunt.ProcessTree"
	id, err := literal(op, device)
	if err != nil {
		return nil, err
	}
	w := treeWalk{service: s, tenant: tenant, device: id, from: of.Start.Add(-treeBefore), to: of.Start.Add(treeAfter)}
	chain, err := w.up(ctx, of)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	t := &Tree{}
	for i, p := range slices.Backward(chain) {
		t.Nodes = append(t.Nodes, TreeNode{Process: p, Parent: len(t.Nodes) - 1, Root: i == 0})
	}
	return t, errs.Wrap(op, w.down(ctx, t))
}

// treeWalk asks for the processes around one.
type treeWalk struct {
	service  *Service
	tenant   ident.TenantID
	device   string // literal
	from, to time.Time
}

// created asks for rows of processes that were created, where a condition holds.
func (w *treeWalk) created(ctx context.Context, where string, limit int) ([]*Event, error) {
	rows, err := w.service.lookup(ctx, w.tenant, fmt.Sprintf(
		`DeviceProcessEvents | where Timestamp between (%s .. %s) and DeviceId == %s and ActionType == "ProcessCreated" and %s | sort by Timestamp asc | take %d`,
		types.NewDatetime(types.FromTime(w.from)).Literal(), types.NewDatetime(types.FromTime(w.to)).Literal(), w.device, where, limit))
	if err != nil {
		return nil, err
	}
	var out []*Event
	for _, r := range rows.rows {
		if e := rows.event(r); e.Process != nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// up returns the process and its ancestors, the nearest first.
func (w *treeWalk) up(ctx context.Context, of event.Process) ([]event.Process, error) {
	chain := []event.Process{of}
	for len(chain) < treeUp {
		last := &chain[len(chain)-1]
		if last.PID == 0 || last.Start.IsZero() {
			break
		}
		found, err := w.created(ctx, fmt.Sprintf("ProcessId == %d and ProcessCreationTime between (%s .. %s)", last.PID,
			types.NewDatetime(types.FromTime(last.Start.Add(-treeSameTime))).Literal(), types.NewDatetime(types.FromTime(last.Start.Add(treeSameTime))).Literal()), 10)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			// It began before telemetry did: what is known of its parent it says itself.
			if p := last.Parent; p.PID != 0 && len(chain) < treeUp {
				chain = append(chain, event.Process{PID: p.PID, Start: p.Start, Image: event.File{Name: p.FileName, Size: -1}})
			}
			break
		}
		// The last image it ran is what it is.
		e := found[len(found)-1]
		merge(last, e.Process)
		by := found[0].Initiating
		if by == nil || by.PID == last.PID {
			break
		}
		chain = append(chain, *by)
	}
	return chain, nil
}

// merge fills in what p does not say from the row of its creation.
func merge(p, row *event.Process) {
	if p.Image.Name == "" {
		p.Image = row.Image
	}
	if p.CommandLine == "" {
		p.CommandLine = row.CommandLine
	}
	if p.Account.Name == "" {
		p.Account = row.Account
	}
	if p.Key == 0 {
		p.Key = row.Key
	}
}

// down adds the descendants of the last process of the tree.
func (w *treeWalk) down(ctx context.Context, t *Tree) error {
	level := []int{len(t.Nodes) - 1}
	w.from = t.Nodes[level[0]].Process.Start.Add(-treeSameTime)
	for range treeDown {
		var pids []string
		for _, i := range level {
			if p := &t.Nodes[i].Process; p.PID != 0 {
				pids = append(pids, fmt.Sprint(p.PID))
			}
		}
		if len(pids) == 0 || len(t.Nodes) >= treeSize {
			break
		}
		room := treeSize - len(t.Nodes)
		found, err := w.created(ctx, "InitiatingProcessId in ("+strings.Join(pids, ", ")+")", room+1)
		if err != nil {
			return err
		}
		if len(found) > room {
			t.More, found = true, found[:room]
		}
		above := level
		level = nil
		for _, e := range found {
			parent := slices.IndexFunc(above, func(i int) bool { return same(&t.Nodes[i].Process, e.Initiating) })
			if parent < 0 || e.Process.PID == t.Nodes[above[parent]].Process.PID {
				continue
			}
			known := slices.IndexFunc(t.Nodes, func(n TreeNode) bool { return same(&n.Process, e.Process) })
			if known >= 0 {
				t.Nodes[known].Process.Image, t.Nodes[known].Process.CommandLine = e.Process.Image, e.Process.CommandLine
				continue
			}
			t.Nodes = append(t.Nodes, TreeNode{Process: *e.Process, Parent: above[parent]})
			level = append(level, len(t.Nodes)-1)
		}
	}
	if len(level) > 0 && len(t.Nodes) > 1 {
		t.More = t.More || len(t.Nodes) >= treeSize
	}
	return nil
}

// same reports whether two rows tell of one process.
func same(a, b *event.Process) bool {
	if b == nil || a.PID != b.PID {
		return false
	}
	d := a.Start.Sub(b.Start)
	return a.Start.IsZero() || b.Start.IsZero() || d > -treeSameTime && d < treeSameTime
}
