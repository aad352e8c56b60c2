// Package keycloak administers the realm that people sign in to: accounts, sessions, one-time code
// devices, organisations, client secrets. It speaks the admin REST API of Keycloak 26 as a service
// account and knows nothing of the rest of the app.
//
// Every operation may be repeated: what is there already is left as it is, so that a caller whose
// connection broke simply calls again, as the client itself does a bounded number of times.
//
// Errors name what failed and how, never what the server wrote: its bodies quote names and addresses.
package keycloak
