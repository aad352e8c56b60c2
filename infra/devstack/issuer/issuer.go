// Package issuer is the development OpenID Connect issuer: it serves the realm files
// of infra/keycloak under Keycloak's paths, with Keycloak's claim shapes and error
// words, so that the API and its clients need no Keycloak to be worked on.
//
// It keeps sessions in memory, holds demo passwords in the clear and has the direct
// grant answer a right one-time code with acr 2. It therefore refuses to exist
// anywhere but in development and tests.
package issuer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"encore.app/infra/keycloak/realm"
)

const (
	maxBody     = 64 << 10 // bytes of a request
	maxDuration = 10 * time.Second
)

// Config says what is served and where.
type Config struct {
	// RealmFiles are laid over each other in order.
	RealmFiles []string
	// Env fills the files' placeholders; nil is os.Getenv.
	Env func(string) string
	// BaseURL is where clients reach the handler, without the realm's path.
	BaseURL string
	// AppEnv must be dev (or empty) or test.
	AppEnv string
	// KeyFile keeps the signing keys, so that a restarted stack accepts the tokens and
	// sessions of the last run. Empty: new keys at every start.
	KeyFile string
	// Clock is the time; nil is time.Now.
	Clock func() time.Time
	// Log gets one line for each sign-in and refusal; nil discards them.
	Log *slog.Logger
}

// Issuer serves one realm. It owns no goroutine and needs no closing.
type Issuer struct {
	realm   *realm.Realm
	issuer  string // the iss of its tokens
	path    string // the realm's path, such as /realms/tenantry
	secure  bool   // served over TLS
	now     func() time.Time
	started time.Time
	log     *slog.Logger
	keys    *keyStore

	// mu guards what follows, and the users and organisations of realm, which the admin API changes.
	mu       sync.Mutex
	sessions map[string]*session
	codes    map[string]*code
	pending  map[string]*pending
	failures map[string]*failures // by user id
	lastStep map[string]int64     // last one-time code used, by user id
	revoked  map[string]time.Time // access tokens by id, until they expire
	swept    time.Time
	secrets  map[string]string // of confidential clients, by client id
	// backchannel is where clients are told of sign-outs, by client id.
	backchannel map[string]string
	notices     []notice // of sessions that ended, not delivered yet
}

// New loads the realm and makes or reads the signing keys.
func New(c Config) (*Issuer, error) {
	switch c.AppEnv {
	case "", "dev", "test":
	default:
		return nil, fmt.Errorf("issuer: the development issuer refuses to serve where APP_ENV is %q; set OIDC_ISSUER_URL", c.AppEnv)
	}
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("issuer: BaseURL is not an http(s) URL")
	}
	if c.Env == nil {
		c.Env = os.Getenv
	}
	r, err := realm.Load(c.Env, c.RealmFiles...)
	if err != nil {
		return nil, err
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	keys, err := openKeys(c.KeyFile)
	if err != nil {
		return nil, err
	}
	secrets, backchannel := map[string]string{}, map[string]string{}
	for _, client := range r.Clients {
		secrets[client.ID], backchannel[client.ID] = client.Secret, client.Attributes[backchannelURL]
	}
	path := "/realms/" + r.Name
	return &Issuer{
		realm: r, path: path, secure: base.Scheme == "https", keys: keys,
		issuer: strings.TrimSuffix(c.BaseURL, "/") + path,
		now:    c.Clock, started: c.Clock(), log: c.Log,
		sessions: map[string]*session{}, codes: map[string]*code{}, pending: map[string]*pending{},
		failures: map[string]*failures{}, lastStep: map[string]int64{}, revoked: map[string]time.Time{},
		secrets: secrets, backchannel: backchannel,
	}, nil
}

// URL is the issuer's URL, the iss of its tokens.
func (i *Issuer) URL() string { return i.issuer }

// RotateKeys makes a new signing key. The last ones stay published, so that tokens
// signed with them are still good.
func (i *Issuer) RotateKeys() error { return i.keys.rotate() }

// Handler serves the realm.
func (i *Issuer) Handler() http.Handler {
	const protocol = "/protocol/openid-connect"
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" "+i.path+path, h)
	}
	handle("GET /.well-known/openid-configuration", i.discovery)
	handle("GET "+protocol+"/certs", i.certs)
	handle("POST "+protocol+"/token", i.notified(i.token))
	handle("POST "+protocol+"/token/introspect", i.introspect)
	handle("POST "+protocol+"/revoke", i.notified(i.revoke))
	handle("GET "+protocol+"/userinfo", i.userinfo)
	handle("POST "+protocol+"/userinfo", i.userinfo)
	handle("GET "+protocol+"/auth", i.authorize)
	handle("POST "+protocol+"/auth", i.authorize)
	handle("POST /login-actions/authenticate", i.signIn)
	handle("GET "+protocol+"/logout", i.notified(i.logout))
	handle("POST "+protocol+"/logout", i.notified(i.logout))
	handle("POST "+protocol+"/logout/logout-confirm", i.notified(i.confirmLogout))

	i.handleAdmin(mux)

	limited := http.MaxBytesHandler(i.cors(mux), maxBody)
	return http.TimeoutHandler(limited, maxDuration, `{"error":"temporarily_unavailable"}`)
}

// cors lets the web origins of the realm's clients read answers, as Keycloak does.
func (i *Issuer) cors(next http.Handler) http.Handler {
	allowed := map[string]bool{}
	for _, c := range i.realm.Clients {
		for _, origin := range c.WebOrigins {
			allowed[origin] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if origin := r.Header.Get("Origin"); allowed[origin] {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				w.Header().Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
				w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
				w.Header().Set("Access-Control-Max-Age", "3600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
