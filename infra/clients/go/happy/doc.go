// Package happy is what a first integration does, written against the generated Go client: it is run
// against the app at BASE_URL whose people sign in at ISSUER.
//
// The tag happy keeps the tests from everybody who has not generated the client: make clients does.
package happy
