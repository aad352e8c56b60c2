package issuer

import (
	"html/template"
	"net/http"
)

// pageData fills the one page that people see.
type pageData struct {
	Kind        string // password, otp, confirm or message
	Title       string
	Message     string
	Action      string
	Transaction string
	Username    string
	Nonce       string // of the style, for the content security policy
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style nonce="{{.Nonce}}">
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 22rem; margin: 10vh auto; padding: 0 1rem }
h1 { font-size: 1.3rem }
label { display: block; margin-top: 1rem }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem }
button { margin-top: 1.5rem }
small { opacity: .75 }
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}
{{if .Action}}<form method="post" action="{{.Action}}">
<input type="hidden" name="tx" value="{{.Transaction}}">
{{if eq .Kind "password"}}<label for="username">Username or e-mail</label>
<input id="username" name="username" value="{{.Username}}" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
{{else if eq .Kind "otp"}}<p>{{.Username}}</p>
<label for="otp">One-time code</label>
<input id="otp" name="otp" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]*" required autofocus>
<button>Sign in</button>
{{else}}<button>Sign out</button>
{{end}}</form>{{end}}
<p><small>Development issuer: demo accounts only.</small></p>
</main>
</body>
</html>
`))

// render writes the page. formTarget is where its form may lead besides ourselves:
// browsers hold redirects after a form to the same rule.
func render(w http.ResponseWriter, status int, formTarget string, data pageData) {
	data.Nonce = randomID()
	h := w.Header()
	noStore(w)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'nonce-"+data.Nonce+"'; form-action 'self' "+formTarget+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	page.Execute(w, data) // the client is gone if this fails
}

func (i *Issuer) errorPage(w http.ResponseWriter, status int, message string) {
	render(w, status, "", pageData{Kind: "message", Title: "We are sorry…", Message: message})
}
