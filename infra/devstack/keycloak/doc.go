// Package keycloak runs a private Keycloak for tests: development mode, its own H2 database, the
// merged realm files imported at the start. The distribution is KEYCLOAK_HOME or comes from Maven
// Central through mvn, once, with its checksum pinned here.
//
// A server writes only below its own directory: the distribution is linked into it, except
// lib/quarkus, which Keycloak rewrites when it builds itself for its options. What the first start
// builds is kept beside a fetched distribution, so that later ones skip the half minute it takes.
package keycloak
