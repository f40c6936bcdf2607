package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// maxJobs is how many commands of a session may run at a time.
const maxJobs = 10

// maxHistory is how many commands a session remembers.
const maxHistory = 1000

// sessions carries out the command livesession: it dials the server and obeys the people
// at the other end until they leave.
type sessions struct{ live *Live }

// Kinds implements responder.Handler.
func (h *sessions) Kinds() []string { return []string{wire.KindLiveSession} }

// ended is the evidence of a session.
type ended struct {
	Commands  int    `json:"commands"`
	Processes int    `json:"processesKilled"` // that were left at the end
	Reason    string `json:"reason"`
}

// Handle implements responder.Handler. The result is verified when no process of the
// session is left.
func (h *sessions) Handle(ctx context.Context, c responder.Command) responder.Result {
	var p wire.LiveSession
	if err := json.Unmarshal(c.Params, &p); err != nil || p.Level != wire.LiveBasic && p.Level != wire.LiveAdvanced {
		return responder.Result{State: responder.Refused, Detail: "the parameters of the session are not understood"}
	}
	sp, err := h.live.space(c.ID)
	if err != nil {
		return responder.Result{State: responder.Failed, Detail: err.Error()}
	}
	stream, err := h.live.conf.Open(ctx, c.ID)
	if err != nil {
		return responder.Result{State: responder.Failed, Detail: errors.Join(err, sp.end()).Error()}
	}
	s := &session{space: sp, level: p.Level, user: p.User, stream: stream, jobs: map[uint32]*job{}}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	e := s.run()
	s.stop(errClosed)
	stream.Close()
	e.Processes = len(members(sp.group.path))
	err = sp.end()
	s.wg.Wait()
	r := responder.Result{State: responder.Verified, Detail: fmt.Sprintf("%d commands; the session ended: %s", e.Commands, e.Reason)}
	if err != nil {
		r.State, r.Detail = responder.Applied, r.Detail+"; what it started is not gone: "+err.Error()
	}
	r.Evidence, _ = json.Marshal(e) // of plain values: cannot fail
	return r
}

// session is one interactive session.
type session struct {
	*space
	level  wire.LiveLevel
	user   string
	stream Stream
	ctx    context.Context
	stop   context.CancelCauseFunc
	wg     sync.WaitGroup

	jobMu sync.Mutex
	jobs  map[uint32]*job
	front *job // in the foreground
	files int
	trace bool
}

// run obeys until the stream or ctx ends.
func (s *session) run() ended {
	e := ended{Reason: "closed"}
	s.tellFolder()
	for {
		m, err := s.stream.Receive()
		switch {
		case s.ctx.Err() != nil:
			e.Reason = "the agent ended it"
			return e
		case errors.Is(err, io.EOF):
			return e
		case err != nil:
			e.Reason = "the connection to the server broke"
			return e
		case m.Close:
			return e
		case m.Line != "":
			e.Commands++
			s.begin(m.Run, m.Line, m.Columns, m.Rows)
		default:
			s.control(m)
		}
	}
}

// control passes on what concerns a run that began.
func (s *session) control(m *wirepb.LiveDown) {
	s.jobMu.Lock()
	j := s.jobs[m.Run]
	s.jobMu.Unlock()
	if j == nil {
		return
	}
	switch {
	case m.Cancel:
		j.cancel(errCancelled)
	case m.Background:
		j.background()
	}
	if m.Columns > 0 && m.Rows > 0 {
		select { // an older size that nobody took is overtaken
		case <-j.size:
		default:
		}
		j.size <- [2]uint32{m.Columns, m.Rows}
	}
	if j.terminal && len(m.Input) > 0 && len(m.Input) <= wire.MaxLiveInput {
		patience := time.NewTimer(inputPatience)
		defer patience.Stop()
		select {
		case j.input <- m.Input:
		case <-j.done:
		case <-s.ctx.Done():
		case <-patience.C:
			s.send(&wirepb.LiveUp{Run: j.id, Output: []byte("\r\n(the program reads no input: some was dropped)\r\n")})
		}
	}
}

// inputPatience is how long the end of a session waits behind a program that does not read.
const inputPatience = 2 * time.Second

// begin starts a run. One that cannot be begun has ended.
func (s *session) begin(id uint32, text string, columns, rows uint32) {
	fail := func(err error) {
		s.send(&wirepb.LiveUp{Run: id, End: &wirepb.LiveEnd{Status: failed, Error: err.Error()}})
	}
	l, err := parseLine(text, flagsOf)
	if err == nil && !s.level.Allows(l.command) {
		err = fmt.Errorf("%s needs the advanced level, which this session does not have", l.command.Name)
	}
	if err == nil && l.background && (l.command.Name == "shell" || l.command.Name == "fg") {
		err = fmt.Errorf("%s cannot be in the background", l.command.Name)
	}
	if err != nil {
		fail(err)
		return
	}
	j := &job{id: id, text: text, begun: time.Now(), state: running, terminal: l.command.Name == "shell", out: &output{}, done: make(chan struct{}), moved: make(chan struct{}),
		input: make(chan []byte, 16), size: make(chan [2]uint32, 1)}
	if columns > 0 && rows > 0 {
		j.size <- [2]uint32{columns, rows}
	}
	j.ctx, j.cancel = context.WithCancelCause(s.ctx)
	s.jobMu.Lock()
	active := 0
	for _, o := range s.jobs {
		if state, _, _ := o.status(); state == running {
			active++
		}
	}
	switch {
	case s.jobs[id] != nil:
		err = fmt.Errorf("there is a job %d already", id)
	case active >= maxJobs:
		err = fmt.Errorf("%d jobs are running, which is as many as may be", active)
	case s.front != nil && !l.background:
		err = fmt.Errorf("job %d is in the foreground", s.front.id)
	default:
		s.jobs[id] = j
		if !l.background {
			s.front = j
		}
		s.forgetOld()
	}
	s.jobMu.Unlock()
	if err != nil {
		j.cancel(err)
		fail(err)
		return
	}
	s.wg.Go(func() { s.conduct(j, l) })
}

// forgetOld bounds what is remembered; the lock is held.
func (s *session) forgetOld() {
	if len(s.jobs) <= maxHistory {
		return
	}
	var ids []uint32
	for id := range s.jobs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids[:len(ids)-maxHistory] {
		if state, _, _ := s.jobs[id].status(); state != running {
			delete(s.jobs, id)
		}
	}
}

// conduct runs a job to its end, or until it goes to the background.
func (s *session) conduct(j *job, l *line) {
	if !l.background {
		// What cannot be sent ends the session anyway.
		_ = j.out.attach(j.id, s.console(j.id))
	} else {
		j.background()
	}
	finished := make(chan struct{})
	s.wg.Go(func() {
		defer close(finished)
		j.finish(s.perform(j, l))
		j.cancel(nil)
		close(j.done)
	})
	select {
	case <-finished:
		s.sendEnd(j)
	case <-j.moved:
		j.out.detach(j.id)
		s.leave(j)
		s.send(&wirepb.LiveUp{Run: j.id, End: &wirepb.LiveEnd{Status: behind}})
		<-finished
		s.sendEnd(j)
	}
}

// leave takes j out of the foreground.
func (s *session) leave(j *job) {
	s.jobMu.Lock()
	defer s.jobMu.Unlock()
	if s.front == j {
		s.front = nil
	}
}

func (s *session) sendEnd(j *job) {
	s.leave(j)
	j.mu.Lock()
	end := &wirepb.LiveEnd{Status: j.state, Exit: int32(j.exit), Error: j.problem, Files: j.files}
	j.mu.Unlock()
	s.send(&wirepb.LiveUp{Run: j.id, End: end})
}

// console is the sink of a run's output.
func (s *session) console(run uint32) func([]byte) error {
	return func(p []byte) error { return s.stream.Send(&wirepb.LiveUp{Run: run, Output: slices.Clone(p)}) }
}

// send says something; that nobody hears it the receiving side notices too.
func (s *session) send(m *wirepb.LiveUp) { _ = s.stream.Send(m) }

func (s *session) tellFolder() { s.send(&wirepb.LiveUp{Directory: visible(s.here().name())}) }

// perform carries out a command within its time, and brings up the file that its output
// was to become.
func (s *session) perform(j *job, l *line) (err error) {
	if l.command.Limit > 0 {
		t := time.AfterFunc(l.command.Limit, func() { j.cancel(errTimeout) })
		defer t.Stop()
	}
	defer func() {
		if v := recover(); v != nil {
			s.live.conf.Log.Error("live response", "command", l.command.Name, "panic", v)
			err = errors.New("the agent failed to carry out the command; its log says why")
		}
	}()
	if l.save == "" {
		err = s.command(j, l)
	} else {
		err = s.saved(j, l)
	}
	if s.tracing() && !l.json && l.save == "" {
		fmt.Fprintf(j.out, "[trace] %s took %v, wrote %d bytes, error %v\n", l.command.Name, time.Since(j.begun).Round(time.Millisecond), j.out.bytes, err)
	}
	return err
}

// saved runs a command whose output becomes a file for whoever asked.
func (s *session) saved(j *job, l *line) error {
	if err := plainName(l.save); err != nil {
		return err
	}
	fd, err := unix.Open(s.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), filepath.Join(s.dir, "output"))
	defer func() { _ = f.Close() }() // it has no name: nothing is lost
	j.out.mu.Lock()
	j.out.file = f
	j.out.mu.Unlock()
	err = s.command(j, l)
	j.out.mu.Lock()
	j.out.file = nil
	j.out.mu.Unlock()
	return errors.Join(err, s.bring(j, l.save, f))
}

// bring hands a file over to whoever is at the other end.
func (s *session) bring(j *job, name string, f *os.File) error {
	s.jobMu.Lock()
	s.files++
	index := s.files // 0 is for what other commands yield
	s.jobMu.Unlock()
	if err := s.live.conf.Server.Upload(j.ctx, s.id, index, name, f); err != nil {
		return err
	}
	j.mu.Lock()
	j.files = append(j.files, uint32(index))
	j.mu.Unlock()
	return nil
}

func (s *session) tracing() bool {
	s.jobMu.Lock()
	defer s.jobMu.Unlock()
	return s.trace
}
