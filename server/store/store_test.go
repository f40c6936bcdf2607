package store_test

import (
	"context"
	"testing"

	"github.com/vedette-edr/vedette/server/store"
)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOpen(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
}
