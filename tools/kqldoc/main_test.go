package main

import (
	"bytes"
	"os"
	"testing"
)

func TestGeneratedFunctionsAreUpToDate(t *testing.T) {
	have, err := os.ReadFile("../../docs/kql/functions.md")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := functions(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want.Bytes()) {
		t.Error("docs/kql/functions.md is not what kql/funcs and kql/plugin say: run make generate")
	}
}
