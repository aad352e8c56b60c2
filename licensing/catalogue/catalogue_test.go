package catalogue

import (
	"maps"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func loaded(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsSoldCanBeFoundAgain(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for _, tier := range c.Tiers {
		if tier.Stripe == nil {
			continue
		}
		for interval, p := range tier.Stripe.Prices {
			if got, addon := c.Sold(p.LookupKey, "another"); got != tier.Name || addon != nil {
				t.Errorf("%s by the %s: got %q, %v", tier.Name, interval, got, addon)
			}
		}
		if got, _ := c.Sold("", tier.Stripe.ID); got != tier.Name {
			t.Errorf("%s by product: got %q", tier.Name, got)
		}
	}
	for _, a := range c.Addons {
		if tier, got := c.Sold("", a.Stripe.ID); tier != "" || got == nil || got.Name != a.Name {
			t.Errorf("%s: got %q, %v", a.Name, tier, got)
		}
	}
	if tier, addon := c.Sold("", ""); tier != "" || addon != nil {
		t.Errorf("nothing bought %q, %v", tier, addon)
	}
}

func TestTheHigherTierHasNoLess(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for i := 1; i < len(c.Tiers); i++ {
		less := c.Resolve(Layer{}, Layer{}, c.Tiers[i-1].Name, Layer{})
		more := c.Resolve(Layer{}, Layer{}, c.Tiers[i].Name, Layer{})
		for name, on := range less.Features {
			if on && !more.Features[name] {
				t.Errorf("%s lacks %s", more.Tier, name)
			}
		}
		for name, n := range less.Limits {
			if m := more.Limits[name]; m != Unlimited && (m < n || n == Unlimited) {
				t.Errorf("%s has less %s", more.Tier, name)
			}
		}
	}
}

// The last layer that speaks decides, whatever the others say.
func TestTheLastLayerDecides(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	holds := func(env, global, org *int64, tier uint8) bool {
		layer := func(n *int64) Layer {
			if n == nil {
				return Layer{}
			}
			return Layer{Limits: map[string]int64{"projects": *n}, Features: map[string]bool{"sso": *n%2 == 0}}
		}
		name := c.Tiers[int(tier)%len(c.Tiers)].Name
		limit, feature := c.Limits["projects"].Default, c.Features["sso"].Default
		take := func(l Layer) {
			if n, ok := l.Limits["projects"]; ok {
				limit = n
			}
			if on, ok := l.Features["sso"]; ok {
				feature = on
			}
		}
		take(layer(env))
		take(layer(global))
		take(Layer{c.Tier(name).Features, c.Tier(name).Limits})
		take(layer(org))
		got := c.Resolve(layer(env), layer(global), name, layer(org))
		return got.Tier == name && got.Limits["projects"] == limit && got.Features["sso"] == feature
	}
	if err := quick.Check(holds, nil); err != nil {
		t.Error(err)
	}
}

func TestResolvingChangesNoLayer(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	before := maps.Clone(c.Tier(Pro).Limits)
	c.Resolve(Layer{}, Layer{}, Pro, Layer{Limits: map[string]int64{Seats: 1}})
	if !maps.Equal(before, c.Tier(Pro).Limits) {
		t.Error("the catalogue changed")
	}
}

func TestALayerIsReadOrRefused(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	l, err := c.ParseLayer(" sso=true, seats=7,")
	if err != nil || !l.Features["sso"] || l.Limits["seats"] != 7 {
		t.Errorf("got %+v, %v", l, err)
	}
	for _, bad := range []string{"sso", "sso=7", "seats=true", "seats=-2", "projects=1000000000001", "nothing=1", "=1"} {
		if l, err := c.ParseLayer(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, l)
		}
	}
}

func TestACatalogueThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string][2]string{
		"an unknown field":          {"grace: 168h", "grace: 168h\ngreed: 1"},
		"a feature nobody has":      {"features: {sso: true}", "features: {magic: true}"},
		"a limit nobody has":        {"limits: {seats: 25", "limits: {chairs: 1, seats: 25"},
		"a limit below none":        {"seats: 25", "seats: -2"},
		"a price that buys two":     {"tenantry_pro_year", "tenantry_pro_month"},
		"a product that is two":     {"product: tenantry_enterprise", "product: tenantry_pro"},
		"an interval nobody knows":  {"month: {lookup_key: tenantry_pro_month", "week: {lookup_key: tenantry_pro_month"},
		"a tier nobody knows":       {"name: pro", "name: gold"},
		"a period nobody knows":     {"period: day", "period: fortnight"},
		"a name that is none":       {"sso: {about", "\"s so\": {about"},
		"seats without end":         {"seats: 25", "seats: -1"},
		"a price without a key":     {"lookup_key: tenantry_pro_month", "lookup_key: ''"},
		"grace that ends before":    {"grace: 168h", "grace: -1h"},
		"a default below unlimited": {"default: 1000", "default: -1000"},
		"a default beyond counting": {"default: 1000", "default: 1000000000001"},
		"a limit beyond counting":   {"seats: 25,", "exports_per_day: 1000000000001, seats: 25,"},
	} {
		text := string(embedded)
		if !strings.Contains(text, edit[0]) {
			t.Fatalf("%s: the catalogue has no %q to edit", name, edit[0])
		}
		if _, err := Parse([]byte(strings.Replace(text, edit[0], edit[1], 1))); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestABucketBeginsItsPeriod(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 5, 17, 42, 9, 1, time.FixedZone("", 3600))
	for period, want := range map[string]string{
		"minute": "2026-03-05T16:42:00Z", "hour": "2026-03-05T16:00:00Z", "day": "2026-03-05T00:00:00Z",
		"month": "2026-03-01T00:00:00Z", "": "0001-01-01T00:00:00Z",
	} {
		l := Limit{Period: period}
		if got := l.Bucket(at).Format(time.RFC3339); got != want {
			t.Errorf("%q: got %s, want %s", period, got, want)
		}
		if end := l.Ends(at); period != "" && (!end.After(at) || !l.Bucket(end).Equal(end) || !l.Bucket(end.Add(-1)).Equal(l.Bucket(at))) {
			t.Errorf("%q ends %s", period, end)
		}
	}
}
