package audit

import (
	"context"
	"errors"
	"fmt"

	"encore.app/audit/ledger"
	encore "encore.dev"
	"encore.dev/storage/objects"
)

var secrets struct {
	// AUDIT_SIGNING_KEY signs checkpoints: one key in the note format, or several while they rotate.
	AUDIT_SIGNING_KEY string
	// AUDIT_RETIRED_KEYS are the verifier keys of those that signed once.
	AUDIT_RETIRED_KEYS string //host:optional
	// RABBITMQ_URL names a RabbitMQ; unset, this process carries its messages itself.
	RABBITMQ_URL string
	// SINK_SECRETS_KEY seals the secrets of sinks in the database.
	SINK_SECRETS_KEY string
	// SINKS_ALLOW_PRIVATE set to true lets sinks be in this network; refused in production.
	SINKS_ALLOW_PRIVATE string //host:optional
}

// devKey is where development keeps a signing key of its own making.
const devKey = "development-signing-key"

var errNoKey = errors.New("audit: AUDIT_SIGNING_KEY is not set: checkpoints cannot be signed (tenantry-audit-verify -generate-key makes a key)")

// loadKeys are the keys that checkpoints are signed with. Development makes its own and keeps it
// beside the checkpoints; a shared environment must bring one, out of reach of what it protects.
func loadKeys(ctx context.Context, b bucket) (*ledger.Keys, error) {
	signing := secrets.AUDIT_SIGNING_KEY
	if signing == "" {
		if encore.Meta().Environment.Type == encore.EnvProduction {
			return nil, errNoKey
		}
		var err error
		if signing, err = ownKey(ctx, b); err != nil {
			return nil, fmt.Errorf("audit: development signing key: %w", err)
		}
	}
	keys, err := ledger.ParseKeys(signing, secrets.AUDIT_RETIRED_KEYS)
	if err != nil {
		return nil, fmt.Errorf("AUDIT_SIGNING_KEY, AUDIT_RETIRED_KEYS: %w", err)
	}
	return keys, nil
}

func ownKey(ctx context.Context, b bucket) (string, error) {
	key, err := download(ctx, b, devKey)
	if !errors.Is(err, objects.ErrObjectNotFound) {
		return key, err
	}
	fresh, err := ledger.GenerateKey()
	if err != nil {
		return "", err
	}
	err = upload(ctx, b, devKey, fresh)
	if errors.Is(err, objects.ErrPreconditionFailed) { // another process was faster
		return download(ctx, b, devKey)
	}
	return fresh, err
}
