package realm_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"encore.app/infra/keycloak/realm"
)

const (
	production = "../tenantry-realm.json"
	demo       = "../demo.json"
)

func load(t *testing.T, files ...string) *realm.Realm {
	t.Helper()
	r, err := realm.Load(func(string) string { return "" }, files...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDemo(t *testing.T) {
	t.Parallel()
	r := load(t, production, demo)
	roles := map[string][]string{
		"root@tenantry.test": {"platform_admin"}, "support@tenantry.test": {"platform_support"}, "auditor@tenantry.test": {"platform_auditor"},
		"ada@acme.test": nil, "alan@acme.test": nil, "grace@acme.test": nil, "bob@acme.test": nil, "eve@globex.test": nil, "mallory@nowhere.test": nil,
	}
	orgs := map[string][]string{
		"ada@acme.test": {"acme"}, "alan@acme.test": {"acme"}, "grace@acme.test": {"acme"},
		"bob@acme.test": {"acme", "globex"}, "eve@globex.test": {"globex"},
	}
	seen := map[string]bool{}
	for _, u := range r.Users {
		if u.ServiceAccountClient != "" {
			continue
		}
		want, known := roles[u.Username]
		if !known {
			t.Errorf("unexpected user %s", u.Username)
		}
		delete(roles, u.Username)
		got := slices.DeleteFunc(slices.Clone(u.RealmRoles), func(role string) bool { return role == "default-roles-tenantry" })
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s has roles %v, want %v", u.Username, got, want)
		}
		if u.ID == "" || seen[u.ID] {
			t.Errorf("%s: id %q is missing or taken", u.Username, u.ID)
		}
		seen[u.ID] = true
		if u.Password() != "demo" || u.OTPSecret() != "JBSWY3DPEHPK3PXP" || !u.Enabled || !u.EmailVerified {
			t.Errorf("%s: %+v", u.Username, u)
		}
		var aliases []string
		for _, o := range r.OrganizationsOf(u.Username) {
			aliases = append(aliases, o.Alias)
		}
		if !slices.Equal(aliases, orgs[u.Username]) {
			t.Errorf("%s is in %v, want %v", u.Username, aliases, orgs[u.Username])
		}
	}
	if len(roles) != 0 {
		t.Errorf("missing users: %v", roles)
	}
	for _, id := range []string{"admin-console", "org-console", "app"} {
		c := r.Client(id)
		if !c.DirectAccessGrants || len(c.Audiences()) != 1 || c.FullScope {
			t.Errorf("%s after the overlay: %+v", id, c)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "realm.json")
	err := os.WriteFile(file, []byte(`{"realm":"r","clients":[{"clientId":"c","enabled":true,"redirectUris":["${SET:x}/a","${UNSET:y}/b","${NONE}/c"]}]}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	r, err := realm.Load(func(name string) string { return map[string]string{"SET": "https://set"}[name] }, file)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"https://set/a", "y/b", "${NONE}/c"}
	if got := r.Client("c").RedirectURIs; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "realm.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, files := range map[string][]string{
		"no file":      nil,
		"missing file": {filepath.Join(t.TempDir(), "none.json")},
		"not JSON":     {write("{")},
		"other realm":  {production, write(`{"realm":"other"}`)},
	} {
		if _, err := realm.Merge(files...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
