// Command stamp writes the digest of the bundle into bundle.yaml, through which the decision point
// tells what it serves. Run it with go generate after every change of a policy.
package main

import (
	"fmt"
	"os"

	"encore.app/policies"
)

func main() {
	if err := stamp(); err != nil {
		fmt.Fprintln(os.Stderr, "stamp:", err)
		os.Exit(1)
	}
}

// stamp works in the directory of the bundle.
func stamp() error {
	digest, err := policies.DigestOf(os.DirFS("."))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(policies.StampFile)
	if err != nil {
		return err
	}
	out, err := policies.Stamped(text, digest)
	if err != nil {
		return err
	}
	return os.WriteFile(policies.StampFile, out, 0o644)
}
