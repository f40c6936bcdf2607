package api

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
)

// Unlimited as a member of a Limit is no limit of that span.
const Unlimited = -1

// Limits is how the limits of routes are applied. The zero value applies them as they are.
type Limits struct {
	// Factor multiplies every limit; 0 for 1. A limit is never below one call.
	Factor float64
	// Routes replaces the limits of single routes, by "GET /api/alerts": method and pattern
	// as the route table has them. Factor does not apply to these.
	Routes map[string]Limit
	// Refused is told of every call that is refused, for metrics; nil for nobody.
	Refused func(method, pattern string)
}

// maxWindows bounds the callers and routes that are counted at once, some 10 MB. When
// there are more, those that were quiet for longest start anew.
const maxWindows = 100_000

// limiter counts calls in sliding windows: the calls of the running span, and of the one
// before as far as the window still reaches into it, taken as evenly spread. That errs by
// less than the calls of one span ever did, and keeps two numbers where a log of calls
// would keep thousands. A call that is refused is not counted.
type limiter struct {
	cfg *Limits // nil: nothing is limited
	now func() time.Time

	mu      sync.Mutex
	windows map[windowKey]*windows
}

type windowKey struct {
	tenant, caller string // caller "" for all callers of the tenant together
	route          string
}

type windows struct{ minute, hour window }

// window is one span's count.
type window struct {
	start      time.Time // of the running span
	last, runs int64     // calls of the span before and of the running one
}

func newLimiter(cfg *Limits, now func() time.Time) *limiter {
	return &limiter{cfg: cfg, now: now, windows: map[windowKey]*windows{}}
}

// effective returns the limit of a route as it is applied.
func (l *limiter) effective(r *Route) Limit {
	if own, ok := l.cfg.Routes[r.Method+" "+r.Pattern]; ok {
		own.PerMinute, own.PerHour = cmp.Or(own.PerMinute, Unlimited), cmp.Or(own.PerHour, Unlimited)
		return own
	}
	out := r.Limit
	out.PerMinute, out.PerHour = cmp.Or(out.PerMinute, DefaultLimit.PerMinute), cmp.Or(out.PerHour, DefaultLimit.PerHour)
	if f := l.cfg.Factor; f > 0 {
		scale := func(n int) int {
			if n < 0 {
				return n
			}
			return max(1, int(float64(n)*f))
		}
		out.PerMinute, out.PerHour = scale(out.PerMinute), scale(out.PerHour)
	}
	return out
}

// take counts a call of the caller or refuses it with errs.Limited.
func (l *limiter) take(r *Route, p *access.Principal) error {
	if l.cfg == nil {
		return nil
	}
	limit := l.effective(r)
	if p.Portal {
		limit.PerMinute, limit.PerHour = generous(limit.PerMinute), generous(limit.PerHour)
	}
	key := windowKey{tenant: string(p.Tenant), caller: string(p.Kind) + "/" + p.ID, route: cmp.Or(limit.Pool, r.Method+" "+r.Pattern)}
	if p.Portal {
		key.caller = "portal/" + p.ID
	}
	whose := "of this caller"
	if limit.Tenant {
		key.caller, whose = "", "of all callers of the tenant"
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[key]
	if w == nil {
		l.makeRoom(now)
		w = &windows{}
		l.windows[key] = w
	}
	for _, s := range []struct {
		window *window
		span   time.Duration
		most   int
		name   string
	}{{&w.minute, time.Minute, limit.PerMinute, "minute"}, {&w.hour, time.Hour, limit.PerHour, "hour"}} {
		if wait := s.window.wait(now, s.span, s.most); wait > 0 {
			if l.cfg.Refused != nil {
				l.cfg.Refused(r.Method, r.Pattern)
			}
			return &errs.E{Op: "api.limit", Kind: errs.Limited, Code: errs.TooManyRequests, Retry: wait,
				Detail: fmt.Sprintf("Too many calls %s: %d per %s are allowed here. Try again in %d seconds.", whose, s.most, s.name, seconds(wait))}
		}
	}
	w.minute.runs++
	w.hour.runs++
	return nil
}

// portalFactor is how many times more calls a session of the portal may make than the same
// person's scripts: a page asks in a minute what a script asks in an hour, and counts apart.
const portalFactor = 10

func generous(n int) int {
	if n < 0 {
		return n
	}
	return n * portalFactor
}

func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// wait moves the window to now and returns how long it is until one more call fits; 0 when
// it does now.
func (w *window) wait(now time.Time, span time.Duration, most int) time.Duration {
	switch gone := now.Sub(w.start); {
	case gone >= 2*span || gone < 0: // also when the clock was set back
		w.start, w.last, w.runs = now, 0, 0
	case gone >= span:
		w.start, w.last, w.runs = w.start.Add(span), w.runs, 0
	}
	if most < 0 {
		return 0
	}
	gone := now.Sub(w.start)
	reach := float64(span-gone) / float64(span) // the part of the span before that counts
	if float64(w.last)*reach+float64(w.runs)+1 <= float64(most) {
		return 0
	}
	// Within this span the count falls by what the window leaves of the one before.
	if free := float64(most) - float64(w.runs) - 1; free >= 0 && w.last > 0 {
		return max(time.Duration((reach-free/float64(w.last))*float64(span)), time.Millisecond)
	}
	// In the next one, today's calls are the ones before.
	left := span - gone
	if free := float64(most) - 1; w.runs > 0 {
		left += time.Duration(max(0, 1-free/float64(w.runs)) * float64(span))
	}
	return max(left, time.Millisecond)
}

// makeRoom forgets windows that count nothing any more, and when there are none such, any.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.windows) < maxWindows {
		return
	}
	for k, w := range l.windows {
		if now.Sub(w.hour.start) >= 2*time.Hour {
			delete(l.windows, k)
		}
	}
	for k := range l.windows {
		if len(l.windows) < maxWindows*9/10 {
			return
		}
		delete(l.windows, k)
	}
}
