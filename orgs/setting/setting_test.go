package setting

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var tiers = []string{"free", "pro", "enterprise"}

func TestTheRegistryIsSound(t *testing.T) {
	t.Parallel()
	if len(All()) < 10 {
		t.Fatalf("only %d settings", len(All()))
	}
	for i, s := range All() {
		if i > 0 && All()[i-1].Key >= s.Key {
			t.Errorf("%s is there twice", s.Key)
		}
		if found, ok := Find(s.Key); !ok || found != s {
			t.Errorf("%s is not found", s.Key)
		}
		if s.Description == "" || !strings.Contains(s.Key, ".") {
			t.Errorf("%s wants a description and a namespace", s.Key)
		}
		values := map[string]string{"default": s.Default}
		for tier, value := range s.Tiers {
			if !slices.Contains(tiers, tier) {
				t.Errorf("%s: there is no tier %s", s.Key, tier)
			}
			values[tier] = value
		}
		for layer, value := range values {
			parsed, err := s.Parse([]byte(value))
			if err != nil || string(parsed) != value {
				t.Errorf("%s: the value of %s: got %s, %v", s.Key, layer, parsed, err)
			}
		}
	}
	for _, key := range []string{"", "branding", "zzz.unknown"} {
		if _, ok := Find(key); ok {
			t.Errorf("found %q", key)
		}
	}
}

func TestParseTakesOnlyWhatFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value, want string // want "" is refused
	}{
		{"locale.language", `"fr"`, `"fr"`},
		{"locale.language", `"xx"`, ""},
		{"locale.language", `7`, ""},
		{"audit.retention_days", ` 90 `, `90`},
		{"audit.retention_days", `90.5`, ""},
		{"audit.retention_days", `"90"`, ""},
		{"audit.retention_days", `29`, ""},
		{"audit.retention_days", `3651`, ""},
		{"audit.retention_days", `null`, ""},
		{"audit.retention_days", `90 91`, ""},
		{"export.include_audit", `false`, `false`},
		{"export.include_audit", `"false"`, ""},
		{"invitations.valid_for", `"36h"`, `"36h"`},
		{"invitations.valid_for", `"59m"`, ""},
		{"invitations.valid_for", `"2 days"`, ""},
		{"invitations.allowed_domains", `[ "a.com", "b.org" ]`, `["a.com","b.org"]`},
		{"invitations.allowed_domains", `[]`, `[]`},
		{"invitations.allowed_domains", `["a.com","a.com"]`, ""},
		{"invitations.allowed_domains", `["A.com"]`, ""},
		{"invitations.allowed_domains", `[""]`, ""},
		{"invitations.allowed_domains", `"a.com"`, ""},
		{"branding.primary_color", `"#00ff00"`, `"#00ff00"`},
		{"branding.primary_color", `"red"`, ""},
		{"branding.display_name", `"Smith & <Co>"`, `"Smith & <Co>"`},
		{"branding.display_name", `"a\u0000b"`, ""},
		{"branding.display_name", `"` + strings.Repeat("é", 100) + `"`, `"` + strings.Repeat("é", 100) + `"`},
		{"branding.display_name", `"` + strings.Repeat("é", 101) + `"`, ""},
		{"branding.display_name", `{}`, ""},
		{"branding.display_name", ``, ""},
	} {
		s, _ := Find(c.key)
		got, err := s.Parse([]byte(c.value))
		if (err == nil) != (c.want != "") || string(got) != c.want {
			t.Errorf("%s %s: got %s, %v; want %q", c.key, c.value, got, err, c.want)
		}
	}
}

// sample is a value that the setting takes, or one that it refuses.
func sample(r *rand.Rand, s *Setting) json.RawMessage {
	switch r.IntN(6) {
	case 0:
		return nil
	case 1:
		return json.RawMessage(`{"of":"an older build"}`)
	}
	switch s.Type {
	case Boolean:
		return json.RawMessage(fmt.Sprint(r.IntN(2) == 0))
	case Integer:
		return json.RawMessage(fmt.Sprint(s.Min + r.Int64N(s.Max-s.Min+1)))
	case Enum:
		return json.RawMessage(`"` + s.Options[r.IntN(len(s.Options))] + `"`)
	case Duration:
		return json.RawMessage(fmt.Sprintf(`"%ds"`, s.Min+r.Int64N(s.Max-s.Min+1)))
	}
	return json.RawMessage(s.Default)
}

// The oracle is written from the sentence in the contract: the highest layer that has a value.
func TestResolveTakesTheHighestLayerThatHasAValue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	decided := map[Source]int{}
	for range 20_000 {
		s := All()[r.IntN(len(All()))]
		l := Layers{Env: sample(r, s), Global: sample(r, s), Org: sample(r, s), Locked: r.IntN(3) == 0,
			Tier: append([]string{""}, tiers...)[r.IntN(4)]}
		has := func(v json.RawMessage) bool {
			_, err := s.Parse(v)
			return len(v) > 0 && err == nil
		}
		tier, hasTier := s.Tiers[l.Tier]
		locked := l.Locked || s.PlatformOnly
		var source Source
		var value string
		switch {
		case has(l.Org) && !locked:
			source, value = FromOrg, string(l.Org)
		case hasTier:
			source, value = FromTier, tier
		case has(l.Global):
			source, value = FromGlobal, string(l.Global)
		case has(l.Env):
			source, value = FromEnv, string(l.Env)
		default:
			source, value = FromDefault, s.Default
		}
		got := s.Resolve(l)
		if got.Source != source || string(got.Value) != value || got.Locked != locked {
			t.Fatalf("%s %+v:\n got %s %s %v\nwant %s %s %v", s.Key, l, got.Source, got.Value, got.Locked, source, value, locked)
		}
		decided[source]++
	}
	if len(decided) != 5 {
		t.Errorf("only these layers ever decided: %v", decided)
	}
}

func TestTheEnvironmentIsReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	got, err := ParseEnv(`{"locale.language":"de","audit.retention_days":400}`)
	if err != nil || string(got["locale.language"]) != `"de"` || string(got["audit.retention_days"]) != "400" {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := ParseEnv(""); len(got) != 0 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = ParseEnv(`{"locale.language":"canary","no.such":1,"export.signing_secret":["canary"]}`)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"locale.language", "no.such", "export.signing_secret"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("%v repeats a value", err)
	}
	if _, err := ParseEnv(`[]`); err == nil {
		t.Error("accepted an array")
	}
}

func TestResolvedValuesAreReadByType(t *testing.T) {
	t.Parallel()
	of := func(key string) Resolved { s, _ := Find(key); return s.Resolve(Layers{Tier: "free"}) }
	if got := of(InvitationsValidFor).Duration().Hours(); got != 168 {
		t.Errorf("got %v", got)
	}
	if got := of(AuditRetentionDays).Int(); got != 90 {
		t.Errorf("got %v", got)
	}
	if !of(ExportIncludeAudit).Bool() || of("locale.language").Text() != "en" || len(of(InvitationsDomains).Strings()) != 0 {
		t.Error("a default is not what it says")
	}
	defer func() {
		if recover() == nil {
			t.Error("a number was read as a list")
		}
	}()
	of(AuditRetentionDays).Strings()
}

func FuzzParse(f *testing.F) {
	for _, s := range All() {
		f.Add(s.Key, s.Default)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		s, ok := Find(key)
		if !ok {
			return
		}
		once, err := s.Parse([]byte(value))
		if err != nil {
			return
		}
		if again, err := s.Parse(once); err != nil || string(again) != string(once) {
			t.Errorf("%s: %q became %q, and that %q, %v", key, value, once, again, err)
		}
	})
}
