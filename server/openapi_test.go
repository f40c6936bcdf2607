package server

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/openapi"
)

var write = flag.Bool("write", false, "write docs/openapi.json instead of comparing it")

// TestOpenAPI compares the document with the one that is kept in docs. It fails for a
// route that says nothing of itself.
func TestOpenAPI(t *testing.T) {
	file := filepath.Join("..", "docs", "openapi.json")
	got, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *write {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the routes say; make generate writes it anew", file)
	}
}

// TestEveryRouteIsDocumented names all routes that say nothing of themselves, where the
// document's own error names the first.
func TestEveryRouteIsDocumented(t *testing.T) {
	table, err := routes(hollow())
	if err != nil {
		t.Error(err)
	}
	for _, r := range documented(table) {
		if _, err := openapi.Document([]api.Route{r}); err != nil {
			t.Errorf("%v: fill its Doc", err)
		}
	}
}
