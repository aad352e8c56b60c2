// Package conformance holds the tests that the development issuer and a real Keycloak both pass:
// one suite over HTTP, so that what works in development works in production.
//
// The development issuer runs in the test process. Keycloak is the one at KEYCLOAK_URL, which make
// test starts where it can be had; set, it has to answer. WEBDRIVER_URL adds a real browser. Where
// the two issuers differ, the table in target_test.go says how, and each side is held to its own.
package conformance
