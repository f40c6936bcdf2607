package main

import (
	"bytes"
	"os"
	"testing"
)

func TestGeneratedSchemaDocumentationIsCurrent(t *testing.T) {
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/schema.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/schema.md is out of date: run make generate")
	}
}
