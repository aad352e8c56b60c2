package audit

import (
	"context"

	"encore.app/audit/ledger"
)

// KeysResponse are the keys that checkpoints are signed with, and those that signed once.
type KeysResponse struct {
	Keys []ledger.PublicKey `json:"keys"`
}

// ListKeys gives the public keys that checkpoints can be verified with. Keep a copy: a key that is
// only ever fetched from the server proves nothing about the server.
//
//encore:api public method=GET path=/.well-known/tenantry-audit-keys tag:open
func (s *Service) ListKeys(context.Context) (*KeysResponse, error) {
	return &KeysResponse{Keys: s.keys.Public()}, nil
}
