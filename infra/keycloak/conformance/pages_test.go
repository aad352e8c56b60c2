package conformance

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxPages is how many pages one sign-in may have.
const maxPages = 5

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
