package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// Up is what a device says: output of a run, the end of one, or the working directory. The
// zero Up is a sign of life.
type Up struct {
	Run       uint32
	Output    []byte
	End       *End
	Directory string
}

// End says how a run ended.
type End struct {
	Status string
	Exit   int
	Error  string
	Files  []int
}

// Down is what a device is told. The zero Down is a sign of life.
type Down struct {
	Run           uint32
	Line          string
	Input         []byte
	Columns, Rows uint32
	Cancel        bool
	Background    bool
	Close         bool
}

// Stream is a device's side of a session. Send may be called by several goroutines.
type Stream interface {
	Send(Down) error
	Receive() (Up, error)
	// Close lets both give up, and waits for a Send that is under way.
	Close()
}

// Event is what a console is shown.
type Event struct {
	Type      string // waiting, ready, started, output, directory, end, closed
	Run       int
	Line      string
	Data      []byte
	Directory string
	Session   *Session
	Status    string
	Exit      int
	Error     string
	Files     []File
	Reason    string
}

// Input is what a console says.
type Input struct {
	Type          string // run, input, resize, cancel, background, close
	Run           int    // of all but run and close
	Line          string
	Data          []byte
	Columns, Rows int
}

// Console is a person's side of a session. Send may be called by several goroutines, and
// waits while nobody reads. What Receive takes for no message is errs.Invalid, and ends the
// session with its detail.
type Console interface {
	Send(ctx context.Context, e Event) error
	Receive(ctx context.Context) (Input, error)
}

// Bounds of one session.
const (
	maxRuns = 10_000
	goodbye = 5 * time.Second // for a side to close after it was asked to
)

// relay joins both sides of one session.
type relay struct {
	s       *Service
	session *Session // as it was made

	stopped chan struct{} // closed by end
	parted  chan struct{} // closed when both sides were told
	done    chan struct{} // closed when everything of it is over
	both    sync.WaitGroup

	device  chan Stream // of capacity 1, like the next
	console chan consoleOf
	ready   chan struct{} // closed when both are there
	size    [2]int        // of the console's terminal, columns and rows; of who obeys it

	mu      sync.Mutex
	reason  string
	over    bool
	taken   [2]bool // device and console have come
	stream  Stream
	person  consoleOf
	cast    *cast
	runs    map[int]*Command
	next    int
	granted map[string]bool
	active  time.Time
	heard   time.Time
}

type consoleOf struct {
	Console
	by *access.Principal
}

func newRelay(s *Service, n *Session) *relay {
	return &relay{s: s, session: n, stopped: make(chan struct{}), parted: make(chan struct{}), done: make(chan struct{}), ready: make(chan struct{}),
		device: make(chan Stream, 1), console: make(chan consoleOf, 1), runs: map[int]*Command{}, granted: map[string]bool{}}
}

// consoleClosed is why a session ended whose console went without a word.
const consoleClosed = "the console closed"

// end ends the session; the first reason stays.
func (r *relay) end(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.over, r.reason = true, reason
		close(r.stopped)
	}
}

// refuse ends the session for what its console said. Who was writing to the console may have
// noticed before that it closed, and not why.
func (r *relay) refuse(why string) {
	r.end(consoleClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == consoleClosed {
		r.reason += ": " + why
	}
}

func (r *relay) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// names reports whether a command of the session has named a file of the library.
func (r *relay) names(file string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.granted[file]
}

// run waits for both sides, watches that they live, and ends the session in the store.
func (r *relay) run(ctx context.Context) {
	defer close(r.done)
	defer r.s.drop(r)
	path := r.s.castFile(r.session.ID)
	var err error
	if r.cast, err = newCast(path, "Live response on "+r.session.DeviceName+" by "+r.session.By.Name, r.s.cfg.Clock); err != nil {
		r.s.cfg.Log.Error("transcript of a live response session", "session", r.session.ID, "err", err)
		r.end("the server cannot keep a transcript")
	} else if r.meet(ctx) {
		r.watch()
	}
	<-r.stopped
	r.farewell(ctx)
	close(r.parted)
	r.both.Wait()
	if r.cast != nil {
		if err := r.cast.close(); err != nil {
			r.s.cfg.Log.Error("transcript of a live response session", "session", r.session.ID, "err", err)
		}
	}
	r.mu.Lock()
	reason := r.reason
	r.mu.Unlock()
	r.s.conclude(ctx, r.session, reason, path)
}

// meet waits until both sides are there.
func (r *relay) meet(ctx context.Context) bool {
	patience := time.NewTimer(r.s.cfg.Connect)
	defer patience.Stop()
	var stream Stream
	var person consoleOf
	for stream == nil || person.Console == nil {
		select {
		case stream = <-r.device:
		case person = <-r.console:
			if stream == nil {
				_ = person.Send(ctx, Event{Type: "waiting", Session: r.session}) // it is noticed below when nobody is there
			}
		case <-patience.C:
			if stream == nil {
				r.end("the device did not answer")
			} else {
				r.end("nobody opened the console")
			}
			return false
		case <-r.stopped:
			return false
		}
	}
	now := r.s.cfg.Clock().UTC()
	n, err := r.s.cfg.Store.UpdateSession(ctx, r.session.Tenant, r.session.ID, func(n *Session) error {
		n.State, n.Started = Active, now
		return nil
	})
	if err != nil {
		r.s.cfg.Log.Error("beginning a live response session", "session", r.session.ID, "err", err)
		r.end("the server could not record the session")
		return false
	}
	r.mu.Lock()
	r.stream, r.person, r.active, r.heard = stream, person, now, now
	r.mu.Unlock()
	close(r.ready)
	r.show(Event{Type: "ready", Session: n})
	return true
}

// watch ends the session when nobody says anything for too long.
func (r *relay) watch() {
	t := time.NewTicker(min(wire.LiveAlive, r.s.cfg.Idle/4+time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-r.stopped:
			return
		case <-t.C:
		}
		now := r.s.cfg.Clock()
		r.mu.Lock()
		idle, silent, stream := now.Sub(r.active), now.Sub(r.heard), r.stream
		r.mu.Unlock()
		switch {
		case idle >= r.s.cfg.Idle:
			r.end(fmt.Sprintf("nothing happened for %v", r.s.cfg.Idle))
		case silent >= wire.LiveSilence:
			r.end("the device is not heard of any more")
		default:
			// A device that does not read has to be waited for without waiting here.
			go func() { _ = stream.Send(Down{}) }()
		}
	}
}

// farewell tells both sides that it is over.
func (r *relay) farewell(ctx context.Context) {
	r.mu.Lock()
	stream, person, reason := r.stream, r.person, r.reason
	r.mu.Unlock()
	if stream != nil {
		go func() { _ = stream.Send(Down{Close: true}) }() // it may not read any more
	}
	if person.Console == nil {
		select {
		case person = <-r.console:
		default:
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	_ = person.Send(ctx, Event{Type: "closed", Reason: reason}) // it may be gone
}

// show sends an event to the console. One that does not take it is gone.
func (r *relay) show(e Event) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-r.stopped:
			cancel()
		case <-stop:
		}
	}()
	if err := r.person.Send(ctx, e); err != nil {
		r.end(consoleClosed)
	}
}

// Serve is a device's side: it returns when the session is over. A session that is not the
// device's is errs.NotFound.
func (s *Service) Serve(ctx context.Context, d *device.Device, id ident.ActionID, stream Stream) error {
	const op = "live.Serve"
	if _, err := s.of(ctx, d, id); err != nil {
		return errs.Wrap(op, err)
	}
	r := s.relay(id)
	if r == nil || !r.claim(0) {
		return errs.New(op, errs.Conflict, errs.BadRequest, "the session is over, or has its device already")
	}
	defer r.both.Done()
	if err := stream.Send(Down{}); err != nil { // so that the device's call is answered
		r.end("the device did not stay")
		return nil
	}
	r.device <- stream
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		r.listen(stream)
	}()
	select {
	case <-ctx.Done():
		r.end("the connection to the device broke")
	case <-r.stopped:
	}
	// The device closes when it is told.
	t := time.NewTimer(goodbye)
	defer t.Stop()
	select {
	case <-pumped:
	case <-ctx.Done():
	case <-t.C:
	}
	stream.Close()
	<-pumped
	return nil
}

// claim takes a side of the relay, once each, while it is not over.
func (r *relay) claim(side int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.taken[side] {
		return false
	}
	r.taken[side] = true
	r.both.Add(1)
	return true
}

// listen takes what the device says until it goes.
func (r *relay) listen(stream Stream) {
	for {
		up, err := stream.Receive()
		if err != nil {
			r.end("the device ended the session")
			return
		}
		select {
		case <-r.ready:
		case <-r.stopped:
			return
		}
		now := r.s.cfg.Clock()
		r.mu.Lock()
		r.heard = now
		if up.Run != 0 {
			r.active = now
		}
		r.mu.Unlock()
		switch {
		case len(up.Output) > wire.MaxLiveOutput || len(up.Directory) > 8<<10:
			r.end("the device says more at once than it may")
			return
		case up.End != nil:
			r.finish(int(up.Run), up.End)
		case len(up.Output) > 0:
			r.output(int(up.Run), up.Output)
		case up.Directory != "":
			r.show(Event{Type: "directory", Directory: strings.ToValidUTF8(up.Directory, "\ufffd")})
		}
		if r.ended() {
			return
		}
	}
}

// output shows what a run wrote. A run that nobody began says nothing.
func (r *relay) output(run int, data []byte) {
	r.mu.Lock()
	c := r.runs[run]
	if c != nil {
		c.Output += int64(len(data))
	}
	r.mu.Unlock()
	if c == nil {
		return
	}
	r.cast.event("o", data)
	r.show(Event{Type: "output", Run: run, Data: data})
}

// statuses are what a device may say of an end.
var statuses = map[string]bool{"completed": true, "failed": true, "cancelled": true, "timeout": true, "background": true}

func (r *relay) finish(run int, e *End) {
	ctx := context.Background()
	now := r.s.cfg.Clock().UTC()
	r.mu.Lock()
	c := r.runs[run]
	if c == nil || !c.Ended.IsZero() {
		r.mu.Unlock()
		return
	}
	c.Status, c.Exit, c.Error = e.Status, e.Exit, strings.ToValidUTF8(e.Error[:min(len(e.Error), maxComment)], "\ufffd")
	if !statuses[c.Status] {
		c.Status = "failed"
	}
	c.Files = e.Files[:min(len(e.Files), maxFiles)]
	if c.Status != "background" {
		c.Ended = now
	}
	said := *c
	r.mu.Unlock()
	if err := r.s.cfg.Store.PutCommand(ctx, r.session.Tenant, r.session.ID, &said); err != nil {
		r.s.cfg.Log.Error("command of a live response session", "session", r.session.ID, "err", err)
	}
	ev := Event{Type: "end", Run: run, Status: said.Status, Exit: said.Exit, Error: said.Error}
	if len(said.Files) > 0 {
		if n, err := r.s.cfg.Store.Session(ctx, r.session.Tenant, r.session.ID); err == nil {
			for _, i := range said.Files {
				if f, ok := n.file(i); ok {
					ev.Files = append(ev.Files, f)
				}
			}
		}
	}
	if said.Error != "" {
		r.cast.event("o", []byte(said.Error+"\r\n"))
	}
	r.show(ev)
}

// Seat is a person's side of a session, which a ticket has opened.
type Seat struct {
	relay *relay
	by    *access.Principal
}

// Redeem takes a ticket of a session, which is good once. One that is wrong in any way, or of
// another session, is errs.Unauthenticated.
func (s *Service) Redeem(id ident.ActionID, text string) (*Seat, error) {
	r, by, err := s.redeem(id, text)
	if err != nil {
		return nil, err
	}
	return &Seat{r, by}, nil
}

// Take joins a console with its session, and returns when that is over.
func (p *Seat) Take(ctx context.Context, c Console) error {
	const op = "live.Take"
	r, by := p.relay, p.by
	if !r.claim(1) {
		return errs.New(op, errs.Conflict, errs.BadRequest, "the session is over, or has its console already")
	}
	defer r.both.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.console <- consoleOf{c, by}
	var pumped sync.WaitGroup
	pumped.Go(func() { r.obey(ctx, consoleOf{c, by}) })
	pumped.Go(func() { r.recheck(ctx, by) })
	<-r.stopped
	<-r.parted // the last word is said
	cancel()
	pumped.Wait()
	return nil
}

// obey takes what the person says until the console closes.
func (r *relay) obey(ctx context.Context, c consoleOf) {
	for {
		in, err := c.Receive(ctx)
		if err != nil {
			var e *errs.E
			if errors.As(err, &e) {
				r.refuse(e.Detail)
			} else {
				r.end(consoleClosed)
			}
			return
		}
		if in.Type == "close" {
			r.end("closed by " + c.by.Name)
			return
		}
		select {
		case <-r.ready:
		case <-r.stopped:
			return
		}
		r.mu.Lock()
		r.active = r.s.cfg.Clock()
		r.mu.Unlock()
		if err := r.told(ctx, c.by, in); err != nil {
			var e *errs.E
			if !errors.As(err, &e) {
				r.end("the connection to the device broke")
				return
			}
			r.s.cfg.Log.Error("live response", "session", r.session.ID, "err", err)
			r.end("the server could not record what was done")
			return
		}
	}
}

// told carries out what the person says. An error of another kind than errs.E is the
// device's stream's.
func (r *relay) told(ctx context.Context, by *access.Principal, in Input) error {
	run := uint32(max(in.Run, 0))
	switch in.Type {
	case "run":
		return r.begin(ctx, by, in)
	case "input":
		if !r.running(in.Run) { // it ended meanwhile, or there never was one
			return nil
		}
		for part := range slices.Chunk(in.Data, wire.MaxLiveInput) {
			r.cast.event("i", part)
			if err := r.stream.Send(Down{Run: run, Input: part}); err != nil {
				return err
			}
		}
		return nil
	case "resize":
		if !r.running(in.Run) || in.Columns < 1 || in.Rows < 1 || in.Columns > 1000 || in.Rows > 1000 {
			return nil
		}
		r.sized(in)
		return r.stream.Send(Down{Run: run, Columns: uint32(in.Columns), Rows: uint32(in.Rows)})
	case "cancel":
		return r.stream.Send(Down{Run: run, Cancel: run != 0})
	case "background":
		return r.stream.Send(Down{Run: run, Background: run != 0})
	}
	return nil
}

// running reports whether a run has begun on the device and not ended.
func (r *relay) running(run int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.runs[run]
	return c != nil && c.Ended.IsZero()
}

// sized notes in the transcript how large the terminal of the console is, when that changed.
func (r *relay) sized(in Input) {
	if size := [2]int{in.Columns, in.Rows}; size != r.size && in.Columns >= 1 && in.Rows >= 1 && in.Columns <= 1000 && in.Rows <= 1000 {
		r.size = size
		r.cast.event("r", fmt.Appendf(nil, "%dx%d", in.Columns, in.Rows))
	}
}

// begin records a command, and only then lets the device have it.
func (r *relay) begin(ctx context.Context, by *access.Principal, in Input) error {
	const op = "live.begin"
	in.Line = strings.TrimSpace(strings.ToValidUTF8(in.Line, "\ufffd"))
	if in.Line == "" {
		return nil
	}
	switch why, err := r.withdrawn(ctx, by); {
	case err != nil:
		return errs.Wrap(op, err)
	case why != "":
		r.end(why)
		return nil
	}
	command, words, wrong := r.judge(in.Line)
	if len(in.Line) > wire.MaxLiveLine { // it was refused: half a command is another one
		in.Line = strings.ToValidUTF8(in.Line[:wire.MaxLiveLine], "") + "…"
	}
	now := r.s.cfg.Clock().UTC()
	r.mu.Lock()
	if r.next >= maxRuns {
		r.mu.Unlock()
		r.end(fmt.Sprintf("a session has at most %d commands", maxRuns))
		return nil
	}
	r.next++
	c := &Command{Run: r.next, Line: in.Line, Begun: now, Status: "running"}
	r.mu.Unlock()
	outcome := audit.Done
	if wrong != nil {
		outcome, c.Status, c.Error, c.Ended = audit.Denied, "denied", wrong.Error(), now
	}
	r.sized(in)
	r.cast.event("o", []byte("> "+in.Line+"\r\n"))
	if err := r.s.cfg.Store.PutCommand(ctx, r.session.Tenant, r.session.ID, c); err != nil {
		return errs.Wrap(op, err)
	}
	if _, err := r.s.cfg.Store.UpdateSession(ctx, r.session.Tenant, r.session.ID, func(n *Session) error {
		n.Commands = c.Run
		return nil
	}); err != nil {
		return errs.Wrap(op, err)
	}
	detail := fmt.Sprintf("device %s, command %d: %s", r.session.Device, c.Run, in.Line)
	if wrong != nil {
		detail += ": " + wrong.Error()
	}
	if err := r.s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: r.session.Tenant, Actor: by.Actor, Verb: "live.command", Object: string(r.session.ID),
		Detail: detail, Outcome: outcome}); err != nil {
		return errs.Wrap(op, err)
	}
	r.show(Event{Type: "started", Run: c.Run, Line: in.Line})
	if c.Status == "denied" {
		r.cast.event("o", []byte(c.Error+"\r\n"))
		r.show(Event{Type: "end", Run: c.Run, Status: "denied", Error: c.Error})
		return nil
	}
	r.mu.Lock()
	r.runs[c.Run] = c
	r.mu.Unlock()
	if command.Server {
		r.shelf(ctx, by, c, words)
		return nil
	}
	if command.Name == "putfile" || command.Name == "run" {
		r.mu.Lock()
		for _, w := range words {
			r.granted[w.Text] = true
		}
		r.mu.Unlock()
	}
	return r.stream.Send(Down{Run: uint32(c.Run), Line: in.Line, Columns: uint32(max(in.Columns, 0)), Rows: uint32(max(in.Rows, 0))})
}

// judge says whether the session may use the command of a line.
func (r *relay) judge(line string) (wire.LiveCommand, []wire.LiveWord, error) {
	words, err := wire.SplitLine(line)
	if err != nil {
		return wire.LiveCommand{}, nil, err
	}
	if len(words) == 0 {
		return wire.LiveCommand{}, nil, errors.New("there is no command")
	}
	c, ok := wire.FindLiveCommand(strings.ToLower(words[0].Text))
	switch {
	case !ok:
		return c, nil, fmt.Errorf("there is no command %q; see help", words[0].Text)
	case !r.session.Level.Allows(c):
		return c, nil, fmt.Errorf("%s needs an advanced session", c.Name)
	}
	return c, words[1:], nil
}
