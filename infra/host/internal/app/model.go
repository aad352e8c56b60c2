// Package app is the second pass over an app: with types, it turns the
// directives and resource declarations of a source tree into a model of
// services, endpoints and resources, and refuses what Encore would refuse.
package app

import (
	"go/ast"
	"go/types"

	"encore.app/infra/host/internal/diag"
	"encore.app/infra/host/internal/directive"
	"encore.app/infra/host/internal/manifest"
	"encore.app/infra/host/internal/source"
)

// App is a whole, valid app.
type App struct {
	Root     string
	Manifest *manifest.File
	Packages []*Package // sorted by import path
	Services []*Service // sorted by import path
	Auth     *AuthHandler
	// Middleware is in the order in which it runs: globals first, then by import path, file and position.
	Middleware []*Middleware
	Resources  []*Resource

	tree      *source.Tree
	diags     *diag.List
	endpoints map[types.Object]*Endpoint // by wrapper
	resources map[types.Object]*Resource // by variable
	functions map[*types.Func]function   // of the app, once asked for
}

// Package is one type-checked package of the app.
type Package struct {
	*source.Package
	Types *types.Package
	Info  *types.Info
	AST   []*ast.File

	Secrets  []string // field names of var secrets; nil if there is none
	Optional []string // those of them that are marked host:optional
	Config   bool     // calls config.Load
}

// ShutdownForm is which of Encore's two signatures a Shutdown method has.
type ShutdownForm uint8

// A service struct without a Shutdown method has NoShutdown.
const (
	NoShutdown ShutdownForm = iota
	ShutdownProgress
	ShutdownContext
)

// Service is a package with a service struct, an endpoint, a subscription or the auth handler.
type Service struct {
	Name      string
	Doc       string
	Pkg       *Package
	Struct    *types.TypeName // nil if there is none
	HasInit   bool            // there is an init<Struct> function
	Shutdown  ShutdownForm
	Endpoints []*Endpoint // in file order

	structDecl *source.Decl
}

// Endpoint is one encore:api declaration.
type Endpoint struct {
	Service    *Service
	Name       string
	Doc        string
	Position   string // file:line
	Access     directive.Access
	Raw        bool
	Sensitive  bool
	Methods    []string
	Path       directive.Path
	PathParams []PathParam
	Tags       []string
	Method     bool     // of the service struct
	Request    *Payload // nil if there is none
	Response   *Payload

	decl *source.Decl
}

// PathParam is one path parameter, in path order.
type PathParam struct {
	Name string
	Kind string // Go type: string, bool, an integer, or uuid.UUID
}

// AuthHandler is the encore:authhandler declaration.
type AuthHandler struct {
	Service *Service
	Name    string
	Method  bool
	Params  *Payload // nil for the token form
	Data    types.Type

	decl *source.Decl
}

// Middleware is one encore:middleware declaration.
type Middleware struct {
	Name    string
	Pkg     *Package
	Service *Service // nil when global
	Global  bool
	Method  bool
	Tags    []string // nil means every endpoint
	Order   int

	decl *source.Decl
}

// ResourceKind is what a package-level declaration asks of the infrastructure.
type ResourceKind string

// The kinds that the host knows; what it does not provide is refused earlier.
const (
	Database     ResourceKind = "database"
	DatabaseRef  ResourceKind = "database reference"
	Topic        ResourceKind = "topic"
	Subscription ResourceKind = "subscription"
	CronJob      ResourceKind = "cron job"
	Bucket       ResourceKind = "bucket"
	BucketRef    ResourceKind = "bucket reference"
	Cache        ResourceKind = "cache"
	Metric       ResourceKind = "metric"
)

// Resource is one declaration such as sqldb.NewDatabase.
type Resource struct {
	Kind       ResourceKind
	Name       string
	Pkg        *Package
	Position   string
	Topic      string      // of a subscription
	Migrations []Migration // of a database

	call *ast.CallExpr
	v    types.Object
}

// Migration is one N_name.up.sql file.
type Migration struct {
	Number uint64
	Name   string
	SQL    string
}
