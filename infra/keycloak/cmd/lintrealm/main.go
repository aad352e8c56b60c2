// Command lintrealm looks for traps in the realm that production is to import:
//
//	go run ./infra/keycloak/cmd/lintrealm infra/keycloak/tenantry-realm.json
//
// Several files are laid over each other first. It ends with 1 where it finds something.
package main

import (
	"fmt"
	"os"

	"encore.app/infra/keycloak/realm"
)

func main() {
	merged, err := realm.Merge(os.Args[1:]...)
	var findings []realm.Finding
	if err == nil {
		findings, err = realm.Lint(merged)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lintrealm:", err)
		os.Exit(2)
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	if findings != nil {
		os.Exit(1)
	}
}
