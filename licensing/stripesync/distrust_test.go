package stripesync

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"encore.app/licensing/catalogue"
)

// answering is a client of something that gives every call the same answer.
func answering(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	sold, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return NewClient(Config{Key: "sk_test_1", BaseURL: server.URL, Catalogue: sold})
}

func saying(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// subscriptions is a page of Stripe's with one subscription, whose fields follow.
func subscriptions(fields string) string {
	return `{"object":"list","url":"/v1/subscriptions","has_more":false,"data":[{"id":"sub_1","object":"subscription",` + fields + `}]}`
}

const (
	sane  = `"customer":"cus_1","status":"active","current_period_end":4000000000`
	items = `"items":{"object":"list","url":"/v1/subscription_items","data":[{"id":"si_1","quantity":3,"price":{"id":"price_1","lookup_key":"tenantry_pro_month","product":"tenantry_pro"}}]}`
)

func TestASaneAnswerIsUnderstood(t *testing.T) {
	t.Parallel()
	g, err := answering(t, saying(200, subscriptions(sane+","+items))).Grant(t.Context(), "cus_1")
	if err != nil || g.Tier != catalogue.Pro || g.Seats != 3 || g.ValidUntil.Unix() != 4000000000 {
		t.Errorf("got %+v, %v", g, err)
	}
	g, err = answering(t, saying(200, `{"object":"list","url":"/v1/subscriptions","data":[]}`)).Grant(t.Context(), "cus_1")
	if err != nil || g.Tier != "" {
		t.Errorf("got %+v, %v", g, err)
	}
	many := strings.Replace(items, `"quantity":3`, `"quantity":99999999999`, 1)
	g, err = answering(t, saying(200, subscriptions(sane+","+many))).Grant(t.Context(), "cus_1")
	if err != nil || g.Seats != catalogue.MaxSeats {
		t.Errorf("got %+v, %v", g, err)
	}
	other := strings.NewReplacer("tenantry_pro_month", "of_another_shop", `"tenantry_pro"`, `"prod_1"`).Replace(items)
	g, err = answering(t, saying(200, subscriptions(sane+","+other))).Grant(t.Context(), "cus_1")
	if err != nil || g.Tier != "" || len(g.Unsold) != 1 || g.Unsold[0] != "price_1" {
		t.Errorf("got %+v, %v", g, err)
	}
}

// bought is one subscription to a price, of a month that began then.
func bought(id, price, status string, began time.Time) string {
	return fmt.Sprintf(`{"id":%q,"object":"subscription","customer":"cus_1","status":%q,"current_period_start":%d,"current_period_end":%d,
"items":{"object":"list","url":"/v1/subscription_items","data":[{"id":"si_%[1]s","quantity":3,"price":{"id":"price_%[1]s","lookup_key":%[5]q,"product":"prod_1"}}]}}`,
		id, status, began.Unix(), began.AddDate(0, 1, 0).Unix(), price)
}

// What is in arrears for longer than the grace counts only where nothing is paid, in whatever order Stripe tells.
func TestWhatIsPaidCountsBeforeWhatTheGraceIsOverFor(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	high := bought("high", "tenantry_enterprise_month", "past_due", began)
	low := bought("low", "tenantry_pro_month", "active", began)
	addon := bought("addon", "tenantry_addon_sso_month", "active", began)
	lateAddon := bought("addon", "tenantry_addon_sso_month", "past_due", began)
	sold, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	inGrace, over := began.Add(sold.Grace-time.Second), began.Add(sold.Grace)
	for name, c := range map[string]struct {
		now        time.Time
		have       []string
		tier       string
		sso        bool
		from       string
		validUntil time.Time
	}{
		"in its grace":              {inGrace, []string{high, low}, catalogue.Enterprise, false, "high", began},
		"past it":                   {over, []string{high, low}, catalogue.Pro, false, "low", began.AddDate(0, 1, 0)},
		"past it, told last":        {over, []string{low, high}, catalogue.Pro, false, "low", began.AddDate(0, 1, 0)},
		"past it, alone":            {over, []string{high}, catalogue.Enterprise, false, "high", began},
		"past it, beside an addon":  {over, []string{high, addon}, "", true, "high", began.AddDate(0, 1, 0)},
		"an addon past its own":     {over, []string{low, lateAddon}, catalogue.Pro, false, "low", began.AddDate(0, 1, 0)},
		"an addon past it, alone":   {over, []string{lateAddon}, "", true, "", began},
		"an addon still in its own": {inGrace, []string{low, lateAddon}, catalogue.Pro, true, "low", began.AddDate(0, 1, 0)},
	} {
		client := answering(t, saying(200, `{"object":"list","url":"/v1/subscriptions","has_more":false,"data":[`+strings.Join(c.have, ",")+`]}`))
		client.cfg.Now = func() time.Time { return c.now }
		g, err := client.Grant(t.Context(), "cus_1")
		if err != nil || g.Tier != c.tier || g.Features["sso"] != c.sso || g.Subscription != c.from || !g.ValidUntil.Equal(c.validUntil) {
			t.Errorf("%s: got %+v, %v", name, g, err)
		}
	}
}

// Whatever is not Stripe's answer is a failure, and never a licence that ends.
func TestNonsenseBuysAndEndsNothing(t *testing.T) {
	t.Parallel()
	const canary = "canary sk_live_1"
	for name, answer := range map[string]http.HandlerFunc{
		"an empty object":              saying(200, `{}`),
		"nothing":                      saying(200, ``),
		"null":                         saying(200, `null`),
		"an array":                     saying(200, `[]`),
		"a page for people":            saying(200, `<html>`+canary+`</html>`),
		"half an answer":               saying(200, subscriptions(sane + "," + items)[:100]),
		"no content":                   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"an error that says 200":       saying(200, `{"error":{"message":"`+canary+`"}}`),
		"an error of a proxy":          saying(502, `<html>`+canary+`</html>`),
		"an error without one":         saying(500, `{"message":"`+canary+`"}`),
		"a redirect to itself":         func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"another customer's":           saying(200, subscriptions(`"customer":"cus_2","status":"active","current_period_end":4000000000,`+items)),
		"nobody's":                     saying(200, subscriptions(`"status":"active","current_period_end":4000000000,`+items)),
		"no status":                    saying(200, subscriptions(`"customer":"cus_1","current_period_end":4000000000,`+items)),
		"no end":                       saying(200, subscriptions(`"customer":"cus_1","status":"active",`+items)),
		"an end that no calendar has":  saying(200, subscriptions(`"customer":"cus_1","status":"active","current_period_end":9000000000000000000,`+items)),
		"late, and no start":           saying(200, subscriptions(`"customer":"cus_1","status":"past_due","current_period_start":-1,`+items)),
		"no items":                     saying(200, subscriptions(sane+`,"items":{"object":"list","url":"/v1/subscription_items","data":[]}`)),
		"an item without a price":      saying(200, subscriptions(sane+`,"items":{"object":"list","url":"/v1/subscription_items","data":[{"id":"si_1"}]}`)),
		"a list that has no end":       saying(200, strings.Replace(subscriptions(sane+","+items), `"has_more":false`, `"has_more":true`, 1)),
		"more than anybody reads":      saying(200, `{"object":"list","url":"/v1/subscriptions","data":[`+strings.Repeat(" ", maxAnswer)+`]}`),
		"numbers where there are none": saying(200, subscriptions(`"customer":7,"status":"active","current_period_end":"soon",`+items)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := answering(t, answer).Grant(t.Context(), "cus_1")
			if err == nil {
				t.Fatalf("it was believed: %+v", g)
			}
			if said := Describe(err); strings.Contains(said, "canary") || !strings.HasPrefix(said, "stripe") {
				t.Errorf("it is described as %q", said)
			}
		})
	}
}

func TestNonsenseIsNoCustomerAndNoPage(t *testing.T) {
	t.Parallel()
	c := answering(t, saying(200, `{"id":"","url":"javascript:alert(1)","object":"list","data":[{"id":"price_1"}]}`))
	if id, err := c.CreateCustomer(t.Context(), "o", ""); err == nil {
		t.Errorf("a customer %q", id)
	}
	if owner, err := c.Owner(t.Context(), "cus_1"); err == nil {
		t.Errorf("an owner %q", owner)
	}
	if page, err := c.Portal(t.Context(), "cus_1", "https://back.test", "k1"); err == nil {
		t.Errorf("a portal %q", page)
	}
	if page, err := c.Checkout(t.Context(), Purchase{LookupKey: "k", Customer: "cus_1", Seats: 1, IdempotencyKey: "k2"}); err == nil {
		t.Errorf("a checkout %q", page)
	}
	if err := answering(t, saying(200, `{}`)).Customers(t.Context(), func(string) error { return nil }); err == nil {
		t.Error("a list of customers")
	}
	endless := answering(t, saying(200, `{"object":"list","url":"/v1/customers","has_more":true,"data":[{"id":"cus_1"}]}`))
	if err := endless.Customers(t.Context(), func(string) error { return nil }); err == nil {
		t.Error("a list without end ended")
	}
}

// A customer that was deleted has nothing; one that this account never had is a mistake of ours.
func TestAnUnknownCustomerIsNoDeletedOne(t *testing.T) {
	t.Parallel()
	const unknown = `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`
	customer := func(status int, body string) *Client {
		return answering(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/customers/") {
				saying(status, body)(w, r)
				return
			}
			saying(404, unknown)(w, r)
		})
	}
	if g, err := customer(200, `{"id":"cus_1","object":"customer","deleted":true}`).Grant(t.Context(), "cus_1"); err != nil || g.Tier != "" {
		t.Errorf("deleted: %+v, %v", g, err)
	}
	for name, c := range map[string]*Client{
		"unknown": customer(404, unknown), "there": customer(200, `{"id":"cus_1"}`), "another": customer(200, `{"id":"cus_2","deleted":true}`),
	} {
		if g, err := c.Grant(t.Context(), "cus_1"); err == nil {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestNobodyWaitsForAnAnswerThatNeverComes(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{"no word": "", "half a word": `{"object":`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := answering(t, func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, begin)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := c.Grant(ctx, "cus_1"); err == nil || Describe(err) != "stripe did not answer" {
				t.Errorf("got %v", err)
			}
		})
	}
}
