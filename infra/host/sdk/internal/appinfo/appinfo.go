// Package appinfo holds what this process knows about the app it runs: who it is and where.
package appinfo

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

// Info is what the build says about the app.
type Info struct {
	ID       string
	Revision string
	Modified bool
}

var current atomic.Pointer[Info]

// Set records what the build says.
func Set(i Info) { current.Store(&i) }

// Get gives what [Set] recorded, or nothing.
func Get() Info {
	if i := current.Load(); i != nil {
		return *i
	}
	return Info{}
}

// Env is the kind of place the process runs in, from APP_ENV.
type Env string

const (
	Dev        Env = "dev"
	Test       Env = "test"
	Staging    Env = "staging"
	Production Env = "production"
)

// ParseEnv reads APP_ENV's value; empty is [Dev].
func ParseEnv(v string) (Env, error) {
	switch e := Env(v); e {
	case "":
		return Dev, nil
	case Dev, Test, Staging, Production:
		return e, nil
	}
	return "", fmt.Errorf("APP_ENV is %q; it must be dev, test, staging or production", v)
}

// CurrentEnv is the environment of this process. A test binary is always in [Test]. A value that
// ParseEnv refuses stops the start, and counts as Production until then.
func CurrentEnv() Env {
	if testing.Testing() {
		return Test
	}
	e, err := ParseEnv(os.Getenv("APP_ENV"))
	if err != nil {
		return Production
	}
	return e
}

// Deployed says whether the environment is one that others rely on.
func (e Env) Deployed() bool { return e == Staging || e == Production }
