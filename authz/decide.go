package authz

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"encore.app/authz/epoch"
	"encore.app/authz/pdp"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/keyvalue"
	"encore.app/infra/platform/tenantdb"
	"encore.app/policies"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
)

// deciding is what this process decides with, from the outside in: it measures, remembers in memory,
// looks into Redis, lets equal questions share one answer, and asks the PDP.
type deciding struct {
	pdp.Decider
	client  *pdp.Client
	serving *pdp.Serving
	epochs  *epoch.Watch
	shared  *pdp.Redis // nil where Redis is this process's own: it would remember nothing more
	db      *tenantdb.DB
}

// process is made on first use and ended by the service.
var process = sync.OnceValues(open)

func open() (*deciding, error) {
	if secrets.CERBOS_ADDR == "" {
		return nil, errors.New("authz: CERBOS_ADDR is not set: name the Cerbos PDP, host:port or unix:path")
	}
	secure, err := tlsOf(secrets.CERBOS_CA, secrets.CERBOS_CERT, secrets.CERBOS_KEY)
	if err != nil {
		return nil, err
	}
	d := &deciding{db: tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB))}
	digest := func() string { return d.serving.Digest() }
	d.client, err = pdp.New(pdp.Config{Addr: secrets.CERBOS_ADDR, TLS: secure, PolicyDigest: digest})
	if err != nil {
		return nil, err
	}
	d.serving = pdp.StartServing(pdp.ServingConfig{Client: d.client, MetricsURL: secrets.CERBOS_METRICS_URL, Released: policies.Digest()})
	if d.epochs, err = epoch.StartWatch(d.db); err != nil {
		return nil, err
	}
	// The key of an answer is everything the PDP saw, and the principal is read anew for every request:
	// a role that was taken away is another question, not an old answer.
	cache := pdp.CacheConfig{Next: d.client, PolicyDigest: digest, Epochs: d.epochs.Current}
	store, err := keyvalue.Process()
	if err != nil {
		return nil, err
	}
	if !store.Embedded() {
		key, err := cacheKey(d.db)
		if err != nil {
			return nil, err
		}
		d.shared = pdp.NewRedis(store, key)
		cache.Shared = d.shared
	}
	cached, err := pdp.NewCached(cache)
	if err != nil {
		return nil, err
	}
	d.Decider = pdp.NewMeasured(cached)
	return d, nil
}

// close ends what open began.
func (d *deciding) close() error {
	d.serving.Close()
	d.epochs.Close()
	if d.shared != nil {
		d.shared.Close()
	}
	return d.client.Close()
}

// tlsOf is nil for a PDP on the same host or socket, which needs none.
func tlsOf(ca, cert, key string) (*tls.Config, error) {
	if ca == "" {
		if cert != "" {
			return nil, errors.New("authz: CERBOS_CERT needs CERBOS_CA")
		}
		return nil, nil
	}
	trusted, err := pem(ca)
	if err != nil {
		return nil, fmt.Errorf("authz: CERBOS_CA: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(trusted) {
		return nil, errors.New("authz: CERBOS_CA holds no certificate")
	}
	if cert == "" {
		return config, nil
	}
	shown, err := pem(cert)
	if err != nil {
		return nil, fmt.Errorf("authz: CERBOS_CERT: %w", err)
	}
	secret, err := pem(key)
	if err != nil {
		return nil, fmt.Errorf("authz: CERBOS_KEY: %w", err)
	}
	pair, err := tls.X509KeyPair(shown, secret)
	if err != nil {
		return nil, fmt.Errorf("authz: CERBOS_CERT and CERBOS_KEY: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// pem is the text itself or the file it names.
func pem(value string) ([]byte, error) {
	if strings.HasPrefix(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	return os.ReadFile(value)
}

// Healthy asks the PDP whether it is there and strict.
func Healthy(ctx context.Context) error {
	d, err := process()
	if err != nil {
		return err
	}
	return d.client.Ready(ctx)
}

// Degraded says what is wrong with a PDP that answers; "" is nothing.
func Degraded() string {
	d, err := process()
	if err != nil || !d.serving.State().Broken {
		return ""
	}
	return "the policies on disk do not load; the last good ones decide"
}
