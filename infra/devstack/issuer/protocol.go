package issuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"

	"encore.app/infra/keycloak/realm"
)

// oauthError is a refusal of RFC 6749 §5.2, in Keycloak's words.
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func badRequest(code, description string) *oauthError {
	return &oauthError{http.StatusBadRequest, code, description}
}

func unauthorized(code, description string) *oauthError {
	return &oauthError{http.StatusUnauthorized, code, description}
}

var (
	errInvalidClient = unauthorized("invalid_client", "Invalid client or Invalid client credentials")
	errClientSecret  = unauthorized("unauthorized_client", "Invalid client or Invalid client credentials")
	errCredentials   = badRequest("invalid_grant", "Invalid user credentials")
	errServer        = &oauthError{http.StatusInternalServerError, "server_error", ""}
)

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // the client is gone if this fails
}

func writeError(w http.ResponseWriter, r *http.Request, err *oauthError) {
	noStore(w)
	if _, _, basic := r.BasicAuth(); basic && err.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="tenantry"`)
	}
	writeJSON(w, err.status, err)
}

// readForm reads the body of a protocol request, in which no parameter may repeat (RFC 6749 §3.2).
func readForm(r *http.Request) (url.Values, *oauthError) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, &oauthError{http.StatusUnsupportedMediaType, "invalid_request", "The body must be application/x-www-form-urlencoded"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("invalid_request", "The body cannot be read")
	}
	if err := checkRepeated(r.PostForm); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

func checkRepeated(form url.Values) *oauthError {
	for _, values := range form {
		if len(values) > 1 {
			return badRequest("invalid_request", "duplicated parameter")
		}
	}
	return nil
}

// clientForm reads the form of a request that a client makes for itself, and which client it is.
func (i *Issuer) clientForm(r *http.Request) (url.Values, *realm.Client, *oauthError) {
	form, refused := readForm(r)
	if refused != nil {
		return nil, nil, refused
	}
	c, refused := i.authenticateClient(r, form)
	return form, c, refused
}

// authenticateClient finds the client that speaks; a confidential one must show its secret.
func (i *Issuer) authenticateClient(r *http.Request, form url.Values) (*realm.Client, *oauthError) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		var errID, errSecret error
		id, errID = url.QueryUnescape(user)
		secret, errSecret = url.QueryUnescape(pass)
		if named := form.Get("client_id"); errID != nil || errSecret != nil || named != "" && named != id {
			return nil, errInvalidClient
		}
	}
	c := i.realm.Client(id)
	if c == nil {
		return nil, errInvalidClient
	}
	i.mu.Lock()
	known := i.secrets[c.ID]
	i.mu.Unlock()
	if !c.Public && (known == "" || !sameText(secret, known)) {
		return nil, errClientSecret
	}
	return c, nil
}

// sameText compares without telling by its time how much is right.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
