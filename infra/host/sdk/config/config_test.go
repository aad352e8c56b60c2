//go:build stockhost

package config

import (
	"strings"
	"testing"

	"encore.dev/internal/configvalue"
	"encore.dev/internal/registry"
)

type limits struct {
	Seats Int
	Names Values[string] `json:"names"`
}

type settings struct {
	Plain   string
	Greet   String
	Secret  Bytes
	Started Time
	Limits  limits
	Tiers   map[string]limits
	List    []Value[bool]
	Nested  Value[struct{ Depth int }]
	Absent  Uint64
	ID      *UUID
}

const pkg = "encore.dev/config"

const document = `{"Plain":"p","Greet":"hello","Secret":"aGk=","Started":"2026-01-02T03:04:05Z",
	"Limits":{"Seats":5,"names":["a","b"]},"Tiers":{"pro":{"Seats":50}},"List":[true,false],
	"Nested":{"Depth":3},"ID":"00000000-0000-7000-8000-0000000000ac"}`

// What generated code does before the package's own variables.
var _ = func() bool {
	registry.Process().SetConfig(pkg, map[string]string{"test": document})
	return true
}()

var cfg = Load[*settings]()

func TestLoad(t *testing.T) {
	t.Parallel()
	if cfg.Plain != "p" || cfg.Greet() != "hello" || string(cfg.Secret()) != "hi" || cfg.Started().Year() != 2026 ||
		cfg.Limits.Seats() != 5 || strings.Join(cfg.Limits.Names(), "") != "ab" || cfg.Tiers["pro"].Seats() != 50 ||
		len(cfg.List) != 2 || !cfg.List[0]() || cfg.List[1]() || cfg.Nested().Depth != 3 ||
		(*cfg.ID)().String() != "00000000-0000-7000-8000-0000000000ac" {
		t.Fatalf("%+v", cfg)
	}
	if cfg.Absent() != 0 || cfg.Tiers["pro"].Names() != nil {
		t.Fatal("what is absent is not zero")
	}
}

func TestBadConfigurationNamesTheField(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"Limits":{"Seats":"many"}}`:     "Limits.Seats",
		`{"Limits":[]}`:                   "Limits",
		`{"Tiers":{"pro":{"names":[1]}}}`: "Tiers.pro.names",
		`{"List":[true,"x"]}`:             "List[1]",
	} {
		err := configvalue.Decode([]byte(doc), new(settings))
		if err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%s: %v, want it to name %s", doc, err, want)
		}
	}
}

func TestNoConfigurationPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if r, _ := recover().(string); !strings.Contains(r, "has no configuration") {
			t.Fatalf("panic = %v", r)
		}
	}()
	load[*settings]("encore.dev/config.other")
}

func TestOverrideBelongsToItsTest(t *testing.T) {
	t.Parallel()
	t.Run("sub", func(t *testing.T) {
		if err := configvalue.Override(&cfg.Greet, "changed"); err != nil {
			t.Fatal(err)
		}
	})
	if got := cfg.Greet(); got != "changed" {
		t.Errorf("in the test: %q", got)
	}
	other := make(chan string)
	go func() { other <- cfg.Greet() }()
	if got := <-other; got != "hello" {
		t.Errorf("outside the test: %q", got)
	}
	foreign := String(func() string { return "" })
	if err := configvalue.Override(&foreign, "x"); err == nil {
		t.Error("a function of somebody else is overridden")
	}
}
