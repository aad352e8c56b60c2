package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"

	"encore.app/infra/devstack/chromium"
	"encore.app/infra/devstack/keycloak"
	"encore.app/infra/keycloak/realm"
)

// demoRealm is the realm of the files that both issuers serve.
const demoRealm = "/realms/tenantry"

// absentError is a part that cannot be had here, for a reason that is nobody's mistake.
type absentError struct{ why string }

func (e *absentError) Error() string { return e.why }

// planKeycloak is a server for tests, beside the issuer that the app is told about.
func (s *stack) planKeycloak() plan {
	p := plan{
		name: "keycloak", variable: "KEYCLOAK_URL", absent: "the development issuer stands in; --real starts one",
		check: func(ctx context.Context, url string) (string, error) {
			return "", keycloak.Check(ctx, url+demoRealm, url+demoRealm)
		},
	}
	if s.config.Env[p.variable] != "" || !s.config.wantsReal(p.name) {
		return p
	}
	p.debian = s.keycloakPackages()
	config := keycloak.Config{}
	p.reserve = func() (err error) {
		if config.Port, err = s.ports.pick("keycloak"); err == nil {
			config.Management, err = s.ports.pick("keycloak-management")
		}
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		version, err := s.configureKeycloak(ctx, &config)
		if err != nil {
			return started{}, err
		}
		return s.startBeside(config, version), nil
	}
	return p
}

// startBeside lets Keycloak start while the tests that do not need it run already: it takes as long
// as all other parts together.
func (s *stack) startBeside(config keycloak.Config, version string) started {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var server *keycloak.Server
	var err error
	go func() {
		defer close(done)
		if server, err = keycloak.Start(ctx, config); err != nil && ctx.Err() == nil {
			s.logf("keycloak did not start: %v", err)
		}
	}()
	return started{
		value: config.URL(), version: version, how: "private server",
		stop: func() {
			cancel()
			<-done
			if server != nil {
				server.Stop()
			}
		},
		up: func() (bool, error) {
			select {
			case <-done:
				return err == nil, err
			default:
				return false, nil
			}
		},
	}
}

// keycloakPackages are the Debian packages that Keycloak lacks here.
func (s *stack) keycloakPackages() []string {
	var packages []string
	if !keycloak.HasJava(context.Background(), s.config.Env.List()) {
		packages = append(packages, "default-jre-headless")
	}
	if s.config.Env["KEYCLOAK_HOME"] == "" && !keycloak.IsFetched(s.config.toolsDir()) && !keycloak.HasMaven() {
		packages = append(packages, "maven")
	}
	return packages
}

// configureKeycloak finds or fetches the distribution, completes config and returns the version.
func (s *stack) configureKeycloak(ctx context.Context, config *keycloak.Config) (string, error) {
	config.Home = s.config.Env["KEYCLOAK_HOME"]
	if config.Home == "" {
		home, err := keycloak.Fetch(ctx, s.config.toolsDir(), s.logf)
		if errors.Is(err, keycloak.ErrNotReachable) && ctx.Err() == nil {
			return "", &absentError{why: err.Error() + "; KEYCLOAK_HOME would name one"}
		}
		if err != nil {
			return "", err
		}
		config.Home, config.Built = home, keycloak.Built(s.config.toolsDir())
	}
	config.RealmFiles = s.realmFiles()
	config.Dir = s.data.join("keycloak")
	config.LogFile, config.PIDFile, config.Logf = s.data.log("keycloak"), s.data.pid("keycloak"), s.logf
	config.Env = s.config.Env.With(Env{apiVariable: s.realmEnv(apiVariable)}).List()
	version, err := keycloak.Version(config.Home)
	if err != nil {
		return "", fmt.Errorf("KEYCLOAK_HOME: %w", err)
	}
	return version, nil
}

// keycloakAsIssuer makes a server that keeps its data the issuer of the app.
func (s *stack) keycloakAsIssuer(p *plan) {
	p.debian = s.keycloakPackages()
	config := keycloak.Config{}
	p.reserve = func() (err error) {
		if config.Port, err = s.port("keycloak", "KEYCLOAK_PORT"); err == nil {
			config.Management, err = s.ports.pick("keycloak-management")
		}
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		version, err := s.configureKeycloak(ctx, &config)
		if err != nil {
			return started{}, err
		}
		demo, err := realm.Load(s.realmEnv, config.RealmFiles...)
		if err != nil {
			return started{}, err
		}
		s.logf("starting Keycloak %s (half a minute)", version)
		server, err := keycloak.Start(ctx, config)
		if err != nil {
			return started{}, err
		}
		s.users = describeUsers(demo)
		return started{value: config.URL() + demoRealm, version: version, how: "private keycloak", stop: server.Stop}, nil
	}
}

// planChromium is a browser for the tests that sign in as a person does.
func (s *stack) planChromium() plan {
	p := plan{name: "chromium", variable: "WEBDRIVER_URL", check: chromium.Version, absent: "--real starts its driver"}
	if s.config.Env[p.variable] != "" || !s.config.wantsReal(p.name) {
		return p
	}
	if !chromium.Installed() {
		p.debian = chromium.Packages
	}
	var port int
	p.reserve = func() (err error) {
		port, err = s.ports.pick("chromium")
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		home := s.data.join("chromium")
		if err := os.MkdirAll(home, 0o700); err != nil {
			return started{}, err
		}
		driver, err := chromium.Start(ctx, chromium.Config{
			Home: home, Port: port, LogFile: s.data.log("chromium"), PIDFile: s.data.pid("chromium"), Logf: s.logf,
		})
		if err != nil {
			return started{}, err
		}
		version, err := chromium.Version(ctx, driver.URL())
		if err != nil {
			driver.Stop()
			return started{}, err
		}
		return started{value: driver.URL(), version: version, how: "headless", stop: driver.Stop}, nil
	}
	return p
}
