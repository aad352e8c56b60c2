package devstack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Env is a process environment.
type Env map[string]string

// ParseEnv reads the form that os.Environ has.
func ParseEnv(list []string) Env {
	env := Env{}
	for _, item := range list {
		if name, value, ok := strings.Cut(item, "="); ok {
			env[name] = value
		}
	}
	return env
}

// List is the form that commands take, sorted.
func (e Env) List() []string {
	list := make([]string, 0, len(e))
	for _, name := range slices.Sorted(maps.Keys(e)) {
		list = append(list, name+"="+e[name])
	}
	return list
}

// With returns a copy with more variables.
func (e Env) With(more Env) Env {
	all := maps.Clone(e)
	maps.Copy(all, more)
	return all
}

// or returns a variable, or fallback where it is unset or empty.
func (e Env) or(name, fallback string) string {
	if value := e[name]; value != "" {
		return value
	}
	return fallback
}

// embedded lists the variables whose defaults keep state or grant access.
var embedded = []string{"DATABASE_URL", "CERBOS_ADDR", "OIDC_ISSUER_URL", "REDIS_URL", "RABBITMQ_URL", "OBJECT_STORE_URL"}

// UnsetError is a shared environment that would fall back to defaults made for one machine.
type UnsetError struct {
	AppEnv    string
	Variables []string
}

func (e *UnsetError) Error() string {
	return fmt.Sprintf("APP_ENV is %s, where nothing is started by default; set %s", e.AppEnv, strings.Join(e.Variables, ", "))
}

// checkAppEnv refuses unknown environments, and defaults where they are not allowed.
func checkAppEnv(env Env) error {
	switch appEnv := env.or("APP_ENV", "dev"); appEnv {
	case "dev", "test":
		return nil
	case "staging", "production":
		var unset []string
		for _, name := range embedded {
			if env[name] == "" {
				unset = append(unset, name)
			}
		}
		if unset != nil {
			return &UnsetError{AppEnv: appEnv, Variables: unset}
		}
		return nil
	default:
		return fmt.Errorf("APP_ENV is %q; it can be dev, test, staging or production", appEnv)
	}
}
