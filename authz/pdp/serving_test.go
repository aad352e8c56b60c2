package pdp_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/authz/pdp"
	"encore.app/authz/pdp/pdptest"
	"encore.app/policies"
)

// own starts a decision point of the test's own.
func own(t *testing.T, settings ...string) *pdptest.Server {
	t.Helper()
	server, err := pdptest.Start(slices.Concat(pdptest.Strict, settings)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func becomes(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never: " + what)
		}
	}
}

func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("%s: nothing to change", path)
	}
	draft := filepath.Join(t.TempDir(), "draft")
	if err := os.WriteFile(draft, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(draft, path); err != nil {
		t.Fatal(err)
	}
}

// The policies are edited, broken, mended and released under a running decision point, and nobody
// restarts anything.
func TestServedPoliciesAreWatched(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	server := own(t, "storage.disk.watchForChanges=true", "server.httpListenAddr="+addr)
	asked := clientOf(t, server.Addr)
	s := pdp.StartServing(pdp.ServingConfig{Client: asked, MetricsURL: "http://" + addr + "/_cerbos/metrics", Released: "unknown"})
	t.Cleanup(s.Close)
	becomes(t, "the stamp is read", func() bool { return s.Digest() == policies.Digest() })

	cache, err := pdp.NewCached(pdp.CacheConfig{Next: asked, PolicyDigest: s.Digest, AllowTTL: time.Hour, DenyTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	may := func() bool {
		d, err := cache.Check(t.Context(), p, res, "read")
		if err != nil {
			t.Fatal(err)
		}
		return d.Allowed
	}
	if !may() {
		t.Fatal("a member may not read")
	}
	project := filepath.Join(server.Policies, "project.yaml")
	edit(t, project, func(text string) string {
		return strings.Replace(text, `R.attr.sensitivity == "internal"`, `R.attr.sensitivity == "public"`, 1)
	})
	start := time.Now()
	becomes(t, "a remembered permission is forgotten with its policy", func() bool { return !may() })
	t.Logf("an edited policy decides after %s", time.Since(start))
	if !strings.HasPrefix(s.Digest(), policies.Digest()+"@") {
		t.Errorf("the digest of edited policies is %s", s.Digest())
	}

	good := ""
	edit(t, project, func(text string) string { good = text; return text + "  broken: [\n" })
	becomes(t, "broken", func() bool { return s.State().Broken })
	if may() {
		t.Error("the last good policies do not decide")
	}
	edit(t, project, func(string) string { return good })
	becomes(t, "mended", func() bool { return !s.State().Broken })

	edit(t, project, func(text string) string {
		return strings.Replace(text, "derivedRoles: [org_guest]", "derivedRoles: [nobody]", 1)
	})
	becomes(t, "it does not compile", func() bool { return s.State().Broken })
	edit(t, project, func(string) string { return good })
	becomes(t, "it compiles again", func() bool { return !s.State().Broken })

	released := strings.Repeat("ab", 32)
	edit(t, filepath.Join(server.Policies, policies.StampFile), func(text string) string {
		return strings.Replace(text, policies.Digest(), released, 1)
	})
	becomes(t, "a release is known by its stamp", func() bool { return s.Digest() == released })
}
