package ops

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	"encore.dev/beta/errs"
)

// pageKinds are the files that the pages for people are made of, by extension.
var pageKinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json",
}

// servePage answers with a file, or not_found if text is nil. The page may load what this server has, ask
// this server and the other one that it is told of, and do nothing else.
func servePage(w http.ResponseWriter, r *http.Request, name string, text []byte, other string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", strings.TrimSpace("default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self' "+other))
	h.Set("Cache-Control", "no-cache") // ask whether it changed
	if text == nil {
		errs.HTTPError(w, fault.Finish(fault.NotFound("page"), request.From(r.Context()).ID))
		return
	}
	sum := sha256.Sum256(text)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	h.Set("Content-Type", pageKinds[path.Ext(name)])
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}
