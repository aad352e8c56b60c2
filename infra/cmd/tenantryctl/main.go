// Command tenantryctl is for the people who run the platform: it sets tenants up and looks after
// accounts, over the app's admin API and Keycloak's, never in a database.
//
//	go run ./infra/cmd/tenantryctl help
//	encore exec -- go run ./infra/cmd/tenantryctl help
//
// It needs nothing of Encore; the second form serves scripts that run all their commands that way.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"encore.app/identity/keycloak"
)

const help = `tenantryctl looks after tenants and accounts.

  tenantryctl provision --slug S --name N --owner-email E [--first-name F --last-name L] [--temporary-password]
      makes the organisation in the app and in Keycloak, and the owner's account where there is none,
      and prints an invitation for the owner; may be run again where it broke off
  tenantryctl users disable|enable|reset-mfa|logout --email E | --id ID
      keeps a person out, lets them in again, takes their second factors away, ends their sessions
  tenantryctl platform-roles [--role R]
      lists who has a role over the whole platform
  tenantryctl rotate-secret --client ID
      gives a confidential client a new secret and prints it; the old one is void at once
  tenantryctl help

Every command takes --json. What it needs:
  OIDC_ISSUER_URL          the realm, such as https://id.example.com/realms/tenantry (--issuer)
  OIDC_INTERNAL_URL        where the realm is reached from here, if elsewhere
  KEYCLOAK_CLIENT_ID       the service account that is used; tenantry-operator unless set
  KEYCLOAK_CLIENT_SECRET   its secret
  TENANTRY_API_URL         the app; http://127.0.0.1:4000 unless set (--api; provision only)
  TENANTRY_TOKEN           a platform administrator's access token of level 2 (--token; provision only).
                           A flag can be read by everybody on the machine, the variable cannot.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 not available; try again.
`

// Exit codes, as the help tells them.
const (
	exitFailed = iota + 1
	exitUsage
	exitNotFound
	exitRefused
	exitUnavailable
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// usageError is a command line that cannot be made sense of.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// run is the command with everything it touches handed to it.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, help)
		return exitUsage
	}
	commands := map[string]func(context.Context, *invocation, []string) (fmt.Stringer, error){
		"provision": provision, "users": users, "platform-roles": platformRoles, "rotate-secret": rotateSecret,
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, help)
		return 0
	}
	command, known := commands[args[0]]
	if !known {
		fmt.Fprintf(stderr, "tenantryctl: there is no command %q; see tenantryctl help\n", args[0])
		return exitUsage
	}
	in := newInvocation(args[0], env)
	result, err := command(ctx, in, args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return 0
	case err != nil:
		return in.fail(err, stderr)
	case in.json:
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(result)
	default:
		_, err = fmt.Fprint(stdout, result)
	}
	if err != nil {
		return in.fail(err, stderr)
	}
	return 0
}

// invocation is one call of a command: its flags and what it talks to.
type invocation struct {
	command string
	flags   *flag.FlagSet
	env     func(string) string
	json    bool
	issuer  string
}

func newInvocation(command string, env func(string) string) *invocation {
	in := &invocation{command: command, env: env, flags: flag.NewFlagSet(command, flag.ContinueOnError)}
	in.flags.SetOutput(io.Discard) // run tells
	in.flags.BoolVar(&in.json, "json", false, "")
	in.flags.StringVar(&in.issuer, "issuer", env("OIDC_ISSUER_URL"), "")
	return in
}

// parse reads the flags, of which the named ones have to be there. There are no further arguments.
func (in *invocation) parse(args []string, required ...string) error {
	if err := in.flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &usageError{err.Error()}
	}
	if in.flags.NArg() > 0 {
		return &usageError{fmt.Sprintf("what is %q?", in.flags.Arg(0))}
	}
	var missing []string
	for _, name := range required {
		if in.flags.Lookup(name).Value.String() == "" {
			missing = append(missing, "--"+name)
		}
	}
	if missing != nil {
		return &usageError{strings.Join(missing, ", ") + " must be given"}
	}
	return nil
}

// keycloak is the realm's admin API, as the operators' account.
func (in *invocation) keycloak() (*keycloak.Client, error) {
	account := in.env("KEYCLOAK_CLIENT_ID")
	if account == "" {
		account = "tenantry-operator"
	}
	for name, value := range map[string]string{"OIDC_ISSUER_URL": in.issuer, "KEYCLOAK_CLIENT_SECRET": in.env("KEYCLOAK_CLIENT_SECRET")} {
		if value == "" {
			return nil, &usageError{name + " is not set"}
		}
	}
	return keycloak.New(keycloak.Config{
		Issuer: in.issuer, InternalURL: in.env("OIDC_INTERNAL_URL"),
		ClientID: account, ClientSecret: in.env("KEYCLOAK_CLIENT_SECRET"),
	})
}

// fail says what went wrong and returns the exit code for it.
func (in *invocation) fail(err error, stderr io.Writer) int {
	code := exitFailed
	var usage *usageError
	var refused *apiError
	switch {
	case errors.As(err, &usage):
		code = exitUsage
	case errors.As(err, &refused):
		code = refused.exit()
	case errors.Is(err, keycloak.ErrNotFound):
		code = exitNotFound
	case errors.Is(err, keycloak.ErrForbidden), errors.Is(err, keycloak.ErrCredentials):
		code = exitRefused
	case errors.Is(err, keycloak.ErrUnavailable), errors.Is(err, errAPIUnavailable):
		code = exitUnavailable
	}
	if in.json {
		json.NewEncoder(stderr).Encode(map[string]any{"error": err.Error(), "exit_code": code}) // nobody reads if this fails
		return code
	}
	fmt.Fprintf(stderr, "tenantryctl %s: %v\n", in.command, err)
	return code
}
