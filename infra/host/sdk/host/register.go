// Package host is the door between generated code and the runtime: what the
// generator finds in an app (services, endpoints, the auth handler, middleware,
// migrations, secrets, configuration) is registered here from init functions,
// and the generated main calls [Main].
//
// Nothing outside generated code uses this package; it is not part of Encore's API.
package host

import (
	"encore.dev/internal/appinfo"
	"encore.dev/internal/registry"
)

// What generated code registers; the types are described where they are defined.
type (
	App         = registry.App
	CORS        = registry.CORS
	Service     = registry.Service
	Access      = registry.Access
	ParamKind   = registry.ParamKind
	Param       = registry.Param
	Endpoint    = registry.Endpoint
	Middleware  = registry.Middleware
	AuthHandler = registry.AuthHandler
	Migration   = registry.Migration
)

// Who may call an endpoint from outside.
const (
	Private = registry.Private
	Auth    = registry.Auth
	Public  = registry.Public
)

// Types of path parameters.
const (
	String = registry.String
	Bool   = registry.Bool
	Int    = registry.Int
	Int8   = registry.Int8
	Int16  = registry.Int16
	Int32  = registry.Int32
	Int64  = registry.Int64
	Uint   = registry.Uint
	Uint8  = registry.Uint8
	Uint16 = registry.Uint16
	Uint32 = registry.Uint32
	Uint64 = registry.Uint64
	UUID   = registry.UUID
)

// RegisterApp says what encore.app and the build say.
func RegisterApp(a App) {
	registry.Process().SetApp(a)
	appinfo.Set(appinfo.Info{ID: a.ID, Revision: a.Revision, Modified: a.Modified})
}

// RegisterService adds a service.
func RegisterService(s *Service) { registry.Process().AddService(s) }

// RegisterEndpoint adds an endpoint.
func RegisterEndpoint(e *Endpoint) { registry.Process().AddEndpoint(e) }

// RegisterMiddleware adds a middleware.
func RegisterMiddleware(m *Middleware) { registry.Process().AddMiddleware(m) }

// RegisterAuthHandler sets the auth handler.
func RegisterAuthHandler(h *AuthHandler) { registry.Process().SetAuthHandler(h) }

// RegisterMigrations gives a database its migrations.
func RegisterMigrations(db string, m []Migration) { registry.Process().SetMigrations(db, m) }

// RegisterConfig gives a package its configuration as JSON, by environment type
// (development, test, production).
func RegisterConfig(pkgPath string, byEnvType map[string]string) {
	registry.Process().SetConfig(pkgPath, byEnvType)
}

// LoadSecrets fills the string fields of the struct that ptr points to from the environment, which may be
// without those that are optional.
func LoadSecrets(pkg string, ptr any, optional ...string) {
	registry.Process().LoadSecrets(pkg, ptr, optional...)
}
