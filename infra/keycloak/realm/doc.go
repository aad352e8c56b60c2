// Package realm reads the Keycloak realm files of this directory.
//
// tenantry-realm.json is what production imports; demo.json is laid over it for
// development. [Merge] lays them over each other, so that a real Keycloak and the
// development issuer serve the same realm, and [Load] decodes the part of the
// result that the issuer honours. [Lint] looks for traps in what production is to import.
package realm
