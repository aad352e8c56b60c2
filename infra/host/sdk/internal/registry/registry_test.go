//go:build stockhost

package registry

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMiddlewareOrderAndTargets(t *testing.T) {
	t.Parallel()
	var r Registry
	add := func(name string, global bool, service string, order int, tags ...string) {
		r.AddMiddleware(&Middleware{Name: name, Global: global, Service: service, Order: order, Tags: tags})
	}
	add("own-late", false, "orgs", 9)
	add("global-b", true, "", 2)
	add("other", false, "audit", 3)
	add("tagged", false, "orgs", 4, "x", "open")
	add("global-a", true, "", 1)
	add("mismatch", true, "", 0, "nobody")
	for _, tc := range []struct {
		e    *Endpoint
		want string
	}{
		{&Endpoint{Service: "orgs", Tags: []string{"open"}}, "global-a global-b tagged own-late"},
		{&Endpoint{Service: "orgs"}, "global-a global-b own-late"},
		{&Endpoint{Service: "authz"}, "global-a global-b"},
	} {
		var got []string
		for _, m := range r.MiddlewareFor(tc.e) {
			got = append(got, m.Name)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%v: %v, want %s", tc.e, got, tc.want)
		}
	}
}

func TestTwiceIsRefused(t *testing.T) {
	t.Parallel()
	for name, add := range map[string]func(*Registry){
		"service":      func(r *Registry) { r.AddService(&Service{Name: "a"}) },
		"endpoint":     func(r *Registry) { r.AddEndpoint(&Endpoint{Service: "a", Name: "B"}) },
		"auth handler": func(r *Registry) { r.SetAuthHandler(&AuthHandler{}) },
	} {
		var r Registry
		add(&r)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a second one was taken", name)
				}
			}()
			add(&r)
		}()
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	var r Registry
	r.AddService(&Service{Name: "orgs", Package: "app/orgs"})
	r.AddService(&Service{Name: "audit", Package: "app/audit"})
	for pkg, want := range map[string]string{"app/orgs": "orgs", "app/orgs/deep": "orgs", "app/orgsx": "", "app": ""} {
		if got := r.ServiceOfPackage(pkg); got != want {
			t.Errorf("%s: %q, want %q", pkg, got, want)
		}
	}
	if s := r.Services(); len(s) != 2 || s[0].Name != "audit" {
		t.Errorf("services are not sorted: %v", s)
	}
	r.SetMigrations("db", []Migration{{Number: 10}, {Number: 2}})
	if m := r.Migrations("db"); m[0].Number != 2 {
		t.Errorf("migrations are not sorted: %v", m)
	}
	r.SetConfig("app/orgs", map[string]string{"test": "{}"})
	if _, ok := r.Config("app/orgs", "production"); ok {
		t.Error("a configuration for another environment was given")
	}
	if got, ok := r.Config("app/orgs", "test"); !ok || got != "{}" {
		t.Errorf("config %q %v", got, ok)
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STRIPE_KEY", "from-env")
	t.Setenv("HTTPKey2", "exact")
	t.Setenv("MOUNTED_FILE", file)
	t.Setenv("LOST_FILE", file+"x")
	t.Setenv("OFF_LOST_FILE", file+"x")
	t.Setenv("EMPTY", "")
	var r Registry
	var secrets struct{ STRIPE_KEY, StripeKey, HTTPKey2, Mounted, Lost, OffLost, Empty, Absent, Off string }
	r.LoadSecrets("app/orgs", &secrets, "OffLost", "Off")
	if secrets.STRIPE_KEY != "from-env" || secrets.StripeKey != "from-env" || secrets.HTTPKey2 != "exact" || secrets.Mounted != "from-file" {
		t.Errorf("got %+v", secrets)
	}
	want := []string{
		"ABSENT (used by app/orgs): not set", "EMPTY (used by app/orgs): not set",
		"LOST (used by app/orgs): LOST_FILE names a file that cannot be read",
		"OFF_LOST (used by app/orgs): OFF_LOST_FILE names a file that cannot be read",
	}
	if got := r.MissingSecrets(); !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

func TestUpperSnake(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"StripeKey": "STRIPE_KEY", "HTTPKey2": "HTTP_KEY2", "A": "A", "STRIPE_KEY": "STRIPE_KEY", "stripeKey": "STRIPE_KEY"} {
		if got := upperSnake(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
