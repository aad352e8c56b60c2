// Package cueconfig evaluates the .cue files of a service to the JSON that
// config.Load reads, once for each type of environment.
package cueconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
)

// generatedFile is Encore's own description of the configuration's types; it is not configuration.
const generatedFile = "encore.gen.cue"

// meta declares #Meta as configuration files see it. The name of the environment, its cloud and
// the API's URL are not known when the host builds: a configuration that needs them does not
// evaluate, and says so.
const meta = `
#Meta: {
	APIBaseURL: string
	Environment: {
		Name:  string
		Type:  %q
		Cloud: string
	}
}
`

// EnvTypes are the environment types for which a configuration is evaluated.
var EnvTypes = []string{"development", "production", "test"}

// Evaluate returns the configuration in dir as JSON by environment type.
func Evaluate(dir string) (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.cue"))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, env := range EnvTypes {
		v, err := load(names, fmt.Sprintf(meta, env))
		if err != nil {
			return nil, err
		}
		if err := v.Validate(cue.Concrete(true)); err != nil {
			return nil, fmt.Errorf("environment type %s: %s", env, strings.TrimSpace(errors.Details(err, &errors.Config{Cwd: dir, ToSlash: true})))
		}
		data, err := v.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("environment type %s: %w", env, err)
		}
		out[env] = string(data)
	}
	return out, nil
}

func load(names []string, preamble string) (cue.Value, error) {
	var inst build.Instance
	add := func(name string, src []byte) error {
		f, err := parser.ParseFile(name, src, parser.ParseComments)
		if err != nil {
			return err
		}
		// Files see each other's definitions only within one package, and Encore asks for no
		// package clause: whatever the files say, they become one.
		f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool { _, ok := d.(*ast.Package); return ok })
		f.Decls = append([]ast.Decl{&ast.Package{Name: ast.NewIdent("config")}}, f.Decls...)
		return inst.AddSyntax(f)
	}
	if err := add("meta.cue", []byte(preamble)); err != nil {
		return cue.Value{}, err
	}
	for _, name := range names {
		if filepath.Base(name) == generatedFile {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return cue.Value{}, err
		}
		if err := add(name, src); err != nil {
			return cue.Value{}, err
		}
	}
	if err := inst.Complete(); err != nil {
		return cue.Value{}, err
	}
	v := cuecontext.New().BuildInstance(&inst)
	return v, v.Err()
}
