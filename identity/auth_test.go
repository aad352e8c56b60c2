package identity

import (
	"context"
	"testing"
	"time"

	"encore.app/identity/secret"
	"encore.app/infra/platform/rowid"
)

// BenchmarkAuthenticate measures what identity adds to a request whose credential was seen a moment
// ago: header to caller, without a round trip.
func BenchmarkAuthenticate(b *testing.B) {
	ctx := context.Background()
	i := newIssuer(b)
	s, c := newService(b, i)
	s.keys = newKeys(open(), c.Now)
	org := rowid.New()
	key := secret.New(secret.APIKey, org)
	_, err := s.keys.create(ctx, apiKey{OrgID: org, ID: rowid.New(), OrgRoles: []string{"member"}, CreatedBy: somebody(b), ExpiresAt: c.Now().Add(time.Hour)},
		secret.Hash(key), done(ctx, org))
	if err != nil {
		b.Fatal(err)
	}
	for name, raw := range map[string]string{"token": i.access(b, rowid.New().String(), "s", time.Now()), "key": key} {
		header := "Bearer " + raw
		if _, err := s.authenticate(ctx, header); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.authenticate(ctx, header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
