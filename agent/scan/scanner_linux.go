package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/walk"
)

// maxFile bounds the files that are read.
const maxFile = 1 << 30

// Scanner looks for malware. It holds nothing between scans, and may be used by several
// goroutines.
type Scanner struct{ cfg Config }

// New returns a Scanner.
func New(cfg Config) *Scanner {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Clamd == nil {
		cfg.Clamd = clamdSockets
	}
	if cfg.YARA == nil {
		cfg.YARA = []string{"/usr/bin/yara", "/usr/local/bin/yara"}
	}
	if cfg.Decide == nil {
		cfg.Decide = func(hash.Sums) file.Decision { return file.Decision{} }
	}
	if cfg.Indicators == nil {
		cfg.Indicators = func() bool { return false }
	}
	if cfg.Processes == nil {
		cfg.Processes = processes
	}
	return &Scanner{cfg}
}

// ErrBlind is what Run returns when an engine does not find what it must.
var ErrBlind = errors.New("scan: the engine does not find the EICAR test file")

// Run carries out a job in the caller's goroutine, and gives back its thread. An error
// means that it ended early; the report says how far it was.
func (s *Scanner) Run(ctx context.Context, j Job) (Report, error) {
	if j.Percent <= 0 || j.Percent > 100 {
		j.Percent = 50
	}
	if j.Gate == nil {
		j.Gate = &Gate{}
	}
	done := make(chan error, 1)
	var r *run
	go func() {
		// Its thread ends with it: nobody else gets one that is the last to be served.
		runtime.LockOSThread()
		humble()
		r = &run{s: s, ctx: ctx, job: j, seen: map[inode]bool{}}
		r.rep = Report{Kind: j.Kind, Began: s.cfg.Now().UTC(), Limit: float64(j.Percent) / 100}
		r.pace = newPacer(j.Percent, j.Gate, r.say)
		done <- r.all()
	}()
	err := <-done
	r.rep.Ended = s.cfg.Now().UTC()
	cpu, share := r.used, r.share
	r.rep.CPU, r.rep.Share = cpu.Seconds(), share
	r.rep.Complete = err == nil && r.rep.TooLarge+r.rep.Bounded+r.rep.Encrypted+r.rep.Damaged+r.rep.Unread == 0
	return r.rep, err
}

type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }

// run is one scan.
type run struct {
	s     *Scanner
	ctx   context.Context
	job   Job
	rep   Report
	pace  *pacer
	clamd *clamd
	yara  *yara
	seen  map[inode]bool // images, and files with several names
	wait  map[*Object]*Seen
	told  time.Time
	total int64 // files that there may be; 0 when it is not known
	stage string
	used  time.Duration
	share float64
}

// say tells how far it is, once a second.
func (r *run) say() {
	if r.job.Progress == nil || time.Since(r.told) < time.Second {
		return
	}
	r.told = time.Now()
	percent := -1
	if r.total > 0 {
		percent = int(min(99, r.rep.Files*100/r.total))
	}
	text := fmt.Sprintf("%s: %d files, %d threats", r.stage, r.rep.Files, r.rep.Threats)
	if r.job.Gate.Paused() {
		text = "held; " + text
	}
	r.job.Progress(percent, text, r.rep)
}

func (r *run) all() (err error) {
	defer func() { r.used, r.share = r.pace.used() }()
	r.stage = "engines"
	if err := r.prove(); err != nil {
		return err
	}
	r.engines()
	r.stage = "processes"
	if err := r.processes(); err != nil {
		return err
	}
	r.stage = "files"
	if err := r.files(); err != nil {
		return err
	}
	if r.yara != nil {
		return r.yara.flush(r.ctx)
	}
	return nil
}

// prove sees that the engine finds what it must: in a file, and packed.
func (r *run) prove() error {
	fd, err := unix.MemfdCreate("vedette-proof", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "proof")
	defer f.Close()
	if _, err := f.Write(eicar); err != nil {
		return err
	}
	n := 0
	g := &signature{s: r.s, ctx: r.ctx, pace: r.pace, found: func(Finding) { n++ }}
	if err := g.inspect(source{r: io.NewSectionReader(f, 0, 1<<20), at: f, size: int64(len(eicar))}, 0); err != nil {
		return err
	}
	if err := g.inspect(source{r: bytes.NewReader(tarOf(eicar)), size: -1}, 0); err != nil {
		return err
	}
	if n != 2 {
		return ErrBlind
	}
	return nil
}

// engines finds out who takes part.
func (r *run) engines() {
	add := func(e Engine) { r.rep.Engines = append(r.rep.Engines, e) }
	add(Engine{Name: EngineSignature, Used: true})
	add(Engine{Name: EngineIndicator, Used: r.s.cfg.Indicators(), Detail: without(r.s.cfg.Indicators(), "no indicator is about files")})
	switch c, err := findClamd(r.ctx, r.s.cfg.Clamd); {
	case err != nil:
		add(Engine{Name: EngineClamAV, Detail: process.Text(err.Error())})
		r.rep.problem("ClamAV is there and does not answer")
	case c == nil:
		add(Engine{Name: EngineClamAV, Detail: "no clamd listens on this device"})
	default:
		r.clamd = c
		add(Engine{Name: EngineClamAV, Used: true, Version: c.version})
	}
	program := findYARA(r.s.cfg.YARA)
	switch {
	case len(r.job.Rules) == 0:
		add(Engine{Name: EngineYARA, Detail: "there are no rules"})
		return
	case program == "":
		add(Engine{Name: EngineYARA, Detail: "the program yara is not installed on this device"})
		r.rep.problem("there are YARA rules, and no program yara to ask about them")
		return
	}
	y := &yara{program: program, spent: r.pace.spent, done: r.judged}
	problems := y.check(r.ctx, r.job.Rules)
	for _, p := range problems {
		r.rep.problem(p)
	}
	e := Engine{Name: EngineYARA, Version: y.version, Used: len(y.rules) > 0, Detail: strings.Join(problems, "; ")}
	if e.Used {
		r.yara, r.wait = y, map[*Object]*Seen{}
	}
	add(e)
}

func without(there bool, why string) string {
	if there {
		return ""
	}
	return why
}

// file looks at one file, which it closes. pid is a process that runs it, 0 for none.
func (r *run) file(f *os.File, path string, pid uint32) error {
	o := &Object{Path: path, File: f, PID: pid}
	if err := unix.Fstat(int(f.Fd()), &o.Stat); err != nil || o.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(f.Close())
	}
	if pid != 0 || o.Stat.Nlink > 1 {
		if r.seen[inodeOf(&o.Stat)] {
			return f.Close()
		}
		r.seen[inodeOf(&o.Stat)] = true
	}
	if o.Stat.Size > maxFile {
		r.rep.TooLarge++
		r.rep.problem(fmt.Sprintf("%s has %d bytes, more than is read of one file", process.Text(path), o.Stat.Size))
		return f.Close()
	}
	r.rep.Files++
	r.rep.Bytes += o.Stat.Size
	seen := &Seen{Object: o}
	if err := r.own(seen); err != nil {
		f.Close()
		return err
	}
	if r.clamd != nil && o.Stat.Size > 0 && o.Stat.Size <= maxClamd {
		found, err := r.clamd.scan(r.ctx, o)
		r.pace.spent(r.clamd.spent())
		if err != nil && r.ctx.Err() == nil {
			r.unread(path, err)
		}
		seen.Findings = append(seen.Findings, found...)
	}
	return r.more(seen)
}

// more asks about what takes batches, or ends with seen.
func (r *run) more(seen *Seen) error {
	if r.yara == nil {
		r.conclude(seen)
		return r.ctx.Err()
	}
	r.wait[seen.Object] = seen
	return r.yara.add(r.ctx, seen.Object)
}

// judged is told what YARA rules say of an object.
func (r *run) judged(o *Object, found []Finding, err error) {
	seen := r.wait[o]
	delete(r.wait, o)
	seen.Findings = append(seen.Findings, found...)
	if err != nil {
		r.unread(o.Path, err)
	}
	r.conclude(seen)
}

func (r *run) conclude(seen *Seen) {
	if len(seen.Findings) > 0 {
		r.rep.Threats++
		if r.job.Found != nil {
			r.job.Found(*seen)
		}
	}
	if seen.Object.File != nil {
		seen.Object.File.Close()
	}
}

func (r *run) unread(path string, err error) {
	r.rep.Unread++
	r.rep.problem(process.Text(fmt.Sprintf("%s: %v", path, err)))
}

// own asks the engine of our own.
func (r *run) own(seen *Seen) error {
	o := seen.Object
	g := &signature{s: r.s, ctx: r.ctx, pace: r.pace, found: func(f Finding) {
		if len(seen.Findings) < maxFindings {
			seen.Findings = append(seen.Findings, f)
		}
	}}
	if r.s.cfg.Indicators() {
		judge := func(sums hash.Sums, member string) {
			if d := r.s.cfg.Decide(sums); d.Action > file.Allow {
				g.found(Finding{Engine: EngineIndicator, Threat: "indicator", Member: member, Indicator: d.ID, Action: d.Action, Silent: d.Silent, Sums: sums})
			}
		}
		sums, err := r.sums(o.File)
		switch {
		case err == nil:
			seen.Sums = sums
			judge(sums, "")
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		default:
			r.unread(o.Path, err)
		}
		g.judge = judge
	}
	err := g.inspect(source{r: io.NewSectionReader(o.File, 0, o.Stat.Size), at: o.File, size: o.Stat.Size}, 0)
	r.rep.Members += int64(g.members)
	r.rep.Encrypted += int64(g.locked)
	r.rep.Damaged += int64(g.bad)
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case errors.Is(err, errBounds):
		r.rep.Bounded++
		r.rep.problem(process.Text(fmt.Sprintf("%s: %v", o.Path, errBounds)))
	case err != nil:
		r.unread(o.Path, err)
	}
	return nil
}

// sums returns the digests of a file, from what is known or by reading at the pace.
func (r *run) sums(f *os.File) (hash.Sums, error) {
	if sums, ok := r.s.cfg.Pool.LookupFile(f); ok {
		return sums, nil
	}
	st, err := f.Stat()
	if err != nil {
		return hash.Sums{}, err
	}
	if st.Size() <= 1<<20 { // read at once, and remembered
		if err := r.pace.wait(r.ctx); err != nil {
			return hash.Sums{}, err
		}
		_, sums, err := r.s.cfg.Pool.File(r.ctx, f)
		return sums, err
	}
	d := newDigester()
	g := &signature{ctx: r.ctx, pace: r.pace}
	if _, err := g.copy(d, io.NewSectionReader(f, 0, maxFile)); err != nil {
		return hash.Sums{}, err
	}
	return d.sums(), nil
}

// skipped reports whether a path is below what is not entered.
func (s *Scanner) skipped(path string) bool {
	return slices.ContainsFunc(s.cfg.Skip, func(d string) bool {
		return path == d || strings.HasPrefix(path, strings.TrimSuffix(d, "/")+"/")
	})
}

// path looks at the file at a path, if there is one.
func (r *run) path(p string) error {
	f, _ := walk.OpenFile(p)
	if f == nil {
		return r.ctx.Err() // what an autorun names need not be there
	}
	return r.file(f, p, 0)
}
