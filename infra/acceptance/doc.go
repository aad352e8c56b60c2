// Package acceptance holds the black-box suite: what a client may rely on, over HTTP and nothing
// else. It runs against the app on either host, and against anything that answers at BASE_URL:
//
//	make acceptance BASE_URL=http://127.0.0.1:4000 ISSUER=http://127.0.0.1:8180/realms/tenantry
//
// The demo tenants must be seeded. The build tag acceptance keeps the suite out of ordinary test
// runs; the tag local adds what needs the app's own binary (APP_BINARY), because it kills it.
//
// matrix/ says for every operation of the API what every kind of caller gets. An operation that
// it does not list fails the suite: nothing is added to the API without saying who may use it.
package acceptance
