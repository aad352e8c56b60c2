package stripe

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
)

func (s *Server) createSession(_ *http.Request, form url.Values) (object, error) {
	c, err := s.living(form.Get("customer"))
	if err != nil {
		return nil, err
	}
	if form.Get("mode") != "subscription" {
		return nil, wrong("only subscriptions are sold here")
	}
	items, err := s.items(form, "line_items")
	if err != nil {
		return nil, err
	}
	x := &session{
		ID: s.id("cs_test"), Customer: c.ID, Reference: form.Get("client_reference_id"), Items: items,
		SuccessURL: form.Get("success_url"), CancelURL: form.Get("cancel_url"), Metadata: group(form, "subscription_data[metadata]"),
	}
	s.state.Sessions = append(s.state.Sessions, x)
	return s.sessionJSON(x), nil
}

func (s *Server) session(id string, portal bool) (*session, error) {
	i := slices.IndexFunc(s.state.Sessions, func(x *session) bool { return x.ID == id && x.Portal == portal })
	if i < 0 {
		return nil, noSuch("session", id)
	}
	return s.state.Sessions[i], nil
}

func (s *Server) readSession(r *http.Request, _ url.Values) (object, error) {
	x, err := s.session(r.PathValue("id"), false)
	if err != nil {
		return nil, err
	}
	return s.sessionJSON(x), nil
}

func (s *Server) createPortal(_ *http.Request, form url.Values) (object, error) {
	c, err := s.living(form.Get("customer"))
	if err != nil {
		return nil, err
	}
	x := &session{ID: s.id("bps"), Customer: c.ID, SuccessURL: form.Get("return_url"), Portal: true}
	s.state.Sessions = append(s.state.Sessions, x)
	return object{
		"id": x.ID, "object": "billing_portal.session", "customer": c.ID, "return_url": x.SuccessURL,
		"url": s.cfg.BaseURL + "/portal/" + x.ID, "livemode": false,
	}, nil
}

// pressEnd is what the portal's button sends.
const pressEnd = "end"

// pages are where a browser, or curl, pays and cancels.
func (s *Server) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /pay/{id}", s.page(false, "Pay", "pay"))
	mux.HandleFunc("POST /pay/{id}", s.act(false, func(x *session, _ string) { s.pay(x) }))
	mux.HandleFunc("GET /portal/{id}", s.page(true, "End every subscription", pressEnd))
	// Whoever pays already and runs the commands of the banner again comes here: that ends nothing.
	mux.HandleFunc("POST /portal/{id}", s.act(true, func(x *session, press string) {
		if press == pressEnd {
			s.cancelAll(x)
		}
	}))
}

func (s *Server) pay(x *session) {
	if x.Paid {
		return
	}
	c := s.byID[x.Customer]
	s.subscribe(c, x.Items, x.Metadata)
	x.Paid = true
	s.emit("checkout.session.completed", s.sessionJSON(x))
}

func (s *Server) cancelAll(x *session) {
	c := s.byID[x.Customer]
	for _, sub := range c.Subscriptions {
		s.end(c, sub)
	}
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html><meta charset="utf-8"><title>Stripe, the stand-in</title>
<h1>Stripe, the stand-in</h1><p>No money moves here.</p>
<ul>{{range .Lines}}<li>{{.}}</li>{{end}}</ul>
<form method="post"><button name="press" value="{{.Press}}">{{.Button}}</button></form>
`))

func (s *Server) page(portal bool, button, press string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		x, err := s.session(r.PathValue("id"), portal)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		var lines []string
		for _, it := range x.Items {
			lines = append(lines, it.Price)
		}
		if portal {
			for _, sub := range s.byID[x.Customer].Subscriptions {
				lines = append(lines, sub.ID+", "+sub.Status)
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = pageTemplate.Execute(w, struct {
			Lines         []string
			Button, Press string
		}{lines, button, press})
	}
}

func (s *Server) act(portal bool, do func(x *session, press string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		x, err := s.session(r.PathValue("id"), portal)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		do(x, r.FormValue("press"))
		s.save()
		http.Redirect(w, r, x.SuccessURL, http.StatusSeeOther)
	}
}
