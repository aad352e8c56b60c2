// Package encore tells an app about itself and about the request it works on.
//
// It is the root of Encore's public API (module encore.dev v1.57.13), implemented on the stock
// Go toolchain: the app imports it as it would import Encore's own, and a workspace puts this
// module in the place of the published one. Names, signatures and types are Encore's; what is
// not here is not supported, and the host's check says so by file and line.
//
// What the app never imports: package host is the door for generated code, and below internal/
// are the request scope (scope), what the app registered (registry), start and stop (lifecycle)
// and the HTTP server (server).
package encore
