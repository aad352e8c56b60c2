// Command tenantry-audit-verify checks an export of an audit log without a server: with the export,
// a public key and, better still, a checkpoint that was kept from before, it finds every event that
// was altered, removed, moved or inserted.
//
//	tenantry-audit-verify -key tenantry/audit+… [-checkpoint earlier.txt] export.ndjson
//	tenantry-audit-verify -generate-key
//
// It ends with 0 if all is well, 1 if something is wrong, and 2 if it could not check.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"encore.app/audit/ledger"
)

const (
	exitWrong     = 1
	exitUnchecked = 2
)

func main() {
	code, err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// keyList is a flag that may be given more than once.
type keyList []string

func (k *keyList) String() string { return strings.Join(*k, ",") }

// Set takes a verifier key, or the name of a file that has some: one a line, or the answer of
// /.well-known/tenantry-audit-keys as it came.
func (k *keyList) Set(value string) error {
	text, err := os.ReadFile(value)
	if errors.Is(err, os.ErrNotExist) && strings.Count(value, "+") >= 2 {
		*k = append(*k, value)
		return nil
	}
	if err != nil {
		return err
	}
	var published struct {
		Keys []ledger.PublicKey `json:"keys"`
	}
	if json.Unmarshal(text, &published) == nil {
		for _, key := range published.Keys {
			*k = append(*k, key.VKey)
		}
		return nil
	}
	*k = append(*k, strings.Fields(string(text))...)
	return nil
}

func run(args []string, in io.Reader, out, problems io.Writer) (code int, err error) {
	flags := flag.NewFlagSet("tenantry-audit-verify", flag.ContinueOnError)
	flags.SetOutput(problems)
	var keys keyList
	flags.Var(&keys, "key", "a verifier `key`, or a file with some; may be repeated")
	kept := flags.String("checkpoint", "", "a `file` with a checkpoint that was kept from before")
	partial := flags.Bool("partial", false, "accept an export that does not have every entry")
	generate := flags.Bool("generate-key", false, "make a signing key for AUDIT_SIGNING_KEY, print it and end")
	if err := flags.Parse(args); err != nil {
		return exitUnchecked, err
	}
	if *generate {
		key, err := ledger.GenerateKey()
		if err != nil {
			return exitUnchecked, err
		}
		fmt.Fprintln(out, key)
		return 0, nil
	}
	if len(keys) == 0 || flags.NArg() > 1 {
		flags.Usage()
		return exitUnchecked, errors.New("one -key and one export are needed; the key must not come from the export")
	}
	o, err := options(keys, *kept)
	if err != nil {
		return exitUnchecked, err
	}
	if name := flags.Arg(0); name != "" && name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return exitUnchecked, err
		}
		defer file.Close()
		in = file
	}
	start := time.Now()
	report, err := ledger.Verify(in, o)
	if err != nil {
		return exitUnchecked, err
	}
	return tell(out, report, *partial, time.Since(start)), nil
}

func options(keys keyList, kept string) (o ledger.Options, err error) {
	if o.Keys, err = ledger.Verifiers(keys...); err != nil || kept == "" {
		return o, err
	}
	text, err := os.ReadFile(kept)
	if err != nil {
		return o, err
	}
	var answer struct { // of GET …/audit/checkpoint
		Checkpoint string `json:"checkpoint"`
	}
	signed := string(text)
	if json.Unmarshal(text, &answer) == nil {
		signed = answer.Checkpoint
	}
	c, err := ledger.OpenCheckpoint(signed, o.Keys)
	if err != nil {
		return o, fmt.Errorf("%s: %w", kept, err)
	}
	o.Earlier = &c
	return o, nil
}

func tell(out io.Writer, r *ledger.Report, partial bool, took time.Duration) (code int) {
	fmt.Fprintf(out, "log         %s\ncheckpoint  %d entries\nread        %d entries, %d of them without payload, in %s\n",
		r.Checkpoint.Origin, r.Checkpoint.Size, r.Entries, r.Pruned, took.Round(time.Millisecond))
	for _, f := range r.Findings {
		fmt.Fprintln(out, "WRONG       "+f.String())
	}
	if more := r.Total - len(r.Findings); more > 0 {
		fmt.Fprintf(out, "WRONG       and %d findings more\n", more)
	}
	switch {
	case !r.OK():
		return exitWrong
	case !r.Complete && !partial:
		fmt.Fprintln(out, "PARTIAL     what is here is in the log; whether something is missing, this export cannot show (-partial accepts that)")
		return exitWrong
	}
	fmt.Fprintln(out, "OK")
	return 0
}
