package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// How long a session in the portal lasts: without a sign of the person, and at all.
const (
	SessionIdle = time.Hour
	SessionLife = 12 * time.Hour
)

// touchEvery is how exactly it is known when a session was last used: a session is not
// written at each request.
const touchEvery = time.Minute

// maxSessions bounds the sessions of one person; a new one ends the oldest beyond.
const maxSessions = 20

// SessionOver says that the person has to sign in again.
const SessionOver errs.Code = "SessionOver"

// Session is that a person signed in to the portal with a browser. Its text is known to
// the browser alone.
type Session struct {
	Hash    string // hexadecimal keyed hash of the text
	Tenant  ident.TenantID
	Person  ident.UserID
	From    string // address at sign-in
	Browser string // what the browser called itself
	Created time.Time
	Seen    time.Time // last sign of the person, to the minute
	Expires time.Time // whatever the person does
	// Provider vouched for the person at sign-in, and Token is its sealed identity token; ""
	// for who signed in with a password.
	Provider ident.ProviderID `json:",omitempty"`
	Token    string           `json:",omitempty"`
}

// ID names the session to the person whose it is. It opens nothing.
func (s *Session) ID() string { return s.Hash[:min(len(s.Hash), 32)] }

// SessionStore keeps sessions.
type SessionStore interface {
	// CreateSession keeps a new one and forgets the person's oldest beyond most.
	CreateSession(ctx context.Context, s *Session, most int) error
	// Session returns one session or errs.NotFound.
	Session(ctx context.Context, hash string) (*Session, error)
	// TouchSession notes when the person was last seen; a session that is gone stays so.
	TouchSession(ctx context.Context, hash string, seen time.Time) error
	// EndSession forgets one session; one that is not there is no error.
	EndSession(ctx context.Context, hash string) error
	// PersonSessions returns those of a person, the one that was used last first.
	PersonSessions(ctx context.Context, tenant ident.TenantID, person ident.UserID) ([]*Session, error)
	// EndSessions forgets those of a person but one; "" for all.
	EndSessions(ctx context.Context, tenant ident.TenantID, person ident.UserID, but string) error
	// ExpireSessions forgets those that expired before now or were last seen before idle.
	ExpireSessions(ctx context.Context, now, idle time.Time) error
}

// SessionsConfig is what Sessions needs.
type SessionsConfig struct {
	Store     SessionStore
	Authority *Authority       // knows people and what they may do
	Key       []byte           // keys the hash of the texts: 32 random bytes, kept secret
	Clock     func() time.Time // nil for time.Now
	Rand      io.Reader        // nil for crypto/rand
}

// Sessions opens, resumes and ends the sessions of people in the portal. It is safe for
// concurrent use.
type Sessions struct {
	store     SessionStore
	authority *Authority
	key       []byte
	now       func() time.Time
	rand      io.Reader
}

// NewSessions returns Sessions.
func NewSessions(c SessionsConfig) *Sessions {
	s := &Sessions{store: c.Store, authority: c.Authority, key: c.Key, now: c.Clock, rand: c.Rand}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	return s
}

// Open begins a session of a person who was admitted and returns its text; one who has
// something left to do is errs.Denied. It is always a new one: what a browser brought along
// is never signed in (session fixation). from is the address, browser what the browser
// calls itself.
func (s *Sessions) Open(ctx context.Context, a *Admission, from, browser string) (string, *Session, error) {
	const op = "access.OpenSession"
	if a.Step != Admitted {
		return "", nil, errs.New(op, errs.Denied, FactorNeeded, "a second factor is asked for")
	}
	raw := make([]byte, 32)
	if _, err := io.ReadFull(s.rand, raw); err != nil {
		return "", nil, errs.Wrap(op, err)
	}
	text, now, p := base64.RawURLEncoding.EncodeToString(raw), s.now().UTC(), a.Person
	out := &Session{Hash: s.hash("session", text), Tenant: p.Tenant, Person: p.ID, From: short(from), Browser: short(browser),
		Created: now, Seen: now, Expires: now.Add(SessionLife), Provider: a.Provider, Token: a.Token}
	return text, out, errs.Wrap(op, s.store.CreateSession(ctx, out, maxSessions))
}

// Of returns the sessions of a person that are not over, the one that was used last first.
func (s *Sessions) Of(ctx context.Context, p *Person) ([]*Session, error) {
	all, err := s.store.PersonSessions(ctx, p.Tenant, p.ID)
	now := s.now().UTC()
	return slices.DeleteFunc(all, func(x *Session) bool {
		return !now.Before(x.Expires) || now.Sub(x.Seen) >= SessionIdle || !p.Disabled.IsZero() || p.Changed.After(x.Created)
	}), errs.Wrap("access.SessionsOf", err)
}

// EndOne ends one session of a person by its ID, or is errs.NotFound.
func (s *Sessions) EndOne(ctx context.Context, tenant ident.TenantID, person ident.UserID, id string) error {
	const op = "access.EndSession"
	all, err := s.store.PersonSessions(ctx, tenant, person)
	if err != nil {
		return errs.Wrap(op, err)
	}
	for _, x := range all {
		if x.ID() == id {
			return errs.Wrap(op, s.store.EndSession(ctx, x.Hash))
		}
	}
	return errs.New(op, errs.NotFound, errs.ResourceNotFound, "there is no such session")
}

// EndOf ends the sessions of a person but one; nil for all.
func (s *Sessions) EndOf(ctx context.Context, tenant ident.TenantID, person ident.UserID, but *Session) error {
	hash := ""
	if but != nil {
		hash = but.Hash
	}
	return errs.Wrap("access.EndSessions", s.store.EndSessions(ctx, tenant, person, hash))
}

// Presence tells whether a request is a sign of the person, or of the browser alone.
type Presence string

// The presences.
const (
	Active Presence = "active" // the person did something: the session is not idle
	Idle   Presence = "idle"   // the browser refreshes what it shows
)

// Resume returns the session of that text and who acts in it, with what the person may do
// and see at this moment. A text that is unknown, and a session that is over because of its
// age, of a changed password or of an account that is disabled, or whose identity provider is
// disabled or gone, is errs.Unauthenticated with code SessionOver.
func (s *Sessions) Resume(ctx context.Context, text string, presence Presence) (*Session, *Principal, error) {
	const op = "access.ResumeSession"
	over := errs.New(op, errs.Unauthenticated, SessionOver, "the session is over: sign in again")
	if text == "" || len(text) > 256 {
		return nil, nil, over
	}
	found, err := s.store.Session(ctx, s.hash("session", text))
	if errs.Is(err, errs.NotFound) {
		return nil, nil, over
	}
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	now := s.now().UTC()
	if !now.Before(found.Expires) || now.Sub(found.Seen) >= SessionIdle {
		return nil, nil, over
	}
	p, err := s.authority.people.Person(ctx, found.Tenant, found.Person)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, nil, over
	case err != nil:
		return nil, nil, errs.Wrap(op, err)
	case !p.Disabled.IsZero() || p.Changed.After(found.Created):
		return nil, nil, over
	}
	switch ok, err := s.authority.vouches.last(ctx, found.Tenant, found.Provider); {
	case err != nil:
		return nil, nil, errs.Wrap(op, err)
	case !ok:
		return nil, nil, over
	}
	if presence == Active && now.Sub(found.Seen) >= touchEvery {
		if err := s.store.TouchSession(ctx, found.Hash, now); err != nil {
			return nil, nil, errs.Wrap(op, err)
		}
		found.Seen = now
	}
	who, err := s.authority.delegated(ctx, p, everyScope())
	if err != nil {
		return nil, nil, errs.Wrap(op, err)
	}
	who.Portal, who.Provider = true, found.Provider
	return found, who, nil
}

// Proof is what a page of the session shows to prove that a request is its own and not
// forged by another site: it cannot be had from the cookie, and is worth nothing without.
func (s *Sessions) Proof(text string) string { return s.hash("proof", text) }

// Proves reports whether proof is the one of the session of that text.
func (s *Sessions) Proves(text, proof string) bool {
	return hmac.Equal([]byte(s.Proof(text)), []byte(proof))
}

// End ends the session of that text, if there is one.
func (s *Sessions) End(ctx context.Context, text string) error {
	if text == "" || len(text) > 256 {
		return nil
	}
	return errs.Wrap("access.EndSession", s.store.EndSession(ctx, s.hash("session", text)))
}

// Maintain forgets sessions that are over. It is called now and then.
func (s *Sessions) Maintain(ctx context.Context) error {
	now := s.now().UTC()
	return errs.Wrap("access.Maintain", s.store.ExpireSessions(ctx, now, now.Add(-SessionIdle)))
}

func (s *Sessions) hash(what, text string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(what + "/" + text))
	return hex.EncodeToString(m.Sum(nil))
}

// everyScope is the name of every delegated permission. The portal is the server's own
// program: what its users may do is bounded by their rights alone.
func everyScope() []string {
	var out []string
	for _, u := range Usages() {
		if len(u.Delegated) > 0 {
			out = append(out, u.Delegated[0])
		}
	}
	return out
}

// Granted returns the permissions that p has, in the order of Usages: what a program may
// offer to whoever it acts for.
func (p *Principal) Granted() []Permission {
	return slices.DeleteFunc(Permissions(), func(want Permission) bool { return !p.Can(want) })
}

// short bounds a text that is kept for people to read.
func short(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
		for !utf8.ValidString(s) && len(s) > most-4 {
			s = s[:len(s)-1]
		}
	}
	return s
}
