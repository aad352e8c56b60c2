package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// elementKey names an element in WebDriver's JSON (W3C WebDriver §11).
const elementKey = "element-6066-11e4-a52e-4f735466cecf"

// pageWait is how long a page may take to appear on a busy machine.
const pageWait = time.Minute

// window is a headless Chromium driven over WebDriver.
type window struct{ session string }

// openWindow starts a browser in which what is asked of the application's address is answered by app.
func openWindow(t *testing.T, app string) *window {
	t.Helper()
	arguments := []string{
		"--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--host-resolver-rules=MAP 127.0.0.1:3000 " + app,
	}
	if os.Geteuid() == 0 {
		arguments = append(arguments, "--no-sandbox") // it refuses to have one as root
	}
	w := &window{session: strings.TrimSuffix(os.Getenv("WEBDRIVER_URL"), "/") + "/session"}
	var made struct {
		SessionID string `json:"sessionId"`
	}
	w.do(t, http.MethodPost, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"browserName": "chrome", "goog:chromeOptions": map[string]any{"args": arguments},
		"goog:loggingPrefs": map[string]string{"browser": "ALL"},
	}}}, &made)
	w.session += "/" + made.SessionID
	t.Cleanup(func() {
		request, err := http.NewRequest(http.MethodDelete, w.session, nil)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
	})
	return w
}

// try sends a command and decodes its value; ok is false where the browser says no.
func (w *window) try(t *testing.T, method, path string, body, value any) (problem string, ok bool) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var reader *bytes.Reader
	if reader = bytes.NewReader(text); method != http.MethodPost {
		reader = bytes.NewReader(nil)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, w.session+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("WEBDRIVER_URL is set, but the browser cannot be driven: %v", err)
	}
	defer response.Body.Close()
	var answer struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		return string(answer.Value), false
	}
	if value != nil {
		if err := json.Unmarshal(answer.Value, value); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, answer.Value)
		}
	}
	return "", true
}

func (w *window) do(t *testing.T, method, path string, body, value any) {
	t.Helper()
	if problem, ok := w.try(t, method, path, body, value); !ok {
		t.Fatalf("%s %s: %.400s", method, path, problem)
	}
}

func (w *window) open(t *testing.T, address string) {
	t.Helper()
	w.do(t, http.MethodPost, "/url", map[string]string{"url": address}, nil)
}

func (w *window) at(t *testing.T) string {
	t.Helper()
	var address string
	w.do(t, http.MethodGet, "/url", nil, &address)
	return address
}

// find returns an element that can be seen, "" if there is none.
func (w *window) find(t *testing.T, css string) string {
	t.Helper()
	var element map[string]string
	if _, ok := w.try(t, http.MethodPost, "/element", map[string]string{"using": "css selector", "value": css}, &element); !ok {
		return ""
	}
	var displayed bool
	if _, ok := w.try(t, http.MethodGet, "/element/"+element[elementKey]+"/displayed", nil, &displayed); !ok || !displayed {
		return ""
	}
	return element[elementKey]
}

// await waits until an element can be seen.
func (w *window) await(t *testing.T, css string) string {
	t.Helper()
	var element string
	w.until(t, css+" to appear", func() bool {
		element = w.find(t, css)
		return element != ""
	})
	return element
}

// until polls: a page changes when the browser is done with it, and says so to nobody.
func (w *window) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(pageWait); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s at %s", what, w.at(t))
		}
	}
}

// enter types into a field of the page and sends its form with the return key.
func (w *window) enter(t *testing.T, css, text string) {
	t.Helper()
	w.fill(t, css, text+"\uE007")
}

func (w *window) fill(t *testing.T, css, text string) {
	t.Helper()
	w.do(t, http.MethodPost, "/element/"+w.await(t, css)+"/value", map[string]string{"text": text}, nil)
}

// complaints are what the browser wrote to its console about broken pages, refused styles and the like.
func (w *window) complaints(t *testing.T) []string {
	t.Helper()
	var entries []struct{ Level, Message string }
	w.do(t, http.MethodPost, "/se/log", map[string]string{"type": "browser"}, &entries)
	var out []string
	for _, e := range entries {
		if e.Level == "SEVERE" {
			out = append(out, e.Message)
		}
	}
	return out
}
