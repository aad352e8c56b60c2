// Command mergerealm lays realm files over each other and prints the result, for
// importing the demo realm into a real Keycloak:
//
//	go run ./infra/keycloak/cmd/mergerealm infra/keycloak/tenantry-realm.json infra/keycloak/demo.json > import/tenantry-realm.json
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"encore.app/infra/keycloak/realm"
)

func main() {
	merged, err := realm.Merge(os.Args[1:]...)
	if err == nil {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(merged)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mergerealm:", err)
		os.Exit(1)
	}
}
