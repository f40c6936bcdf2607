package hunt_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// slow is telemetry whose queries take a time, and end with an error if one is set.
type slow struct {
	hunttest.Memory
	takes   time.Duration
	err     error
	callers []string
}

func (s *slow) Query(ctx context.Context, q *telemetry.Query, sink telemetry.Sink) (telemetry.Stats, error) {
	s.callers = append(s.callers, q.Caller)
	if s.err != nil {
		return telemetry.Stats{Running: s.takes}, s.err
	}
	st, err := s.Memory.Query(ctx, q, sink)
	st.Running = s.takes
	return st, err
}

// TestQuotaOfRunningTime lets a tenant use up its hour, by queries that fail too.
func TestQuotaOfRunningTime(t *testing.T) {
	now := noon
	rows := &slow{takes: 4 * time.Minute}
	s := hunt.New(hunt.Config{Store: rows, Clock: func() time.Time { return now }})
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	q := hunt.Request{Query: "print 1"}
	if _, err := s.Run(ctx, q); err != nil {
		t.Fatal(err)
	}
	rows.err = errs.New("x", errs.Timeout, "", "too long")
	for range 2 {
		if _, err := s.Run(ctx, q); !errs.Is(err, errs.Timeout) {
			t.Fatal(err)
		}
	}
	rows.err = nil
	_, err := s.Run(ctx, q)
	var e *errs.E
	if !errors.As(err, &e) || e.Kind != errs.Limited || e.Code != errs.TooManyRequests || e.Retry != time.Hour {
		t.Errorf("after 12 minutes: %v", err)
	}
	if _, err := s.Run(as(t, tenantB, access.AdvancedQueryRead), q); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	// What the server asks for itself is not kept from it.
	if _, err := s.LogonUsers(t.Context(), tenantA, device(1), noon); err != nil {
		t.Errorf("a lookup: %v", err)
	}
	system := access.System(tenantA, "part")
	system.Roles = []string{string(access.AdvancedQueryRead)}
	if _, err := s.Run(access.WithPrincipal(t.Context(), system), q); err != nil {
		t.Errorf("the server itself: %v", err)
	}
	now = now.Add(time.Hour)
	if _, err := s.Run(ctx, q); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	if rows.callers[0] != "app:app" || rows.callers[len(rows.callers)-2] != "" {
		t.Errorf("callers: %q", rows.callers)
	}
}

// TestQuotaOutlivesTheServer uses a quota up, opens the database again as a server does that
// starts anew, and is refused for as long as before; what is older than a day is forgotten.
func TestQuotaOutlivesTheServer(t *testing.T) {
	now, dir := noon, t.TempDir()
	ctx, other := as(t, tenantA, access.AdvancedQueryRead), as(t, tenantB, access.AdvancedQueryRead)
	q := hunt.Request{Query: "print 1"}
	run := func(f func(s *hunt.Service, u hunt.Usage)) {
		t.Helper()
		db, err := store.Open(ctx, store.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f(hunt.New(hunt.Config{Store: &slow{takes: 6 * time.Minute}, Clock: func() time.Time { return now }, Usage: db.Usage(), Uncounted: func(err error) { t.Error(err) }}), db.Usage())
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(s *hunt.Service) time.Duration {
		t.Helper()
		var e *errs.E
		if _, err := s.Run(ctx, q); !errors.As(err, &e) || e.Kind != errs.Limited {
			t.Fatalf("after 12 minutes: %v", err)
		}
		return e.Retry
	}
	var before time.Duration
	run(func(s *hunt.Service, _ hunt.Usage) {
		for range 2 {
			if _, err := s.Run(ctx, q); err != nil {
				t.Fatal(err)
			}
			now = now.Add(10 * time.Minute)
		}
		before = refused(s)
	})
	run(func(s *hunt.Service, _ hunt.Usage) {
		if after := refused(s); after != before || after != 40*time.Minute {
			t.Errorf("after a restart %v, want %v", after, before)
		}
		if _, err := s.Run(other, q); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		now = now.Add(before)
		if _, err := s.Run(ctx, q); err != nil {
			t.Errorf("when it was said: %v", err)
		}
	})
	now = now.Add(26 * time.Hour)
	run(func(s *hunt.Service, u hunt.Usage) {
		if _, err := s.Run(ctx, q); err != nil {
			t.Error(err)
		}
		if spent, err := u.Spent(ctx, tenantA, 0); err != nil || len(spent) != 1 {
			t.Errorf("%v, %v: want the last query alone", spent, err)
		}
	})
}

// TestErrorsOfProbes shows that what the store says while a query is compiled is not taken
// for an error of the text.
func TestErrorsOfProbes(t *testing.T) {
	rows := &slow{}
	s := hunt.New(hunt.Config{Store: rows, Clock: func() time.Time { return noon }})
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	for _, c := range []struct {
		err  *errs.E
		want errs.Kind
	}{
		{errs.New("x", errs.Timeout, "", "too long"), errs.Timeout},
		{errs.New("x", errs.Unavailable, errs.ServiceDegraded, "broken"), errs.Unavailable},
		{errs.New("x", errs.Limited, errs.TooManyRequests, "crowded"), errs.Limited},
		{errs.New("x", errs.Limited, "", "too much"), errs.Invalid},
		{errs.New("x", errs.Internal, "", "?"), errs.Internal},
	} {
		rows.err = c.err
		_, err := s.Run(ctx, hunt.Request{Query: "DeviceEvents | extend d = todynamic(AdditionalFields) | evaluate bag_unpack(d)"})
		if !errs.Is(err, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want %v", c.err, err, c.want)
		}
	}
}
