package stripe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// shop is something that speaks Stripe's API, and the ids of what was made there.
type shop struct {
	url, key string
	ids      map[string]string
}

// do makes a call; {name} in path and form are ids.
func (s *shop) do(t *testing.T, method, path, form string) (status int, answer any) {
	t.Helper()
	for name, id := range s.ids {
		path, form = strings.ReplaceAll(path, "{"+name+"}", id), strings.ReplaceAll(form, "{"+name+"}", id)
	}
	values, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.NewReader(values.Encode())
	if method == http.MethodGet {
		path, body = path+"?"+values.Encode(), strings.NewReader("")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer
}

// Every call of the stand-in's is one of Stripe's, and its answers have no field that Stripe's have
// not, and none of another type.
func TestItKeepsToTheShapesOfStripeMock(t *testing.T) {
	t.Parallel()
	mock := os.Getenv("STRIPE_MOCK_URL")
	if mock == "" {
		t.Skip("NOT RUN: there is no stripe-mock here (STRIPE_MOCK_URL names one; devstack exec --real starts one)")
	}
	s, _ := serve(t)
	ours := &shop{url: s.cfg.BaseURL, key: key, ids: map[string]string{"price": "price_tenantry_pro_month"}}
	theirs := &shop{url: strings.TrimSuffix(mock, "/"), key: "sk_test_123", ids: map[string]string{"price": "price_1"}}
	for _, c := range []struct{ method, path, form, makes string }{
		{"POST", "/v1/test_helpers/test_clocks", fmt.Sprint("frozen_time=", time.Now().Unix()), "clock"},
		{"GET", "/v1/test_helpers/test_clocks/{clock}", "", ""},
		{"POST", "/v1/customers", "metadata[org_id]=o", "cus"},
		{"POST", "/v1/customers/{cus}", "metadata[more]=x", ""},
		{"GET", "/v1/customers/{cus}", "", ""},
		{"GET", "/v1/customers", "limit=3", ""},
		{"GET", "/v1/products", "limit=3", ""},
		{"GET", "/v1/prices", "lookup_keys[0]=tenantry_pro_month&active=true", ""},
		{"POST", "/v1/subscriptions", "customer={cus}&items[0][price]={price}&items[0][quantity]=3", "sub"},
		{"POST", "/v1/subscriptions/{sub}", "items[0][price]={price}&cancel_at_period_end=true", ""},
		{"GET", "/v1/subscriptions/{sub}", "", ""},
		{"GET", "/v1/subscriptions", "customer={cus}&status=all&limit=100", ""},
		{"GET", "/v1/subscription_items", "subscription={sub}&limit=100", ""},
		{"POST", "/v1/checkout/sessions", "mode=subscription&customer={cus}&line_items[0][price]={price}&line_items[0][quantity]=2" +
			"&success_url=https://back.test/&cancel_url=https://back.test/&client_reference_id=o&subscription_data[metadata][org_id]=o", "cs"},
		{"GET", "/v1/checkout/sessions/{cs}", "", ""},
		{"POST", "/v1/billing_portal/sessions", "customer={cus}&return_url=https://back.test/", ""},
		{"POST", "/v1/webhook_endpoints", "url=https://app.test/webhooks/stripe&enabled_events[0]=*", ""},
		{"GET", "/v1/events", "limit=100", ""},
		{"DELETE", "/v1/subscriptions/{sub}", "", ""},
		{"DELETE", "/v1/customers/{cus}", "", ""},
		{"POST", "/v1/test_helpers/test_clocks/{clock}/advance", fmt.Sprint("frozen_time=", time.Now().Add(time.Hour).Unix()), ""},
	} {
		wantStatus, like := theirs.do(t, c.method, c.path, c.form)
		status, answer := ours.do(t, c.method, c.path, c.form)
		if status != http.StatusOK || wantStatus != http.StatusOK {
			t.Fatalf("%s %s: %d %v, stripe-mock %d %v", c.method, c.path, status, answer, wantStatus, like)
		}
		for _, difference := range unlike("", answer, like) {
			t.Errorf("%s %s: %s", c.method, c.path, difference)
		}
		if c.makes != "" {
			ours.ids[c.makes] = answer.(map[string]any)["id"].(string)
			theirs.ids[c.makes] = like.(map[string]any)["id"].(string)
		}
	}
	status, answer := ours.do(t, "GET", "/v1/customers", "limit=1000")
	wantStatus, like := theirs.do(t, "POST", "/v1/customers", "nonsense=1")
	if differences := unlike("", answer, like); status != wantStatus || len(differences) > 0 {
		t.Errorf("a refusal is %d %v, stripe-mock's %d: %v", status, answer, wantStatus, differences)
	}
}

// unlike lists what of an answer does not have the shape of another. null may stand for anything.
func unlike(at string, answer, like any) (differences []string) {
	switch answer := answer.(type) {
	case nil:
		return nil
	case map[string]any:
		like, ok := like.(map[string]any)
		if !ok {
			return []string{at + " is an object"}
		}
		for name, v := range answer {
			switch l, known := like[name]; {
			case !known && name == "secret": // of an endpoint, told once
			case !known:
				differences = append(differences, at+"."+name+" is nothing of Stripe's")
			case name == "metadata" || at == ".data.data" && name == "object" || l == nil: // free, of another event, or unknown
			default:
				differences = append(differences, unlike(at+"."+name, v, l)...)
			}
		}
		slices.Sort(differences)
		return differences
	case []any:
		like, ok := like.([]any)
		if !ok {
			return []string{at + " is a list"}
		}
		if len(answer) > 0 && len(like) > 0 {
			return unlike(at, answer[0], like[0])
		}
		return nil
	}
	if fmt.Sprintf("%T", answer) != fmt.Sprintf("%T", like) {
		return []string{fmt.Sprintf("%s is %T and not %T", at, answer, like)}
	}
	return nil
}
