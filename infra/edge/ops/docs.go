package ops

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"encore.app/docs/openapi"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	encore "encore.dev"
	"encore.dev/beta/errs"
)

//go:embed viewer
var viewer embed.FS

// docsPolicy lets the viewer load what this server has, and nothing else.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsKinds are the files that the viewer is made of, by extension.
var docsKinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json",
}

// Docs shows the API's documentation: every endpoint of the OpenAPI documents, without any part from
// elsewhere.
//
// Anyone may in development. Refuses with not_found where APP_ENV is staging or production, unless DOCS
// is on.
//
//encore:api public raw method=GET path=/docs tag:open
func (s *Service) Docs(w http.ResponseWriter, r *http.Request) { serveDocs(w, r, "viewer.html") }

// DocsFile is a part of the documentation: admin.json, org.json, app.json and all.json are the OpenAPI
// documents. Refuses with not_found.
//
//encore:api public raw method=GET path=/docs/:file tag:open
func (s *Service) DocsFile(w http.ResponseWriter, r *http.Request) {
	serveDocs(w, r, path.Base(r.URL.Path))
}

func serveDocs(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("Cache-Control", "no-cache") // ask whether it changed
	served, err := docsServed(secrets.DOCS, encore.Meta().Environment)
	text, missing := docsFile(name)
	if err != nil || !served || missing != nil {
		errs.HTTPError(w, fault.Finish(fault.NotFound("page"), request.From(r.Context()).ID))
		return
	}
	sum := sha256.Sum256(text)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	h.Set("Content-Type", docsKinds[path.Ext(name)])
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

func docsFile(name string) ([]byte, error) {
	if text, err := fs.ReadFile(viewer, "viewer/"+name); err == nil {
		return text, nil
	}
	return openapi.Files.ReadFile(name)
}

// docsServed says whether the documentation is there for strangers to read: in production only if the
// operator wants it so (ASVS 5, 13.4.5).
func docsServed(setting string, env encore.EnvironmentMeta) (bool, error) {
	switch setting {
	case "":
		return !guarded(env), nil
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("ops: DOCS is %q; use on or off", setting)
}
