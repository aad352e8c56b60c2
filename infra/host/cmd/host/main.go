// Command host checks, builds, runs and tests an Encore app with the stock Go
// toolchain.
//
//	host [--app DIR] [--workspace FILE] [--tags a,b] VERB [arguments]
//
//	check    read the app and apply Encore's rules; -v lists what it has
//	run      build the app and become it; arguments after -- go to the app
//	build    build the app to a static binary: -o FILE, --revision REV
//	test     go test with the host in place; takes its flags and packages
//	gen      write encore.gen.go files for editors
//	openapi  print the app's OpenAPI document: -o FILE, --audience NAME, or --dir DIR for all
//	env      print shell assignments that put the host in place of encore.dev
//	overlay  print the -overlay flag for go build, go vet and linters
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/build"
	"encore.app/infra/host/internal/diag"
	"encore.app/infra/host/internal/manifest"
	"encore.app/infra/host/internal/workspace"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	var exit *exec.ExitError
	var findings *diag.Error
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.As(err, &exit): // the go command has said why
		os.Exit(max(exit.ExitCode(), 1))
	case errors.As(err, &findings):
		fmt.Fprintf(os.Stderr, "%v\nhost: %d findings\n", findings, len(findings.Findings))
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "host:", err)
		os.Exit(1)
	}
}

// options are the flags that every verb takes, before or after its name.
type options struct{ app, workspace, tags string }

func (o *options) register(fs *flag.FlagSet) {
	fs.StringVar(&o.app, "app", o.app, "`directory` of the app (default: the nearest with encore.app)")
	fs.StringVar(&o.workspace, "workspace", o.workspace, "go.work `file` of the host (default: infra/host/go.work of the app)")
	fs.StringVar(&o.tags, "tags", o.tags, "build tags, separated by commas")
}

func (o *options) open() (*workspace.Workspace, error) {
	start := o.app
	if start == "" {
		start = "."
	}
	root, err := manifest.FindRoot(start)
	if err != nil {
		return nil, err
	}
	ws, err := workspace.Open(root, o.workspace)
	if err != nil {
		return nil, err
	}
	if o.tags != "" {
		ws.Tags = strings.Split(o.tags, ",")
	}
	return ws, nil
}

// verb is one command: flags are registered first, then run gets what is left of the arguments.
type verb func(o *options, fs *flag.FlagSet, args []string, out io.Writer) error

var verbs = map[string]verb{
	"check": check, "run": runApp, "build": buildApp, "test": test,
	"gen": gen, "openapi": openAPI, "env": env, "overlay": overlay,
}

func run(args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("host", flag.ContinueOnError)
	o.register(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	v, ok := verbs[fs.Arg(0)]
	if !ok {
		return fmt.Errorf("unknown verb %q; use check, run, build, test, gen, openapi, env or overlay", fs.Arg(0))
	}
	vfs := flag.NewFlagSet("host "+fs.Arg(0), flag.ContinueOnError)
	o.register(vfs)
	return v(&o, vfs, fs.Args()[1:], out)
}

// prepare parses the verb's flags and generates the app's code.
func prepare(o *options, fs *flag.FlagSet, args []string) (*build.Prepared, error) {
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	ws, err := o.open()
	if err != nil {
		return nil, err
	}
	return build.Prepare(ws)
}

func check(o *options, fs *flag.FlagSet, args []string, out io.Writer) error {
	verbose := fs.Bool("v", false, "list services, endpoints, middleware and resources")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ws, err := o.open()
	if err != nil {
		return err
	}
	a, _, err := app.Read(ws)
	if err != nil {
		return err
	}
	if *verbose {
		if err := table(a, out); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(out, "ok:", a.Summary())
	return err
}

func runApp(o *options, fs *flag.FlagSet, args []string, _ io.Writer) error {
	p, err := prepare(o, fs, args)
	if err != nil {
		return err
	}
	if err := p.Build(p.Binary(), "", false); err != nil {
		return err
	}
	// The app takes over this process: signals and the exit code are its own.
	return syscall.Exec(p.Binary(), append([]string{p.Binary()}, fs.Args()...), os.Environ())
}

func buildApp(o *options, fs *flag.FlagSet, args []string, _ io.Writer) error {
	output := fs.String("o", "", "output `file` (default: .dev/host/bin/app)")
	revision := fs.String("revision", "", "revision of the sources (default: what git says)")
	p, err := prepare(o, fs, args)
	if err != nil {
		return err
	}
	if *output == "" {
		*output = p.Binary()
	}
	return p.Build(*output, *revision, true)
}

// test hands everything to go test except the host's own flags, which come first.
func test(o *options, fs *flag.FlagSet, args []string, _ io.Writer) error {
	own := 0
	for own < len(args) {
		name, _, joined := strings.Cut(strings.TrimLeft(args[own], "-"), "=")
		if !strings.HasPrefix(args[own], "-") || fs.Lookup(name) == nil {
			break
		}
		if own++; !joined {
			own++
		}
	}
	own = min(own, len(args))
	p, err := prepare(o, fs, args[:own])
	if err != nil {
		return err
	}
	return p.Test(args[own:])
}

func gen(o *options, fs *flag.FlagSet, args []string, out io.Writer) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	ws, err := o.open()
	if err != nil {
		return err
	}
	written, err := build.WriteEditorFiles(ws)
	for _, name := range written {
		fmt.Fprintln(out, name)
	}
	return err
}

func env(o *options, fs *flag.FlagSet, args []string, out io.Writer) error {
	p, err := prepare(o, fs, args)
	if err != nil {
		return err
	}
	// The variable replaces what go env -w has set, so that goes along.
	goflags, err := p.Workspace.Go("env", "GOFLAGS").Output()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "export GOWORK='%s'\nexport GOFLAGS='%s'\n", p.Workspace.File,
		strings.TrimSpace(strings.TrimSpace(string(goflags))+" -overlay="+p.Overlay))
	return err
}

func overlay(o *options, fs *flag.FlagSet, args []string, out io.Writer) error {
	p, err := prepare(o, fs, args)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "-overlay="+p.Overlay)
	return err
}
