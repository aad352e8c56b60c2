package ops

import (
	"embed"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
)

//go:embed console
var console embed.FS

// consoleClient is the client of the issuer that the console signs in as.
const consoleClient = "admin-console"

// Console shows operators how the platform does and lets them do something about it, with nothing that
// they could not do over the API: the same tokens, the same policies.
//
// Anyone may load it; what it shows is behind a sign-in at the issuer.
//
//encore:api public raw method=GET path=/ops tag:open
func (s *Service) Console(w http.ResponseWriter, r *http.Request) { serveConsole(w, r, "index.html") }

// ConsoleFile is a part of the console: its scripts and styles, config.json with where people sign in,
// and callback, where the issuer sends them back to. Refuses with not_found.
//
//encore:api public raw method=GET path=/ops/:file tag:open
func (s *Service) ConsoleFile(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if name == "callback" {
		name = "index.html"
	}
	serveConsole(w, r, name)
}

func serveConsole(w http.ResponseWriter, r *http.Request, name string) {
	issuer := secrets.OIDC_ISSUER_URL
	text, err := console.ReadFile("console/" + name)
	if name == "config.json" {
		text, err = json.Marshal(map[string]string{"issuer": issuer, "client": consoleClient})
	}
	if err != nil {
		text = nil
	}
	servePage(w, r, name, text, origin(issuer))
}

// origin is the scheme, host and port of a URL.
func origin(of string) string {
	u, err := url.Parse(of)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}
