package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTheDocumentsOfTheHouseAreValid checks what make openapi has written against OpenAPI 3.1.
func TestTheDocumentsOfTheHouseAreValid(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../../../docs/openapi/*.json")
	if err != nil || len(names) != 4 {
		t.Fatalf("want four documents, found %v, %v", names, err)
	}
	for _, name := range names {
		doc, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		validate(t, doc)
	}
}
