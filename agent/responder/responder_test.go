package responder

import (
	"context"
	"slices"
	"testing"
)

type echo []string

func (e echo) Kinds() []string { return e }

func (e echo) Handle(_ context.Context, c Command) Result {
	return Result{State: Verified, Detail: c.ID}
}

func TestDoFindsTheHandler(t *testing.T) {
	r, err := New(echo{"b", "a"}, echo{"c"})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Kinds(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("kinds: %v", got)
	}
	if got := r.Do(t.Context(), Command{ID: "7", Kind: "c"}); got.State != Verified || got.Detail != "7" {
		t.Errorf("result: %+v", got)
	}
	if got := r.Do(t.Context(), Command{ID: "8", Kind: "format"}); got.State != Refused || got.Detail == "" {
		t.Errorf("an unknown kind: %+v", got)
	}
}

func TestOneKindHasOneHandler(t *testing.T) {
	if _, err := New(echo{"a"}, echo{"a"}); err == nil {
		t.Error("two handlers of one kind were taken")
	}
}
