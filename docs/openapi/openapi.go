// Package openapi holds the contract of the HTTP API: one OpenAPI 3.1 document an audience, with what
// all of them may call, and all.json with every endpoint there is. make openapi writes them from the
// annotated code, and make check fails where they differ from it.
package openapi

import "embed"

// Files are the documents: admin.json, org.json, app.json and all.json.
//
//go:embed *.json
var Files embed.FS
