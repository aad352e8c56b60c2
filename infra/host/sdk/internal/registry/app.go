// Package registry holds what an app consists of: generated code registers it through package
// host, and the runtime reads it.
package registry

import (
	"context"
	"net/http"
	"reflect"

	"encore.dev/beta/auth"
	"encore.dev/middleware"
	"encore.dev/shutdown"
)

// App is what encore.app and the build say about the application.
type App struct {
	ID       string
	Revision string // VCS revision of the build, "" if unknown
	Modified bool   // the build had uncommitted changes
	CORS     CORS
}

// CORS mirrors global_cors of encore.app.
type CORS struct {
	AllowHeaders                   []string
	ExposeHeaders                  []string
	AllowOriginsWithoutCredentials []string // nil means "*"
	AllowOriginsWithCredentials    []string
}

// Service is a package with at least one endpoint, subscription, auth handler or service struct.
type Service struct {
	Name     string
	Package  string                                   // import path
	Struct   reflect.Type                             // *T of the service struct; nil if there is none
	Init     func() (any, error)                      // makes the *T; nil if Struct is nil
	Shutdown func(svc any, p shutdown.Progress) error // nil if the struct has no Shutdown method
}

// Access says who may call an endpoint from outside.
type Access uint8

const (
	Private Access = iota // only other services; 404 from outside
	Auth                  // needs a caller accepted by the auth handler
	Public                // anyone; the caller is set if credentials were good
)

// ParamKind is the type of a path parameter. Call receives each one already parsed to it.
type ParamKind uint8

const (
	String ParamKind = iota
	Bool
	Int
	Int8
	Int16
	Int32
	Int64
	Uint
	Uint8
	Uint16
	Uint32
	Uint64
	UUID // encore.dev/types/uuid.UUID
)

// Param is one path parameter, in path order.
type Param struct {
	Name string
	Kind ParamKind
}

// Endpoint is one //encore:api declaration.
type Endpoint struct {
	Service   string
	Name      string // Go name of the function or method
	Doc       string
	Position  string // file:line, relative to the app root
	Access    Access
	Raw       bool
	Sensitive bool
	Methods   []string // "*" is every method
	Path      string   // Encore's syntax: /a/:b/*rest, /!fallback
	Params    []Param
	Tags      []string

	// Request and Response are the struct types (never pointers); nil where there is none.
	Request  reflect.Type
	Response reflect.Type

	// Call invokes a typed endpoint. path holds one value per Param. req is always a *Request
	// (generated code dereferences it where the function takes a value); resp is a *Response
	// (generated code takes the address where the function returns a value) or nil.
	Call func(ctx context.Context, path []any, req any) (resp any, err error)

	// Handle serves a raw endpoint.
	Handle func(w http.ResponseWriter, r *http.Request)
}

// Middleware is one //encore:middleware declaration. Order is dense and sorts them: globals
// first, then by import path, file and position.
type Middleware struct {
	Name    string
	Global  bool
	Service string   // service it belongs to; "" when Global
	Tags    []string // nil means target=all
	Order   int
	Func    func(req middleware.Request, next middleware.Next) middleware.Response
}

// AuthHandler is the app's //encore:authhandler.
type AuthHandler struct {
	Service string
	Name    string
	Params  reflect.Type // struct type; nil for the token form
	Data    reflect.Type // struct type; nil if the handler returns only a UID

	// Call gets a *Params, or a string in the token form; data is a *Data or nil.
	Call func(ctx context.Context, params any) (uid auth.UID, data any, err error)
}

// Migration is one N_name.up.sql file.
type Migration struct {
	Number uint64
	Name   string // file name
	SQL    string
}
