package devstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"encore.app/infra/devstack/issuer"
	"encore.app/infra/devstack/keycloak"
	"encore.app/infra/keycloak/realm"
)

const (
	issuerAddr     = "127.0.0.1:8180"
	issuerStopWait = 2 * time.Second
)

// realmFiles are the production realm and what development adds to it.
func (s *stack) realmFiles() []string {
	dir := filepath.Join(s.config.Root, "infra/keycloak")
	return []string{filepath.Join(dir, "tenantry-realm.json"), filepath.Join(dir, "demo.json")}
}

func (s *stack) planIssuer() plan {
	p := plan{name: "issuer", variable: "OIDC_ISSUER_URL", check: s.checkIssuer}
	if s.config.Env[p.variable] != "" {
		return p
	}
	if s.config.Env["KEYCLOAK_HOME"] != "" && !s.config.throwAway {
		s.keycloakAsIssuer(&p)
		return p
	}
	// The listener is held from here on, so that nobody takes the port in between.
	var listener net.Listener
	p.reserve = func() (err error) {
		addr := s.config.Env["ISSUER_ADDR"]
		switch {
		case addr == "" && s.config.throwAway:
			addr = "127.0.0.1:0"
		case addr == "":
			addr = issuerAddr
		}
		if listener, err = net.Listen("tcp", addr); err != nil {
			return &PortError{Addr: addr, Variable: "ISSUER_ADDR"}
		}
		s.stops = append(s.stops, func() { listener.Close() })
		return nil
	}
	p.start = func(context.Context) (started, error) { return s.serveIssuer(listener) }
	return p
}

// serveIssuer serves the development issuer in this process.
func (s *stack) serveIssuer(listener net.Listener) (started, error) {
	files := s.realmFiles()
	demo, err := realm.Load(s.realmEnv, files...)
	if err != nil {
		return started{}, err
	}
	i, err := issuer.New(issuer.Config{
		RealmFiles: files, Env: s.realmEnv, BaseURL: baseURL(listener), AppEnv: s.config.Env["APP_ENV"],
		KeyFile: s.data.join("issuer-keys.json"),
	})
	if err != nil {
		return started{}, err
	}
	server := &http.Server{Handler: i.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.logf("the development issuer stopped: %v", err)
		}
	}()
	s.users = describeUsers(demo)
	return started{value: i.URL(), version: "dev", how: "in process", stop: func() {
		ctx, cancel := context.WithTimeout(context.Background(), issuerStopWait)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	}}, nil
}

// apiVariable tells the realm where the app is: its clients are told there of sign-outs.
const apiVariable = "TENANTRY_API_URL"

// realmEnv fills the placeholders of the realm files.
func (s *stack) realmEnv(name string) string {
	if name == apiVariable && s.config.Env[name] == "" {
		return "http://127.0.0.1:" + s.config.Env.or("PORT", defaultPort)
	}
	return s.config.Env[name]
}

// baseURL is how this machine reaches a listener, one for all interfaces included.
func baseURL(l net.Listener) string {
	addr := *l.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		addr.IP = net.IPv4(127, 0, 0, 1)
	}
	return "http://" + addr.String()
}

// describeUsers is a line for each person: who it is, and what it may be.
func describeUsers(r *realm.Realm) []string {
	var lines []string
	for _, u := range r.Users {
		if strings.HasPrefix(u.Username, "service-account-") {
			continue
		}
		var notes []string
		for _, role := range u.RealmRoles {
			if !strings.HasPrefix(role, "default-roles-") {
				notes = append(notes, role)
			}
		}
		for _, o := range r.Organizations {
			if slices.ContainsFunc(o.Members, func(m realm.Member) bool { return m.Username == u.Username }) {
				notes = append(notes, o.Alias)
			}
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%-24s %s", u.Username, strings.Join(notes, ", "))))
	}
	return lines
}

// checkIssuer reads the discovery document, which has to be that of the issuer named.
func (s *stack) checkIssuer(ctx context.Context, issuerURL string) (string, error) {
	from, err := backChannel(issuerURL, s.config.Env["OIDC_INTERNAL_URL"])
	if err != nil {
		return "", err
	}
	return "", keycloak.Check(ctx, from, issuerURL)
}

// backChannel is where the issuer is reached from here: internal may be the whole URL or, as the
// app also accepts it, only scheme, host and port.
func backChannel(issuerURL, internal string) (string, error) {
	if internal == "" {
		return strings.TrimSuffix(issuerURL, "/"), nil
	}
	from, err := url.Parse(internal)
	if err != nil {
		return "", err
	}
	if strings.Trim(from.Path, "/") == "" {
		public, err := url.Parse(issuerURL)
		if err != nil {
			return "", err
		}
		from.Path = public.Path
	}
	return strings.TrimSuffix(from.String(), "/"), nil
}
