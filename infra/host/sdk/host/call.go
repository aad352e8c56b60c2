package host

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"encore.dev/beta/errs"
	"encore.dev/internal/appinfo"
	"encore.dev/internal/applog"
	"encore.dev/internal/instance"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/registry"
	"encore.dev/internal/server"
)

var instances = instance.NewSet(registry.Process())

// process makes the server of this process: when [Main] starts, or when a test first calls an
// endpoint. roles is set before.
var (
	roles   = lifecycle.All
	process = sync.OnceValues(func() (*server.Server, error) { return newServer(roles) })
)

func newServer(roles lifecycle.Role) (*server.Server, error) {
	limits, err := server.LimitsFromEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	return server.New(server.Config{
		Registry:            registry.Process(),
		Log:                 *applog.Process(),
		Limits:              limits,
		Registerer:          prometheus.DefaultRegisterer,
		Gatherer:            prometheus.DefaultGatherer,
		CredentialedOrigins: splitList(os.Getenv("CORS_ORIGINS")),
		HSTS:                appinfo.CurrentEnv() == appinfo.Production,
		SkipGlobal:          testing.Testing(),
		OpsOnly:             roles&lifecycle.Web == 0,
		Health:              lifecycle.Process().Health,
	})
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// Instance gives the service struct of a service, made the first time it is asked for.
func Instance[T any](service string) (*T, error) {
	v, err := instances.Get(service)
	if err != nil {
		return nil, err
	}
	svc, ok := v.(*T)
	if !ok {
		return nil, fmt.Errorf("service %s has a %T, not a %T", service, v, svc)
	}
	return svc, nil
}

// Call calls an endpoint for another service. req is a *Request or nil; so is the response.
func Call(ctx context.Context, service, endpoint string, path []any, req any) (any, error) {
	s, err := process()
	if err != nil {
		return nil, errs.B().Code(errs.Internal).Cause(err).Msg("the app cannot be called").Err()
	}
	return s.Call(ctx, service, endpoint, path, req)
}
