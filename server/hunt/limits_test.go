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
	store := &slow{takes: 4 * time.Minute}
	s := hunt.New(hunt.Config{Store: store, Clock: func() time.Time { return now }})
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	q := hunt.Request{Query: "print 1"}
	if _, err := s.Run(ctx, q); err != nil {
		t.Fatal(err)
	}
	store.err = errs.New("x", errs.Timeout, "", "too long")
	for range 2 {
		if _, err := s.Run(ctx, q); !errs.Is(err, errs.Timeout) {
			t.Fatal(err)
		}
	}
	store.err = nil
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
	if store.callers[0] != "app:app" || store.callers[len(store.callers)-2] != "" {
		t.Errorf("callers: %q", store.callers)
	}
}

// TestErrorsOfProbes shows that what the store says while a query is compiled is not taken
// for an error of the text.
func TestErrorsOfProbes(t *testing.T) {
	store := &slow{}
	s := hunt.New(hunt.Config{Store: store, Clock: func() time.Time { return noon }})
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
		store.err = c.err
		_, err := s.Run(ctx, hunt.Request{Query: "DeviceEvents | extend d = todynamic(AdditionalFields) | evaluate bag_unpack(d)"})
		if !errs.Is(err, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want %v", c.err, err, c.want)
		}
	}
}
