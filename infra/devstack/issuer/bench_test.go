package issuer_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/infra/devstack/issuer"
)

const (
	protocol = "/realms/tenantry/protocol/openid-connect"
	callback = "http://127.0.0.1:3000/callback"
	verifier = "a-code-verifier-of-at-least-forty-three-characters"
)

var realmFiles = []string{"../../keycloak/tenantry-realm.json", "../../keycloak/demo.json"}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is a running issuer.
type bench struct {
	*issuer.Issuer
	server *httptest.Server
	clock  *clock
}

func setup(t *testing.T, change ...func(*issuer.Config)) *bench {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	c := &clock{now: time.Now().Truncate(time.Second)}
	config := issuer.Config{RealmFiles: realmFiles, BaseURL: "http://" + server.Listener.Addr().String(), AppEnv: "test", Clock: c.Now}
	for _, f := range change {
		f(&config)
	}
	i, err := issuer.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = i.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return &bench{Issuer: i, server: server, clock: c}
}

// answer is any answer of a protocol endpoint.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func (b *bench) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := b.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			t.Fatalf("%s answered %d with %q", r.URL.Path, a.status, raw)
		}
	}
	return a
}

// post sends a form to an endpoint; fields are name, value pairs.
func (b *bench) post(t *testing.T, endpoint string, fields ...string) answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+protocol+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(t, r)
}

// password is a direct grant.
func (b *bench) password(t *testing.T, client, user string, fields ...string) answer {
	t.Helper()
	return b.post(t, "/token", append([]string{"grant_type", "password", "client_id", client, "username", user, "password", "demo"}, fields...)...)
}

func (b *bench) userinfo(t *testing.T, accessToken string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+protocol+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	return b.do(t, r)
}

// claimsOf reads a token without checking it.
func claimsOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", raw)
	}
	return part(t, parts[1])
}

func headerOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	return part(t, strings.Split(raw, ".")[0])
}

func part(t *testing.T, text string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// totp is what the demo users' device shows.
func (b *bench) totp(t *testing.T) string {
	t.Helper()
	secret, err := base32.StdEncoding.DecodeString("JBSWY3DPEHPK3PXP")
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(b.clock.Now().Unix()/30)))
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%1_000_000)
}

func (b *bench) wrongTOTP(t *testing.T) string {
	t.Helper()
	right := b.totp(t)
	return right[:5] + string('0'+(right[5]-'0'+1)%10)
}

// browser follows redirects within the issuer and stops at the application.
type browser struct {
	*http.Client
	b *bench
}

func (b *bench) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{b: b, Client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// view is a page or a redirect.
type view struct {
	status   int
	html     string
	header   http.Header
	location *url.URL
}

func (v view) param(name string) string {
	if v.location == nil {
		return ""
	}
	return v.location.Query().Get(name)
}

func (v view) shows(field string) bool { return strings.Contains(v.html, `name="`+field+`"`) }

func (br *browser) open(t *testing.T, r *http.Request) view {
	t.Helper()
	response, err := br.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	v := view{status: response.StatusCode, html: string(raw), header: response.Header}
	if to := response.Header.Get("Location"); to != "" {
		if v.location, err = url.Parse(to); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func (br *browser) get(t *testing.T, path string, query url.Values) view {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, br.b.server.URL+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return br.open(t, r)
}

var (
	formAction  = regexp.MustCompile(`action="([^"]+)"`)
	transaction = regexp.MustCompile(`name="tx" value="([^"]+)"`)
)

// submit sends the form of a page back with the fields filled in.
func (br *browser) submit(t *testing.T, page view, fields ...string) view {
	t.Helper()
	action, tx := formAction.FindStringSubmatch(page.html), transaction.FindStringSubmatch(page.html)
	if action == nil || tx == nil {
		t.Fatalf("no form in %d %s", page.status, page.html)
	}
	form := url.Values{"tx": {tx[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, br.b.server.URL+action[1], strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return br.open(t, r)
}
