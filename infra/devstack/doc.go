// Package devstack starts what the app depends on, on the machine it is developed or tested on,
// without containers: Postgres, the Cerbos decision point, an OIDC issuer and, when asked,
// Redis, RabbitMQ, Keycloak, a browser and stripe-mock. The command cmd/devstack is its front.
//
//	devstack run -- CMD    start the stack, run the app against it, print where everything is
//	devstack up            only the stack; writes .secrets.local.cue for `encore run`
//	devstack exec -- CMD   a throw-away stack beside any other, for tests; says what it consisted of
//	devstack tool cerbos   where the Cerbos server is, for those who run it by itself
//	devstack reset         throw the local data away
//
// # How a part is chosen
//
// Each part has a variable. Set, it names the one to use, which has to answer; an error names
// the part and the variable, and there is no falling back. Unset, the stack starts its own:
//
//	part      variable          unset
//	postgres  DATABASE_URL      private cluster (package postgres; POSTGRES_BIN, POSTGRES_PORT)
//	cerbos    CERBOS_ADDR       child process serving policies/ (package cerbos; CERBOS_BIN, CERBOS_PORT)
//	stripe    STRIPE_API_KEY    stand-in in this process (package stripe; STRIPE_PORT)
//	oidc      OIDC_ISSUER_URL   development issuer in this process (package issuer; ISSUER_ADDR)
//	redis     REDIS_URL         nothing, the app has its own; with --real a redis-server
//	rabbitmq  RABBITMQ_URL      nothing, the app has its own; with --real a node (package rabbitmq)
//	keycloak  KEYCLOAK_URL      nothing; with --real a server for tests (package keycloak; KEYCLOAK_HOME)
//	chromium  WEBDRIVER_URL     nothing; with --real a chromedriver (package chromium)
//	stripe-mock  STRIPE_MOCK_URL  nothing; with --real a server for tests (package stripemock)
//	promtool  PROMTOOL_BIN      nothing; with --real the system's, for the tests of the alert rules
//	objects   OBJECT_STORE_URL  files in the data directory
//
// Keycloak starts while the command runs already: whoever needs it waits for it. With KEYCLOAK_HOME
// set, run and up make it the issuer of the app in the place of the development issuer.
//
// Where APP_ENV is staging or production nothing is started and every unset variable is named.
// Debian packages that are missing are installed when this runs as root, after saying so;
// otherwise the message is the command to run. Linux only.
//
// # Where things are
//
// Everything is below .dev/ of the checkout: data by part, logs/NAME.log, run/NAME.pid, tools/
// with the fetched Cerbos server, Keycloak and stripe-mock, ports.json with the ports that were picked. exec keeps all but
// tools/ in .dev/test-PID/ and removes it. One lock file a data directory holds off a second stack.
//
// # How it ends
//
// In order: the app first, then the parts. A part that dies on its own is started again with
// growing pauses. Killed with no chance to clean up, the stack still takes its children along;
// package proc says how.
package devstack
