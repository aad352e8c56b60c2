// Package token verifies the access tokens of one OpenID Connect issuer.
//
// Every token goes through the same steps, cheapest first, so that garbage costs
// little and never reaches the network:
//
//  1. a cache of tokens already verified, keyed by their SHA-256, until they expire;
//  2. everything that needs no key: size, shape, duplicate members, critical
//     headers, token type, issuer, audience, times, algorithm;
//  3. the issuer's keys, fetched again only for an unknown key id and at most once
//     per [RefetchInterval], however many bad tokens arrive;
//  4. the signature, checked with the one algorithm that fits the key.
//
// Logout tokens, which are rare, go through go-oidc instead of 1 and 4.
//
// A refused token is an [*Error] with a [Reason]. The package knows nothing of HTTP
// requests or users: turning claims into a caller is the identity service's work.
package token
