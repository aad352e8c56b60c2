package ops

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"

	"encore.app/docs/openapi"
	encore "encore.dev"
)

//go:embed viewer
var viewer embed.FS

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
	served, err := docsServed(secrets.DOCS, encore.Meta().Environment)
	text, missing := docsFile(name)
	if err != nil || !served || missing != nil {
		text = nil
	}
	servePage(w, r, name, text, "")
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
