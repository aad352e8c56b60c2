// Package catalogue is what is sold, as data: features, limits, tiers, and the Stripe prices that buy
// them. It also resolves what an organisation has from the layers that may say so. It knows no
// organisation and no database.
package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"encore.app/infra/platform/quota"
	"gopkg.in/yaml.v3"
)

// Tiers, from the least to the most. The database and the policies know them by these names.
const (
	Free       = "free"
	Pro        = "pro"
	Enterprise = "enterprise"
)

// Unlimited is the limit that is none.
const Unlimited int64 = -1

// MaxLimit is the most that a limit can be: percents of it can be counted, and the audit log told.
const MaxLimit int64 = 1_000_000_000_000

// ValidLimit says whether something may be limited to n.
func ValidLimit(n int64) bool { return n >= Unlimited && n <= MaxLimit }

// Catalogue is everything that is sold.
type Catalogue struct {
	Grace    time.Duration      `yaml:"grace"`
	Features map[string]Feature `yaml:"features"`
	Limits   map[string]Limit   `yaml:"limits"`
	Tiers    []Tier             `yaml:"tiers"`
	Addons   []Addon            `yaml:"addons"`
}

// Feature is something that an organisation has or has not.
type Feature struct {
	About   string `yaml:"about"`
	Default bool   `yaml:"default"`
}

// Limit is how much of something an organisation may have.
type Limit struct {
	About   string `yaml:"about"`
	Default int64  `yaml:"default"`
	Period  string `yaml:"period"` // minute, hour, day, month; "" is for ever
}

// Tier is a plan.
type Tier struct {
	Name     string           `yaml:"name"`
	Features map[string]bool  `yaml:"features"`
	Limits   map[string]int64 `yaml:"limits"`
	Stripe   *Product         `yaml:"stripe"` // nil is not for sale
}

// Addon is bought beside a tier.
type Addon struct {
	Name     string          `yaml:"name"`
	Features map[string]bool `yaml:"features"`
	Stripe   *Product        `yaml:"stripe"`
}

// Product is how Stripe calls a tier or an addon. The quantity of a tier's price is its seats.
type Product struct {
	ID     string           `yaml:"product"`
	Prices map[string]Price `yaml:"prices"` // by interval: month, year
}

// Price is one price of a product. Amounts are for the development stand-in of Stripe alone.
type Price struct {
	LookupKey  string `yaml:"lookup_key"`
	Currency   string `yaml:"currency"`
	UnitAmount int64  `yaml:"unit_amount"` // in the currency's smallest unit
}

//go:embed catalogue.yaml
var embedded []byte

// Load is the catalogue of this build. It is read once, and nobody changes it.
func Load() (*Catalogue, error) { return load() }

var load = sync.OnceValues(func() (*Catalogue, error) { return Parse(embedded) })

// Parse reads a catalogue and refuses one that contradicts itself.
func Parse(text []byte) (*Catalogue, error) {
	var c Catalogue
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	return &c, nil
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// ValidName says whether a feature or limit may be called so.
func ValidName(name string) bool { return namePattern.MatchString(name) }

func (c *Catalogue) validate() error {
	if c.Grace < 0 {
		return fmt.Errorf("grace is negative")
	}
	for name := range c.Features {
		if !ValidName(name) {
			return fmt.Errorf("feature %q: names are a-z, 0-9 and _", name)
		}
	}
	for name, l := range c.Limits {
		if !ValidName(name) {
			return fmt.Errorf("limit %q: names are a-z, 0-9 and _", name)
		}
		if !ValidLimit(l.Default) {
			return fmt.Errorf("limit %s: %d is no limit", name, l.Default)
		}
		if !slices.Contains(periods, l.Period) {
			return fmt.Errorf("limit %s: %q is no period", name, l.Period)
		}
	}
	for _, name := range []string{Seats, quota.Resources, quota.APIKeys, quota.Exports} {
		if _, ok := c.Limits[name]; !ok {
			return fmt.Errorf("there is no limit %q, which is asked for", name)
		}
	}
	if names := c.TierNames(); !slices.Equal(names, []string{Free, Pro, Enterprise}) {
		return fmt.Errorf("the tiers are %v; the policies know free, pro and enterprise", names)
	}
	return c.validateOffers()
}

// validateOffers checks what tiers and addons give, and that no price buys two things.
func (c *Catalogue) validateOffers() error {
	sold := map[string]string{}
	for _, t := range c.Tiers {
		if err := c.validateOffer(t.Name, t.Features, t.Stripe, sold); err != nil {
			return err
		}
		for name, n := range t.Limits {
			if _, ok := c.Limits[name]; !ok || !ValidLimit(n) {
				return fmt.Errorf("tier %s: limit %s: %d", t.Name, name, n)
			}
		}
		if n := c.SeatsOf(t.Name); n < 1 || n > MaxSeats {
			return fmt.Errorf("tier %s: seats are sold by number, from 1 to %d", t.Name, MaxSeats)
		}
	}
	for _, a := range c.Addons {
		if a.Stripe == nil {
			return fmt.Errorf("addon %s is not for sale", a.Name)
		}
		if err := c.validateOffer(a.Name, a.Features, a.Stripe, sold); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalogue) validateOffer(offer string, features map[string]bool, p *Product, sold map[string]string) error {
	for name := range features {
		if _, ok := c.Features[name]; !ok {
			return fmt.Errorf("%s: there is no feature %s", offer, name)
		}
	}
	if p == nil {
		return nil
	}
	if p.ID == "" || len(p.Prices) == 0 {
		return fmt.Errorf("%s: a product without id or price", offer)
	}
	keys := []string{p.ID}
	for _, interval := range slices.Sorted(maps.Keys(p.Prices)) {
		if interval != "month" && interval != "year" {
			return fmt.Errorf("%s: %q is no interval", offer, interval)
		}
		keys = append(keys, p.Prices[interval].LookupKey)
	}
	for _, key := range keys {
		if other, taken := sold[key]; taken || key == "" {
			return fmt.Errorf("%s: %q is already %q", offer, key, other)
		}
		sold[key] = offer
	}
	return nil
}

// TierNames are the tiers, from the least to the most.
func (c *Catalogue) TierNames() []string {
	names := make([]string, len(c.Tiers))
	for i, t := range c.Tiers {
		names[i] = t.Name
	}
	return names
}

// Tier is the tier of a name; the free one if there is none of that name.
func (c *Catalogue) Tier(name string) Tier { return c.Tiers[c.Rank(name)] }

// Rank orders tiers; an unknown one is the least.
func (c *Catalogue) Rank(name string) int {
	return max(0, slices.IndexFunc(c.Tiers, func(t Tier) bool { return t.Name == name }))
}

// SeatsOf is how many seats a tier has where the licence says nothing.
func (c *Catalogue) SeatsOf(tier string) int {
	if n, ok := c.Tier(tier).Limits[Seats]; ok {
		return int(n)
	}
	return int(c.Limits[Seats].Default)
}

// Sold finds what a Stripe price buys, by its lookup key or else by its product.
func (c *Catalogue) Sold(lookupKey, product string) (tier string, addon *Addon) {
	matches := func(p *Product) bool {
		if p == nil {
			return false
		}
		for _, price := range p.Prices {
			if price.LookupKey == lookupKey {
				return true
			}
		}
		return p.ID == product
	}
	for _, t := range c.Tiers {
		if matches(t.Stripe) {
			return t.Name, nil
		}
	}
	for i := range c.Addons {
		if matches(c.Addons[i].Stripe) {
			return "", &c.Addons[i]
		}
	}
	return "", nil
}
