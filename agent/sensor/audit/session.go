package audit

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/schema/event"
)

const (
	// holdFailure is how long sshd's own "login failed" waits for PAM's, which names the
	// account that sshd hides when it does not exist.
	holdFailure = 2 * time.Second
	// rememberFailure is longer than sshd's usual grace time, after which it says "login
	// failed" once more for a process whose failures PAM had already told.
	rememberFailure = 10 * time.Minute

	maxTracked = 8192 // sessions and failing processes held, each
)

// FailureReason values; the first is the published one.
const (
	failCredentials = "InvalidUserNameOrPassword"
	failUser        = "InvalidUserName"
	failRestricted  = "AccountRestricted"
	failSession     = "SessionRefused"
	failAbandoned   = "ConnectionClosed" // closed before any authentication succeeded
)

// session is one login that is going on.
type session struct {
	first   record // what it began with
	pam     bool   // it began with PAM's session_open
	sent    string // logon type already emitted; "" while held
	due     time.Time
	touched time.Time
}

// failure is a process whose logons fail.
type failure struct {
	first record
	due   time.Time // when to tell; zero once told
	told  time.Time
}

// tracker makes logons of records. It has no clock, does no input or output, and belongs
// to one goroutine.
type tracker struct {
	host     string
	accounts func() *passwd.DB
	lookup   func(pid uint32) *event.Process
	hold     time.Duration // how long a session of ssh waits for its terminal

	sessions map[uint32]*session // by process
	failures map[uint32]*failure // by process
	held     int                 // of both, how many wait for their time
}

func newTracker(host string, accounts func() *passwd.DB, lookup func(uint32) *event.Process, hold time.Duration) *tracker {
	return &tracker{
		host: host, accounts: accounts, lookup: lookup, hold: hold,
		sessions: map[uint32]*session{}, failures: map[uint32]*failure{},
	}
}

// feed takes one record, received at now, and returns the events it completes.
func (t *tracker) feed(r record, now time.Time) []*event.Event {
	if familyOf(r.Exe) == noLogon {
		return nil
	}
	if t.lookup != nil {
		r.proc = t.lookup(r.PID)
	}
	switch r.Type {
	case typeUserStart, typeUserLogin:
		if r.Failed {
			return t.failed(r, now)
		}
		if r.Success {
			return t.started(r, now)
		}
	case typeUserEnd, typeUserLogout:
		if r.Success {
			return t.ended(r)
		}
	case typeUserAuth, typeUserAcct, typeUserErr:
		if r.Failed {
			return t.failed(r, now)
		}
		if r.Type == typeUserAuth && r.Success && familyOf(r.Exe) == locker {
			return []*event.Event{t.logon(r, "LogonSuccess", unlock, "", nil)}
		}
	}
	return nil
}

func (t *tracker) started(r record, now time.Time) []*event.Event {
	t.forget(r.PID)
	pam := strings.HasPrefix(r.Op, "PAM:")
	s := t.sessions[r.PID]
	if s != nil && pam && s.pam {
		// The process opened another session, or its number was used again.
		events := t.release(s)
		delete(t.sessions, r.PID)
		return append(events, t.started(r, now)...)
	}
	if s == nil {
		s = &session{first: r, pam: pam, touched: now}
		events := t.admit(r.PID, s)
		if familyOf(r.Exe) == sshd && !isTTY(r.Terminal) {
			s.due = now.Add(t.hold)
			t.held++
			return events
		}
		return append(events, t.release(s)...)
	}
	s.touched = now
	if !isTTY(r.Terminal) {
		return nil
	}
	had := s.sent
	s.first.Terminal = r.Terminal
	if s.first.Acct == "" && s.first.ID == unset {
		s.first.Acct, s.first.ID = r.Acct, r.ID
	}
	if had == "" {
		return t.release(s)
	}
	typ := logonType(s.first.Exe, r.Terminal, s.first.Addr != "")
	if had != network || typ != remoteInteractive {
		return nil
	}
	s.sent = typ
	late := s.first
	late.Time = r.Time
	return []*event.Event{t.logon(late, "LogonSuccess", typ, "", map[string]any{"UpgradedFrom": had})}
}

// release emits a session that was held; it does nothing for one already emitted.
func (t *tracker) release(s *session) []*event.Event {
	if s.sent != "" {
		return nil
	}
	if !s.due.IsZero() {
		s.due = time.Time{}
		t.held--
	}
	s.sent = logonType(s.first.Exe, s.first.Terminal, s.first.Addr != "" || familyOf(s.first.Exe) == sshd)
	return []*event.Event{t.logon(s.first, "LogonSuccess", s.sent, "", nil)}
}

func (t *tracker) ended(r record) []*event.Event {
	pid := r.PID
	s := t.sessions[pid]
	if s == nil && familyOf(r.Exe) == manager && r.Session != unset {
		// A user manager's session is closed by a helper process of its own.
		for p, o := range t.sessions {
			if o.first.Session == r.Session && familyOf(o.first.Exe) == manager {
				pid, s = p, o
				break
			}
		}
	}
	if s == nil {
		if !strings.HasPrefix(r.Op, "PAM:") {
			return nil // a second word on a session that PAM has closed
		}
		typ := logonType(r.Exe, r.Terminal, r.Addr != "")
		return []*event.Event{t.logon(r, "Logoff", typ, "", nil)}
	}
	if s.pam && !strings.HasPrefix(r.Op, "PAM:") {
		return nil
	}
	events := t.release(s)
	delete(t.sessions, pid)
	end := s.first
	end.Time = r.Time
	if end.Session == unset {
		end.Session = r.Session
	}
	return append(events, t.logon(end, "Logoff", s.sent, "", nil))
}

func (t *tracker) failed(r record, now time.Time) []*event.Event {
	summary := r.Type == typeUserLogin || r.Type == typeUserErr
	if summary && t.failures[r.PID] != nil {
		return nil
	}
	t.forget(r.PID)
	f := &failure{first: r, told: now}
	events := t.admitFailure(r.PID, f)
	if summary && familyOf(r.Exe) == sshd {
		f.due = now.Add(holdFailure)
		t.held++
		return events
	}
	return append(events, t.refusal(r))
}

// forget drops what is known of a process's failures, held ones included.
func (t *tracker) forget(pid uint32) {
	if f := t.failures[pid]; f != nil && !f.due.IsZero() {
		t.held--
	}
	delete(t.failures, pid)
}

func (t *tracker) refusal(r record) *event.Event {
	reason := failCredentials
	switch r.Type {
	case typeUserAcct:
		reason = failRestricted
	case typeUserStart:
		reason = failSession
	case typeUserErr:
		reason = failUser
	case typeUserLogin:
		if familyOf(r.Exe) == sshd {
			reason = failAbandoned
			if r.Acct == "(invalid user)" {
				reason = failUser
			}
		}
	}
	typ := logonType(r.Exe, r.Terminal, r.Addr != "" || familyOf(r.Exe) == sshd)
	return t.logon(r, "LogonFailed", typ, reason, nil)
}

// expire returns the events whose time to wait is over at now.
func (t *tracker) expire(now time.Time) []*event.Event {
	var events []*event.Event
	for _, s := range t.sessions {
		if s.sent == "" && !now.Before(s.due) {
			events = append(events, t.release(s)...)
		}
	}
	for pid, f := range t.failures {
		switch {
		case !f.due.IsZero() && !now.Before(f.due):
			events = append(events, t.tell(f))
		case now.Sub(f.told) > rememberFailure:
			t.forget(pid)
		}
	}
	return events
}

// flush returns everything that is held, whatever its time: the sensor stops.
func (t *tracker) flush() []*event.Event { return t.expire(time.Unix(1<<40, 0)) }

// tell emits a failure that was held.
func (t *tracker) tell(f *failure) *event.Event {
	f.due = time.Time{}
	t.held--
	return t.refusal(f.first)
}

// admit takes a session in. When there are too many a quarter is let go, which costs at
// most a doubled or untyped message of such a session, never its logon.
func (t *tracker) admit(pid uint32, s *session) []*event.Event {
	var events []*event.Event
	if len(t.sessions) >= maxTracked {
		for p, o := range t.sessions {
			events = append(events, t.release(o)...)
			delete(t.sessions, p)
			if len(t.sessions) <= maxTracked*3/4 {
				break
			}
		}
	}
	t.sessions[pid] = s
	return events
}

// admitFailure takes a failing process in, and lets go of others as admit does.
func (t *tracker) admitFailure(pid uint32, f *failure) []*event.Event {
	var events []*event.Event
	if len(t.failures) >= maxTracked {
		for p, o := range t.failures {
			if !o.due.IsZero() {
				events = append(events, t.tell(o))
			}
			delete(t.failures, p)
			if len(t.failures) <= maxTracked*3/4 {
				break
			}
		}
	}
	t.failures[pid] = f
	return events
}

// placeholder reports whether sshd or libaudit put words where a name belongs.
func placeholder(acct string) bool {
	return strings.HasPrefix(acct, "(") && strings.HasSuffix(acct, ")")
}

func (t *tracker) logon(r record, action, typ, reason string, extra map[string]any) *event.Event {
	db := t.accounts()
	acct := event.Account{Name: r.Acct, Domain: t.host}
	if placeholder(acct.Name) {
		acct.Name = ""
	}
	uid := uint32(unset)
	if u, ok := db.ByName(acct.Name); ok {
		uid = u.UID
	} else if acct.Name == "" && r.ID != unset {
		uid = r.ID
		if u, ok := db.ByUID(uid); ok {
			acct.Name = u.Name
		}
	} else if f := familyOf(r.Exe); reason == "" && r.LoginUID != unset && (f == sshd || f == terminal || f == cron) {
		// An account of a directory: these programs set the login uid to the account's own.
		uid = r.LoginUID
	}
	if uid != unset {
		acct.SID = itoa(uid)
	}
	l := &event.Logon{
		Type: typ, Protocol: protocolOf(r.Exe), Failure: reason,
		LocalAdmin: uid == 0 || db.Admin(acct.Name), RemotePort: r.Port,
	}
	if r.Session != unset {
		l.ID = uint64(r.Session)
	}
	if a, err := netip.ParseAddr(r.Addr); err == nil {
		l.RemoteIP = a.Unmap().WithZone("").String()
	}
	if r.Hostname != r.Addr {
		l.RemoteDevice = r.Hostname
	}
	add := map[string]any{"IsLocalLogon": l.RemoteIP == "" && l.RemoteDevice == ""}
	if r.Terminal != "" {
		add["Terminal"] = r.Terminal
	}
	if r.LoginUID != unset && itoa(r.LoginUID) != acct.SID {
		add["OriginalAccountSid"] = itoa(r.LoginUID)
		if u, ok := db.ByUID(r.LoginUID); ok {
			add["OriginalAccountName"] = u.Name
		}
	}
	if placeholder(r.Acct) {
		add["ReportedAccount"] = r.Acct
	}
	for k, v := range extra {
		add[k] = v
	}
	e := &event.Event{
		Table: event.LogonEvents, Action: action, Time: r.Time, Logon: l, Account: &acct,
		Initiating: r.proc,
	}
	if e.Initiating != nil && e.Initiating.Image.Path != "" && r.Exe != "" && e.Initiating.Image.Path != r.Exe {
		// The kernel vouches for the process, nobody for the path in its message.
		add["ReportedProgram"] = r.Exe
	}
	if b, err := json.Marshal(add); err == nil {
		e.Additional = string(b)
	}
	return e
}
