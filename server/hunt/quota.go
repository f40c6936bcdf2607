package hunt

import (
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Quota is how long the queries of one tenant may run together. Zero means the published
// quota, negative none.
//
// Source: "Advanced hunting API", limitations: 10 minutes of running time every hour and 3
// hours of running time a day.
type Quota struct {
	Hour, Day time.Duration
}

// What is published.
const (
	quotaHour = 10 * time.Minute
	quotaDay  = 3 * time.Hour
)

// ledger keeps what each tenant used in the last day, by the minute. It begins anew with
// the server.
type ledger struct {
	now   func() time.Time
	quota Quota

	mu   sync.Mutex
	used map[ident.TenantID]*minutes
}

// minutes is a day of running time.
type minutes struct {
	spent [24 * 60]time.Duration
	last  int64 // minute that was written last
}

func newLedger(q Quota, now func() time.Time) *ledger {
	if q.Hour == 0 {
		q.Hour = quotaHour
	}
	if q.Day == 0 {
		q.Day = quotaDay
	}
	return &ledger{now: now, quota: q, used: map[ident.TenantID]*minutes{}}
}

// turn forgets what is older than a day.
func (m *minutes) turn(minute int64) {
	day := int64(len(m.spent))
	for i := max(m.last+1, minute-day+1); i <= minute; i++ {
		m.spent[i%day] = 0
	}
	m.last = max(m.last, minute)
}

// charge adds the running time of a query that has ended.
func (l *ledger) charge(t ident.TenantID, d time.Duration) {
	if d <= 0 {
		return
	}
	minute := l.now().Unix() / 60
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.used[t]
	if m == nil {
		m = &minutes{last: minute - 1}
		l.used[t] = m
	}
	m.turn(minute)
	m.spent[m.last%int64(len(m.spent))] += d
}

// check reports whether a tenant may run another query, as errs.Limited that says which
// quota is used up and when there is some again.
func (l *ledger) check(t ident.TenantID) error {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.used[t]
	if m == nil {
		return nil
	}
	minute := now.Unix() / 60
	m.turn(minute)
	for _, q := range []struct {
		name  string
		span  int64 // minutes
		limit time.Duration
	}{{"an hour", 60, l.quota.Hour}, {"a day", int64(len(m.spent)), l.quota.Day}} {
		if q.limit < 0 {
			continue
		}
		free, ok := m.free(q.span, q.limit)
		if ok {
			continue
		}
		wait := time.Unix((free+q.span)*60, 0).Sub(now)
		return &errs.E{Op: "hunt.quota", Kind: errs.Limited, Code: errs.TooManyRequests, Retry: wait,
			Detail: "The quota of running time of queries is used up: " + q.limit.String() + " " + q.name + ". Try again in " + wait.Round(time.Second).String() + "."}
	}
	return nil
}

// free reports whether less than limit was spent in the last span minutes; if not, it
// answers the minute that has to be out of them for that.
func (m *minutes) free(span int64, limit time.Duration) (minute int64, ok bool) {
	day := int64(len(m.spent))
	var sum time.Duration
	for i := m.last - span + 1; i <= m.last; i++ {
		if i >= 0 {
			sum += m.spent[i%day]
		}
	}
	if sum < limit {
		return 0, true
	}
	for i := m.last - span + 1; i < m.last; i++ {
		if i >= 0 {
			sum -= m.spent[i%day]
		}
		if sum < limit {
			return i, false
		}
	}
	return m.last, false
}
