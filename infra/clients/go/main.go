// Command go writes Go clients of the HTTP API: a module without dependencies that has one package an
// audience, made from the OpenAPI documents.
//
//	go run ./infra/clients/go -o DIR
package main

import (
	"embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"encore.app/docs/openapi"
)

// runtime is the source of the package that the generated ones share.
//
//go:embed client/client.go
var runtime embed.FS

// audiences are the documents that clients are made of, and the packages made of them.
var audiences = []string{"admin", "org", "app"}

func main() {
	dir := flag.String("o", ".dev/clients/go", "`directory` of the module to write")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	shared, err := runtime.ReadFile("client/client.go")
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"go.mod":           []byte("module " + module + "\n\ngo 1.24\n"),
		"client/client.go": shared,
	}
	for _, audience := range audiences {
		text, err := openapi.Files.ReadFile(audience + ".json")
		if err != nil {
			return err
		}
		if files[audience+"/"+audience+".go"], err = generate(audience, text); err != nil {
			return fmt.Errorf("%s: %w", audience, err)
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
