package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

const (
	callback   = "http://127.0.0.1:3000/callback"
	verifier   = "a-code-verifier-of-at-least-forty-three-characters"
	totpSecret = "JBSWY3DPEHPK3PXP"
	maxPages   = 5 // of one sign-in
)

// answer is any answer of an endpoint.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any // of a JSON answer
}

func (a answer) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func request(t *testing.T, method, address string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func send(t *testing.T, client *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		// A list stays raw.
		if err := json.Unmarshal(raw, &a.body); err != nil && !json.Valid(raw) {
			t.Fatalf("%s answered %d with %q", r.URL.Path, a.status, raw)
		}
	}
	return a
}

// values are name, value pairs; a value of "-" removes the name.
func values(base url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "-" {
			base.Del(pairs[i])
			continue
		}
		base.Set(pairs[i], pairs[i+1])
	}
	return base
}

// post asks a protocol endpoint.
func (tg *target) post(t *testing.T, endpoint string, pairs ...string) answer {
	t.Helper()
	return send(t, http.DefaultClient, request(t, http.MethodPost, tg.endpoint(endpoint), values(url.Values{}, pairs...)))
}

// token asks the token endpoint for what it must give.
func (tg *target) token(t *testing.T, pairs ...string) answer {
	t.Helper()
	a := tg.post(t, "token", pairs...)
	if a.status != http.StatusOK {
		t.Fatalf("no token: %d %s", a.status, a.raw)
	}
	return a
}

// password is a direct grant.
func (tg *target) password(t *testing.T, client, user string, pairs ...string) answer {
	t.Helper()
	return tg.token(t, append([]string{"grant_type", "password", "client_id", client, "username", user, "password", "demo"}, pairs...)...)
}

func (tg *target) refresh(t *testing.T, client, token string) answer {
	t.Helper()
	return tg.post(t, "token", "grant_type", "refresh_token", "client_id", client, "refresh_token", token)
}

func (tg *target) userinfo(t *testing.T, token string) answer {
	t.Helper()
	r := request(t, http.MethodGet, tg.endpoint("userinfo"), nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return send(t, http.DefaultClient, r)
}

// totp is what a demo user's device shows.
func (tg *target) totp(t *testing.T) string {
	t.Helper()
	code, err := totp.GenerateCode(totpSecret, tg.now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// parts reads header and claims of a token without checking it.
func parts(t *testing.T, raw string) (header, claims map[string]any) {
	t.Helper()
	split := strings.Split(raw, ".")
	if len(split) != 3 {
		t.Fatalf("no token: %q", raw)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(split[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func claimsOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	_, claims := parts(t, raw)
	return claims
}

// authorization is a good authorization request, with changes.
func authorization(client string, pairs ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return values(url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"state-1"}, "nonce": {"nonce-1"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}, pairs...)
}

// exchange turns a code into tokens.
func (tg *target) exchange(t *testing.T, client, code string, pairs ...string) answer {
	t.Helper()
	form := values(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}, pairs...)
	return send(t, http.DefaultClient, request(t, http.MethodPost, tg.endpoint("token"), form))
}

// jar keeps cookies by name. Keycloak marks its cookies Secure, which browsers, unlike net/http's
// jar, send to the loopback address all the same.
type jar struct {
	mu      sync.Mutex
	cookies map[string]string
}

func (j *jar) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		if c.MaxAge < 0 || c.Value == "" || !c.Expires.IsZero() && c.Expires.Before(time.Now()) {
			delete(j.cookies, c.Name)
			continue
		}
		j.cookies[c.Name] = c.Value
	}
}

func (j *jar) Cookies(*url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []*http.Cookie
	for name, value := range j.cookies {
		list = append(list, &http.Cookie{Name: name, Value: value})
	}
	return list
}

// browser follows redirects within the issuer and stops at the application.
type browser struct {
	*http.Client
	tg *target
}

func (tg *target) browser() *browser {
	return &browser{tg: tg, Client: &http.Client{
		Jar:           &jar{cookies: map[string]string{}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// view is a page of the issuer, or where it sent the browser to.
type view struct {
	answer
	at       string
	location *url.URL
}

func (v view) param(name string) string {
	if v.location == nil {
		return ""
	}
	return v.location.Query().Get(name)
}

func (v view) shows(field string) bool { return strings.Contains(v.raw, `name="`+field+`"`) }

func (b *browser) open(t *testing.T, r *http.Request) view {
	t.Helper()
	for range maxPages {
		v := view{answer: send(t, b.Client, r), at: r.URL.String()}
		to := v.header.Get("Location")
		if to == "" {
			return v
		}
		location, err := r.URL.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(location.String(), b.tg.base) {
			v.location = location
			return v
		}
		r = request(t, http.MethodGet, location.String(), nil)
	}
	t.Fatal("redirected in a circle")
	return view{}
}

func (b *browser) get(t *testing.T, endpoint string, query url.Values) view {
	t.Helper()
	return b.open(t, request(t, http.MethodGet, b.tg.endpoint(endpoint)+"?"+query.Encode(), nil))
}

var (
	formTag   = regexp.MustCompile(`<form\b[^>]*\baction="([^"]+)"`)
	hiddenTag = regexp.MustCompile(`<input\b[^>]*type="hidden"[^>]*>`)
	nameAttr  = regexp.MustCompile(`\bname="([^"]*)"`)
	valueAttr = regexp.MustCompile(`\bvalue="([^"]*)"`)
)

// submit sends the form of a page back with those of the fields that it shows.
func (b *browser) submit(t *testing.T, page view, fields ...string) view {
	t.Helper()
	at := formTag.FindStringSubmatchIndex(page.raw)
	if at == nil {
		t.Fatalf("no form in %d %s", page.status, page.raw)
	}
	action := page.raw[at[2]:at[3]]
	inside, _, _ := strings.Cut(page.raw[at[0]:], "</form>") // a page may offer other ways in further forms
	form := url.Values{}
	for _, tag := range hiddenTag.FindAllString(inside, -1) {
		name, value := nameAttr.FindStringSubmatch(tag), valueAttr.FindStringSubmatch(tag)
		if name != nil && value != nil {
			form.Set(name[1], html.UnescapeString(value[1]))
		}
	}
	for i := 0; i < len(fields); i += 2 {
		if page.shows(fields[i]) {
			form.Set(fields[i], fields[i+1])
		}
	}
	from, err := url.Parse(page.at)
	if err != nil {
		t.Fatal(err)
	}
	to, err := from.Parse(html.UnescapeString(action))
	if err != nil {
		t.Fatal(err)
	}
	return b.open(t, request(t, http.MethodPost, to.String(), form))
}

// signIn answers every page that the issuer shows until it sends the browser to the application or
// asks for something that is not in fields.
func (b *browser) signIn(t *testing.T, page view, fields ...string) view {
	t.Helper()
	for range maxPages {
		known := false
		for i := 0; i < len(fields); i += 2 {
			known = known || page.shows(fields[i])
		}
		if page.location != nil || !known {
			return page
		}
		page = b.submit(t, page, fields...)
	}
	return page
}
