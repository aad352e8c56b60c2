// Package browsertest drives a headless Chromium over WebDriver, for tests that do what a person does.
package browsertest

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

// PageWait is how long a page may take to appear on a busy machine.
const PageWait = time.Minute

// Window is a browser of one test's own.
type Window struct{ session string }

// Available reports whether WEBDRIVER_URL names a WebDriver server.
func Available() bool { return os.Getenv("WEBDRIVER_URL") != "" }

// Open starts a browser that finds hosts by the given rules (Chromium's --host-resolver-rules).
func Open(t *testing.T, rules string) *Window {
	t.Helper()
	arguments := []string{
		"--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--window-size=1200,900", "--host-resolver-rules=" + rules,
	}
	if os.Geteuid() == 0 {
		arguments = append(arguments, "--no-sandbox") // it refuses to have one as root
	}
	w := &Window{session: strings.TrimSuffix(os.Getenv("WEBDRIVER_URL"), "/") + "/session"}
	var made struct {
		SessionID string `json:"sessionId"`
	}
	w.do(t, http.MethodPost, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"browserName": "chrome", "goog:chromeOptions": map[string]any{"args": arguments},
		"goog:loggingPrefs": map[string]string{"browser": "ALL", "performance": "ALL"},
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
func (w *Window) try(t *testing.T, method, path string, body, value any) (problem string, ok bool) {
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

func (w *Window) do(t *testing.T, method, path string, body, value any) {
	t.Helper()
	if problem, ok := w.try(t, method, path, body, value); !ok {
		t.Fatalf("%s %s: %.400s", method, path, problem)
	}
}

// Go opens an address.
func (w *Window) Go(t *testing.T, address string) {
	t.Helper()
	w.do(t, http.MethodPost, "/url", map[string]string{"url": address}, nil)
}

// At is the address of the page.
func (w *Window) At(t *testing.T) string {
	t.Helper()
	var address string
	w.do(t, http.MethodGet, "/url", nil, &address)
	return address
}

// Find returns an element that can be seen, "" if there is none.
func (w *Window) Find(t *testing.T, css string) string {
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

// Await waits until an element can be seen.
func (w *Window) Await(t *testing.T, css string) string {
	t.Helper()
	var element string
	w.Until(t, css+" to appear", func() bool {
		element = w.Find(t, css)
		return element != ""
	})
	return element
}

// Until polls: a page changes when the browser is done with it, and says so to nobody.
func (w *Window) Until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(PageWait); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s at %s", what, w.At(t))
		}
	}
}

// Enter types into a field of the page and sends its form with the return key.
func (w *Window) Enter(t *testing.T, css, text string) {
	t.Helper()
	w.Fill(t, css, text+"\uE007")
}

// Fill types into a field of the page.
func (w *Window) Fill(t *testing.T, css, text string) {
	t.Helper()
	w.do(t, http.MethodPost, "/element/"+w.Await(t, css)+"/value", map[string]string{"text": text}, nil)
}

// Complaints are what the browser wrote to its console about broken pages, refused styles and the like.
func (w *Window) Complaints(t *testing.T) []string {
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

// Click presses an element.
func (w *Window) Click(t *testing.T, css string) {
	t.Helper()
	w.do(t, http.MethodPost, "/element/"+w.Await(t, css)+"/click", struct{}{}, nil)
}

// Run runs a script in the page and decodes what it returns.
func (w *Window) Run(t *testing.T, script string, value any) {
	t.Helper()
	w.do(t, http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": []any{}}, value)
}

// AwaitText waits until the page shows a text.
func (w *Window) AwaitText(t *testing.T, text string) {
	t.Helper()
	w.Until(t, "the text "+text, func() bool {
		var shown string
		w.Run(t, "return document.body.innerText", &shown)
		return strings.Contains(shown, text)
	})
}

// Screenshot is what the page looks like, as PNG.
func (w *Window) Screenshot(t *testing.T) []byte {
	t.Helper()
	var picture []byte
	w.do(t, http.MethodGet, "/screenshot", nil, &picture)
	return picture
}

// Requested are the addresses that the browser has asked for since it was last asked.
func (w *Window) Requested(t *testing.T) []string {
	t.Helper()
	var entries []struct{ Message string }
	w.do(t, http.MethodPost, "/se/log", map[string]string{"type": "performance"}, &entries)
	var out []string
	for _, e := range entries {
		var event struct {
			Message struct {
				Method string
				Params struct{ Request struct{ URL string } }
			}
		}
		if err := json.Unmarshal([]byte(e.Message), &event); err != nil {
			t.Fatal(err)
		}
		if event.Message.Method == "Network.requestWillBeSent" {
			out = append(out, event.Message.Params.Request.URL)
		}
	}
	return out
}
