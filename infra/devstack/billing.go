package devstack

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"time"

	"encore.app/infra/devstack/stripe"
	"encore.app/infra/devstack/stripemock"
	"encore.app/licensing/catalogue"
)

// stripeVersion is the API version that the stand-in's shapes are of.
const stripeVersion = "2023-10-16"

// webhookPath is where the app takes deliveries.
const webhookPath = "/webhooks/stripe"

// planStripe stands in for Stripe where no key names an account of the real one.
func (s *stack) planStripe() plan {
	p := plan{name: "stripe", variable: "STRIPE_API_KEY", absent: "off", check: func(context.Context, string) (string, error) {
		return "", nil // asking would need the account's consent; the app says when it does not answer
	}}
	set := s.config.Env[p.variable] + s.config.Env["STRIPE_WEBHOOK_SECRET"] + s.config.Env["STRIPE_API_BASE"]
	if env := s.config.Env.or("APP_ENV", "dev"); set != "" || env != "dev" && env != "test" {
		return p
	}
	var listener net.Listener
	p.reserve = func() error {
		port, err := s.port("stripe", "STRIPE_PORT")
		if err != nil {
			return err
		}
		if listener, err = net.Listen("tcp", loopback(port)); err != nil {
			return &PortError{Addr: loopback(port), Variable: "STRIPE_PORT"}
		}
		s.stops = append(s.stops, func() { listener.Close() })
		return nil
	}
	p.start = func(context.Context) (started, error) { return s.serveStripe(listener) }
	return p
}

// serveStripe serves the stand-in in this process.
func (s *stack) serveStripe(listener net.Listener) (started, error) {
	sold, err := catalogue.Load()
	if err != nil {
		return started{}, err
	}
	key, secret := "sk_test_"+rand.Text(), "whsec_"+rand.Text()
	stand, err := stripe.New(stripe.Config{
		AppEnv: s.config.Env["APP_ENV"], BaseURL: baseURL(listener), Key: key, Secret: secret, Catalogue: sold,
		StateFile: s.data.join("stripe.json"), Logf: s.logf,
	})
	if err != nil {
		return started{}, err
	}
	if port := s.config.Env["PORT"]; port != "" {
		stand.Notify("http://127.0.0.1:" + port + webhookPath)
	}
	server := &http.Server{Handler: stand.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.logf("the stand-in for Stripe stopped: %v", err)
		}
	}()
	s.mu.Lock()
	s.values["STRIPE_API_BASE"], s.values["STRIPE_WEBHOOK_SECRET"] = baseURL(listener), secret
	s.mu.Unlock()
	return started{value: key, version: stripeVersion, how: "stand-in, in process", stop: func() {
		server.Close() // pages and calls are short, and nobody's money
		<-done
		stand.Close()
	}}, nil
}

// planStripeMock is Stripe's own idea of its API's shapes, for tests.
func (s *stack) planStripeMock() plan {
	p := plan{name: "stripe-mock", variable: "STRIPE_MOCK_URL", check: stripemock.Version, absent: "--real starts one"}
	if s.config.Env[p.variable] != "" || !s.config.wantsReal(p.name) {
		return p
	}
	var port int
	p.reserve = func() (err error) {
		port, err = s.ports.pick(p.name)
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		program, err := stripemock.Fetch(ctx, s.config.toolsDir(), s.logf)
		if errors.Is(err, stripemock.ErrNotReachable) {
			s.logf("%v", err)
			return started{}, &absentError{why: "it cannot be fetched; STRIPE_MOCK_URL would name one"}
		}
		if err != nil {
			return started{}, err
		}
		server, err := stripemock.Start(ctx, stripemock.Config{
			Program: program, Port: port, LogFile: s.data.log(p.name), PIDFile: s.data.pid(p.name), Logf: s.logf,
		})
		if err != nil {
			return started{}, err
		}
		version, err := stripemock.Version(ctx, server.URL())
		if err != nil {
			server.Stop()
			return started{}, err
		}
		return started{value: server.URL(), version: version, how: "child process", stop: server.Stop}, nil
	}
	return p
}

// buyIt needs no more than curl and sed.
const buyIt = `  Buy a plan (Stripe is a stand-in, no money moves):
    TOKEN=$(curl -s %s/protocol/openid-connect/token \
        -d grant_type=password -d client_id=org-console -d username=eve@globex.test -d password=demo \
        | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    PAGE=$(curl -s -X POST -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: $(date +%%s)" \
        -H "Content-Type: application/json" -d '{"tier":"pro"}' \
        %s/api/v1/org/00000000-0000-7000-8000-000000000906/billing/checkout | sed 's/.*"url": *"\([^"]*\)".*/\1/')
    curl -s -X POST -o /dev/null $PAGE; sleep 1     # pays, and lets Stripe tell the app
    curl -s -H "Authorization: Bearer $TOKEN" %s/api/v1/org/00000000-0000-7000-8000-000000000906/license
`
