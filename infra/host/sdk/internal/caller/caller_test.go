//go:build stockhost

package caller

import "testing"

func declare() string { return Package(0) }

func declareGeneric[T any]() string { return Package(0) }

var declared, declaredGeneric = declare(), declareGeneric[int]()

func TestPackage(t *testing.T) {
	t.Parallel()
	const want = "encore.dev/internal/caller"
	if declared != want || declaredGeneric != want || declare() != want {
		t.Fatalf("%q, %q, %q", declared, declaredGeneric, declare())
	}
}

func TestPackageOf(t *testing.T) {
	t.Parallel()
	for symbol, want := range map[string]string{
		"encore.app/orgs.init":           "encore.app/orgs",
		"encore.app/orgs.(*Service).Get": "encore.app/orgs",
		"example.com/a.b/c%2ed.New[...]": "example.com/a.b/c.d",
		"main.main":                      "main",
		"encore.app/orgs.init.0.func1":   "encore.app/orgs",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("packageOf(%q) = %q, want %q", symbol, got, want)
		}
	}
}
