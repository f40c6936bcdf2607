package hunt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

func TestQuotaOfTheHourAndOfTheDay(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)
	l := newLedger(Quota{}, nil, func() time.Time { return now }, nil)
	limited := func(want string) time.Duration {
		t.Helper()
		err := l.check(ctx, "a")
		var e *errs.E
		if !errors.As(err, &e) {
			if want != "" {
				t.Errorf("%v: allowed, want %q", now, want)
			}
			return 0
		}
		if e.Kind != errs.Limited || e.Code != errs.TooManyRequests || want == "" || !strings.Contains(e.Detail, want) {
			t.Errorf("%v: %v, want %q", now, err, want)
		}
		return e.Retry
	}
	limited("")
	l.charge(ctx, "a", 9*time.Minute)
	limited("")
	now = now.Add(20 * time.Minute)
	l.charge(ctx, "a", time.Minute)
	if wait := limited("10m0s an hour"); wait != 39*time.Minute+30*time.Second {
		t.Errorf("wait %v", wait)
	}
	if l.check(ctx, "b") != nil {
		t.Error("another tenant is limited")
	}
	now = now.Add(39*time.Minute + 29*time.Second)
	limited("an hour")
	now = now.Add(time.Second)
	limited("")
	// Nine minutes each hour are fine for the hour, and too much for the day.
	now = now.Add(time.Hour)
	for range 18 {
		l.charge(ctx, "a", 9*time.Minute)
		limited("")
		now = now.Add(time.Hour)
	}
	l.charge(ctx, "a", 9*time.Minute)
	wait := limited("3h0m0s a day")
	if wait <= 0 || wait > 24*time.Hour {
		t.Fatalf("wait %v", wait)
	}
	now = now.Add(wait)
	limited("")
	l.charge(ctx, "a", 9*time.Minute)
	l.charge(ctx, "a", time.Minute)
	now = now.Add(-30 * time.Minute) // a clock that is set back forgets nothing
	limited("an hour")
	now = now.Add(-48 * time.Hour) // one that was far ahead locks nobody out
	limited("")
	now = now.Add(100 * 24 * time.Hour)
	limited("")

	none := newLedger(Quota{Hour: -1, Day: -1}, nil, func() time.Time { return now }, nil)
	none.charge(ctx, "a", 100*time.Hour)
	if err := none.check(ctx, "a"); err != nil {
		t.Errorf("without quotas: %v", err)
	}
}

// TestRetryOfQuotaIsExact holds the ledger against a list of charges: it allows exactly
// what the sum of the last minutes allows, and at the time that it names, it does.
func TestRetryOfQuotaIsExact(t *testing.T) {
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		start := time.Unix(1_800_000_000/60*60, 0)
		now := start
		l := newLedger(Quota{Hour: 10 * time.Minute, Day: 40 * time.Minute}, nil, func() time.Time { return now }, nil)
		type charge struct {
			minute int64
			spent  time.Duration
		}
		var all []charge
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3*3600).Draw(rt, "pause")) * time.Second)
			d := time.Duration(rapid.IntRange(1, 300).Draw(rt, "spent")) * time.Second
			l.charge(ctx, "a", d)
			all = append(all, charge{now.Unix() / 60, d})
			var hour, day time.Duration
			for _, c := range all {
				age := now.Unix()/60 - c.minute
				if age < 60 {
					hour += c.spent
				}
				if age < 24*60 {
					day += c.spent
				}
			}
			err := l.check(ctx, "a")
			if want := hour >= 10*time.Minute || day >= 40*time.Minute; want != (err != nil) {
				rt.Fatalf("hour %v, day %v: %v", hour, day, err)
			}
			var e *errs.E
			if errors.As(err, &e) && hour >= 10*time.Minute && day < 40*time.Minute {
				before := now
				now = before.Add(e.Retry - time.Second)
				if l.check(ctx, "a") == nil {
					rt.Fatal("it is allowed earlier than said")
				}
				now = before.Add(e.Retry)
				if err := l.check(ctx, "a"); err != nil {
					rt.Fatalf("it is not allowed when said: %v", err)
				}
			}
		}
	})
}

// TestQuotaOfAStoreThatFails lets hunts go on and says so.
func TestQuotaOfAStoreThatFails(t *testing.T) {
	told := 0
	l := newLedger(Quota{}, broken{}, time.Now, func(error) { told++ })
	l.charge(t.Context(), "a", time.Hour)
	if err := l.check(t.Context(), "a"); err != nil || told != 2 {
		t.Errorf("%v, told %d times", err, told)
	}
}

type broken struct{}

func (broken) Spend(context.Context, ident.TenantID, int64, time.Duration, int64) error {
	return errors.New("no disk")
}

func (broken) Spent(context.Context, ident.TenantID, int64) (map[int64]time.Duration, error) {
	return nil, errors.New("no disk")
}
