package offboard

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/vedette-edr/vedette/agent/responder"
)

func TestADeviceLeavesOnlyWhenEverythingIsLifted(t *testing.T) {
	var did []string
	stuck, owed := errors.New("the kernel said no"), int64(2)
	note := func(what string, err *error) func(context.Context) error {
		return func(context.Context) error { did = append(did, what); return *err }
	}
	var none error
	h := &Handler{Outcome: "idle", Steps: []Step{{"isolation", note("isolation", &none)}, {"indicators", note("indicators", &stuck)}},
		Owed:  func() int64 { owed = max(owed-1, 0); return owed },
		Leave: func(id string) error { did = append(did, "left by "+id); return nil }}
	if r := h.Handle(t.Context(), responder.Command{ID: "7", Kind: Kind}); r.State != responder.Failed || slices.Contains(did, "left by 7") {
		t.Errorf("%+v; did %v", r, did)
	}
	stuck, did = nil, nil
	r := h.Handle(t.Context(), responder.Command{ID: "8", Kind: Kind})
	var e Evidence
	if err := json.Unmarshal(r.Evidence, &e); err != nil {
		t.Fatal(err)
	}
	if want := []string{"isolation", "indicators", "left by 8"}; r.State != responder.Verified || !slices.Equal(did, want) || len(e.Lifted) != 2 || e.Unsent != 0 {
		t.Errorf("%+v, %+v; did %v", r, e, did)
	}
	// Stopped while it waits for what is owed, it stays.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	did, owed = nil, 1<<40
	if r := h.Handle(ctx, responder.Command{ID: "9", Kind: Kind}); r.State != responder.Failed || slices.Contains(did, "left by 9") {
		t.Errorf("%+v; did %v", r, did)
	}
}
