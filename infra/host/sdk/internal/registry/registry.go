package registry

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Registry is one app. The zero value is an app of nothing.
type Registry struct {
	mu          sync.RWMutex
	app         App
	services    map[string]*Service
	endpoints   map[string]*Endpoint // by service.Name
	middleware  []*Middleware
	authHandler *AuthHandler
	migrations  map[string][]Migration
	config      map[string]map[string]string
	secrets     []missingSecret
}

var process Registry

// Process is the registry that package host fills.
func Process() *Registry { return &process }

// SetApp records what encore.app says.
func (r *Registry) SetApp(a App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.app = a
}

// App gives what [Registry.SetApp] recorded.
func (r *Registry) App() App {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.app
}

// AddService adds a service; it panics on a second one of the name, as generated code never does that.
func (r *Registry) AddService(s *Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, dup := r.services[s.Name]; dup {
		panic(fmt.Sprintf("registry: service %s is registered twice", s.Name))
	}
	if r.services == nil {
		r.services = map[string]*Service{}
	}
	r.services[s.Name] = s
}

// Service gives the service called name, or nil.
func (r *Registry) Service(name string) *Service {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.services[name]
}

// Services gives every service, by name.
func (r *Registry) Services() []*Service {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Service, 0, len(r.services))
	for _, s := range r.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Service) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// ServiceOfPackage gives the name of the service whose package, or a package above, is pkg; "" if none.
func (r *Registry) ServiceOfPackage(pkg string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.services {
		if pkg == s.Package || strings.HasPrefix(pkg, s.Package+"/") {
			return s.Name
		}
	}
	return ""
}

// AddEndpoint adds an endpoint; it panics on a second one of the name.
func (r *Registry) AddEndpoint(e *Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := e.Service + "." + e.Name
	if _, dup := r.endpoints[key]; dup {
		panic(fmt.Sprintf("registry: endpoint %s is registered twice", key))
	}
	if r.endpoints == nil {
		r.endpoints = map[string]*Endpoint{}
	}
	r.endpoints[key] = e
}

// Endpoints gives every endpoint, by service and name.
func (r *Registry) Endpoints() []*Endpoint {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Endpoint, 0, len(r.endpoints))
	for _, e := range r.endpoints {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *Endpoint) int {
		return strings.Compare(a.Service+"."+a.Name, b.Service+"."+b.Name)
	})
	return all
}

// AddMiddleware adds a middleware.
func (r *Registry) AddMiddleware(m *Middleware) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.middleware = append(r.middleware, m)
}

// MiddlewareFor gives the middleware of an endpoint in the order it runs.
func (r *Registry) MiddlewareFor(e *Endpoint) []*Middleware {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var chain []*Middleware
	for _, m := range r.middleware {
		if !m.Global && m.Service != e.Service {
			continue
		}
		if m.Tags != nil && !slices.ContainsFunc(m.Tags, func(tag string) bool { return slices.Contains(e.Tags, tag) }) {
			continue
		}
		chain = append(chain, m)
	}
	slices.SortStableFunc(chain, func(a, b *Middleware) int {
		if a.Global != b.Global {
			if a.Global {
				return -1
			}
			return 1
		}
		return a.Order - b.Order
	})
	return chain
}

// SetAuthHandler records the auth handler; it panics on a second one.
func (r *Registry) SetAuthHandler(h *AuthHandler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.authHandler != nil {
		panic("registry: there are two auth handlers")
	}
	r.authHandler = h
}

// AuthHandler gives the auth handler, or nil.
func (r *Registry) AuthHandler() *AuthHandler {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.authHandler
}

// SetMigrations records the migrations of a database.
func (r *Registry) SetMigrations(db string, m []Migration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.migrations == nil {
		r.migrations = map[string][]Migration{}
	}
	sorted := slices.Clone(m)
	slices.SortFunc(sorted, func(a, b Migration) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	r.migrations[db] = sorted
}

// Migrations gives the migrations of a database by rising number.
func (r *Registry) Migrations(db string) []Migration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.migrations[db]
}

// SetConfig records the evaluated configuration of a package as JSON, by environment type
// (encore.EnvironmentType).
func (r *Registry) SetConfig(pkgPath string, byEnvType map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.config == nil {
		r.config = map[string]map[string]string{}
	}
	r.config[pkgPath] = byEnvType
}

// Config gives the configuration of a package as JSON for an environment type.
func (r *Registry) Config(pkgPath, envType string) (json string, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	json, ok = r.config[pkgPath][envType]
	return json, ok
}
