package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/quarantine"
)

// Outcome is how a removal ended.
type Outcome struct {
	Evidence Evidence
	// Removed: something was taken, or was taken earlier. Whole: nothing was left, and a
	// second look found neither process nor file.
	Removed, Whole bool
	Refused        error // nothing was tried, for this reason
	Problems       []string
}

func (o *Outcome) problem(format string, args ...any) {
	o.Problems = append(o.Problems, process.Text(fmt.Sprintf(format, args...)))
}

// rounds bounds how often what came back meanwhile is taken again.
const rounds = 3

// patience is how long a killed process may take to end.
const patience = 5 * time.Second

// Remove stops what runs the target, takes it into quarantine and takes away what starts
// it. command is the id under which that is kept; doing it again goes on where it was.
func (r *Remediator) Remove(ctx context.Context, command string, t Target, why quarantine.Reason) (out Outcome) {
	out.Evidence.Files = []File{}
	if err := t.check(); err != nil {
		out.Refused = err
		return out
	}
	if r.cfg.Vault == nil {
		out.Refused = errors.New("this agent has no quarantine")
		return out
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, err := r.ledger.load(command)
	if err != nil {
		out.Refused = err
		return out
	}
	why.Command = command
	job := &removal{r: r, ctx: ctx, rec: rec, why: why, out: &out, ids: map[inode]bool{}, items: map[inode]string{}, spared: map[string]bool{}}
	defer out.Evidence.bound()
	for round := range rounds {
		h := r.find(ctx, t)
		if round == 0 {
			out.Evidence.SHA1, out.Evidence.SHA256 = t.SHA1, t.SHA256
		}
		out.Evidence.Search = &h.search // once it was found its size is known, so the last one saw most
		again := job.round(h)
		h.close()
		if !again || ctx.Err() != nil {
			break
		}
		if round == rounds-1 {
			out.problem("it keeps coming back: something that was not found makes it anew")
		}
		// What came back is looked for where it was found.
		for _, f := range out.Evidence.Files {
			if len(t.Paths) < maxPaths {
				t.Paths = append(t.Paths, f.Path)
			}
		}
	}
	if out.Refused != nil {
		return out
	}
	job.earlier(t)
	r.cfg.Fault("searched")
	if len(job.paths) > 0 {
		job.entries()
	}
	r.cfg.Fault("cleaned")
	if err := ctx.Err(); err != nil {
		out.problem("it was broken off: %v", err)
	}
	out.Whole = out.Removed && len(out.Problems) == 0
	return out
}

// removal is the work of one command.
type removal struct {
	r      *Remediator
	ctx    context.Context
	rec    *record
	why    quarantine.Reason
	out    *Outcome
	ids    map[inode]bool   // of what was taken
	items  map[inode]string // where its content is
	paths  []string         // where it was
	spared map[string]bool  // places that stay
}

// round takes what was found, and reports whether another look is due because there was
// something to take.
func (j *removal) round(h *hunt) (again bool) {
	if len(h.found) == 0 {
		return false
	}
	why, all := j.r.protected(j.ctx, h.found)
	s := h.found[0].sums
	j.out.Evidence.SHA1, j.out.Evidence.SHA256, j.out.Evidence.MD5 = s.SHA1, s.SHA256, s.MD5
	if j.rec.SHA256 == "" {
		j.rec.SHA1, j.rec.SHA256, j.rec.At = s.SHA1, s.SHA256, j.r.cfg.Now().UTC()
	}
	if all != nil && !j.out.Removed {
		j.out.Refused = all
	}
	files := map[inode]bool{}
	var take []*instance
	for i, f := range h.found {
		if why[i] == nil {
			why[i] = all
		}
		if why[i] != nil {
			j.left(f, why[i])
			continue
		}
		files[f.id] = true
		take = append(take, f)
	}
	// A file of which one name is protected is not taken by another one of them.
	for i, f := range h.found {
		if why[i] != nil {
			delete(files, f.id)
		}
	}
	running := runners(files)
	defer func() {
		for i := range running {
			running[i].close()
		}
	}()
	for i := range running {
		if !untouchable(running[i].pid) {
			_ = running[i].signal(unix.SIGSTOP) // it is killed below, or goes on
		}
	}
	j.r.cfg.Fault("stopped")
	failed := map[inode]bool{}
	for _, f := range take {
		if !files[f.id] {
			continue
		}
		if !j.take(f) {
			failed[f.id] = true
			continue
		}
		again = true
	}
	for i := range running {
		j.r.cfg.Fault("ending")
		j.end(&running[i], failed)
	}
	j.r.cfg.Fault("ended")
	return again
}

// left notes, once, a place that stays.
func (j *removal) left(f *instance, why error) {
	if j.spared[f.path] {
		return
	}
	j.spared[f.path] = true
	j.out.problem("%s was left: %v", f.path, why)
	j.out.Evidence.Files = append(j.out.Evidence.Files, File{Path: process.Text(f.path), State: Left, Size: f.stat.Size, Detail: process.Text(why.Error())})
}

// take takes one place of the file.
func (j *removal) take(f *instance) bool {
	row := File{Path: process.Text(f.path), Size: f.stat.Size}
	defer func() { j.out.Evidence.Files = append(j.out.Evidence.Files, row) }()
	if item := j.items[f.id]; item != "" {
		return j.unlink(f, item, &row)
	}
	item, err := j.r.cfg.Vault.Take(j.ctx, quarantine.Source{File: f.file, Path: f.path, At: f.at, Expect: f.sums.SHA256}, j.why)
	if item.ID != "" {
		row.Item = item.ID
		j.items[f.id], j.ids[f.id] = item.ID, true
		j.paths = append(j.paths, f.path)
		j.out.Removed = true
		if !slices.Contains(j.rec.Items, item.ID) {
			j.rec.Items = append(j.rec.Items, item.ID)
		}
		if lerr := j.r.ledger.save(j.rec); lerr != nil {
			j.out.problem("what was taken could not be written down: %v", lerr)
		}
		j.r.cfg.Fault("written")
	}
	switch {
	case err == nil:
		row.State = Taken
	case errors.Is(err, quarantine.ErrNotThere):
		row.State, row.Detail = Kept, "it had no name any more, or its name was another file's; that one was left"
	default:
		row.State, row.Detail = Left, process.Text(err.Error())
		j.out.problem("%s was left: %v", f.path, err)
		return item.ID != ""
	}
	return true
}

// unlink takes away a further name of a file whose content is in the vault.
func (j *removal) unlink(f *instance, item string, row *File) bool {
	row.Item = item
	at := f.path
	if f.at != "" {
		at = f.at
	}
	// Written down before it is done: giving back what is still there does nothing.
	j.rec.Links = append(j.rec.Links, link{Path: f.path, Item: item})
	if err := j.r.ledger.save(j.rec); err != nil {
		row.State, row.Detail = Left, process.Text(err.Error())
		j.out.problem("%s was left: %v", f.path, err)
		return false
	}
	if err := unlinkSame(at, f.id); err != nil {
		j.rec.Links = j.rec.Links[:len(j.rec.Links)-1]
		if lerr := j.r.ledger.save(j.rec); lerr != nil {
			j.out.problem("what was taken could not be written down: %v", lerr)
		}
		row.State, row.Detail = Left, process.Text(err.Error())
		if errors.Is(err, errReplaced) {
			row.State, row.Detail = Unlinked, "its name was gone, or another file's; that one was left"
			return true
		}
		j.out.problem("%s was left: %v", f.path, err)
		return false
	}
	j.r.cfg.Fault("linked")
	j.paths = append(j.paths, f.path)
	row.State = Unlinked
	return true
}

var errReplaced = errors.New("the name is another file's by now")

// unlinkSame removes a name if it is still that of the file id.
func unlinkSame(path string, id inode) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errors.Join(errReplaced, err)
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, filepath.Base(path), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || inodeOf(&st) != id {
		return errors.Join(errReplaced, err)
	}
	return unix.Unlinkat(dir, filepath.Base(path), 0)
}

// untouchable are processes that are never stopped.
func untouchable(pid uint32) bool {
	return pid <= 1 || int(pid) == os.Getpid() || int(pid) == os.Getppid()
}

// end kills a process whose file was taken; it goes on where that failed.
func (j *removal) end(p *runner, failed map[inode]bool) {
	row := Process{PID: p.pid, Name: p.name, Via: p.via, State: Stopped}
	defer func() { j.out.Evidence.Processes = append(j.out.Evidence.Processes, row) }()
	switch {
	case untouchable(p.pid):
		row.State, row.Detail = Left, "the machine or the agent would end with it"
	case len(failed) > 0 && len(j.ids) == 0:
		_ = p.signal(unix.SIGCONT)
		row.State, row.Detail = Left, "its file could not be taken, so it was left as it was"
	default:
		if err := p.signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			row.State, row.Detail = Left, err.Error()
		} else if !p.gone(patience) {
			row.State, row.Detail = Left, "it was killed and does not end"
		}
	}
	if row.State == Left {
		j.out.problem("process %d (%s) was left: %s", p.pid, p.name, row.Detail)
	}
}

// earlier adds what an interrupted run of the same command took, or another one.
func (j *removal) earlier(t Target) {
	j.r.reconcile(j.rec)
	if j.out.Removed {
		return
	}
	for _, i := range j.r.cfg.Vault.Items() {
		if i.State == quarantine.Quarantined && (t.SHA1 == "" || i.SHA1 == t.SHA1) && (t.SHA256 == "" || i.SHA256 == t.SHA256) {
			j.out.Removed = true
			// What is taken now goes with it, and comes back with it.
			if !slices.Contains(j.rec.Items, i.ID) {
				j.rec.Items = append(j.rec.Items, i.ID)
			}
			if j.rec.SHA256 == "" {
				j.rec.SHA1, j.rec.SHA256, j.rec.At = i.SHA1, i.SHA256, j.r.cfg.Now().UTC()
			}
			j.out.Evidence.SHA1, j.out.Evidence.SHA256, j.out.Evidence.MD5 = i.SHA1, i.SHA256, i.MD5
			j.paths = append(j.paths, i.Path)
			j.out.Evidence.Files = append(j.out.Evidence.Files, File{Path: process.Text(i.Path), State: Taken, Item: i.ID, Size: i.Size,
				Detail: "it was in quarantine already, since " + i.Taken.Format(time.RFC3339)})
		}
	}
}

// reconcile finds what the agent took and could not write down any more before it ended:
// the quarantine says for which command it was.
func (r *Remediator) reconcile(rec *record) {
	for _, i := range r.cfg.Vault.Items() {
		if i.Why.Command != rec.Command || i.State != quarantine.Quarantined {
			continue
		}
		if i.SHA256 == rec.SHA256 && !slices.Contains(rec.Items, i.ID) {
			rec.Items = append(rec.Items, i.ID)
		}
		for n := range rec.Changes {
			if c := &rec.Changes[n]; c.Whole && c.Item == "" && c.Path == i.Path {
				c.Item = i.ID
			}
		}
	}
}

// Digest returns the SHA-256 of an open file in hexadecimal.
func (r *Remediator) Digest(ctx context.Context, f *os.File) (string, error) {
	_, sums, err := r.cfg.Pool.Large(ctx, f)
	return sums.SHA256, err
}
