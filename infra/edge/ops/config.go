package ops

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	encore "encore.dev"
)

// leastToken is how short a token for operators may be where strangers can reach it.
const leastToken = 16

// configuration is what could make an installation unsafe.
type configuration struct {
	redisEmbedded               bool
	issuer, opsToken            string
	stripeKey, stripeWebhookKey string
	proxies                     []netip.Prefix
}

// guarded says whether env is one where people's data is.
func guarded(env encore.EnvironmentMeta) bool {
	return env.Type == encore.EnvProduction || env.Name == "staging"
}

// faults are all that is wrong with c where people's data is, in one error: an operator should not have
// to start it once a fault.
func (c configuration) faults() error {
	var found []error
	wrong := func(format string, args ...any) { found = append(found, fmt.Errorf(format, args...)) }
	if c.redisEmbedded {
		wrong("REDIS_URL is not set: limits and caches would be each replica's own")
	}
	if len(c.opsToken) < leastToken {
		wrong("OPS_TOKEN must have at least %d characters: it guards /metrics", leastToken)
	}
	if u, err := url.Parse(c.issuer); err != nil || u.Scheme != "https" {
		wrong("OIDC_ISSUER_URL must be https: who controls that line controls every account")
	}
	if c.stripeKey != "" && c.stripeWebhookKey == "" {
		wrong("STRIPE_WEBHOOK_SECRET is not set and STRIPE_API_KEY is: events could not be told from forgeries")
	}
	for _, p := range c.proxies {
		if p.Bits() == 0 {
			wrong("TRUSTED_PROXIES trusts everybody (%s): any client could choose its address", p)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("ops: this configuration is not safe for production: %w", errors.Join(found...))
}
