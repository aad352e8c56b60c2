package audit

import (
	"context"
	"encoding/base64"
	"strconv"

	"encore.app/audit/ledger"
	"encore.app/infra/platform/fault"
	"encore.dev/types/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// ProofResponse proves that an event is in the log: with hashes, in the order of RFC 6962, the leaf's
// hash makes the root that the checkpoint signs. Hashes are standard base64.
type ProofResponse struct {
	LeafIndex  int64    `json:"leaf_index"` // the event's seq less one
	TreeSize   int64    `json:"tree_size"`
	LeafHash   string   `json:"leaf_hash"`
	Hashes     []string `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

// CheckpointResponse is what the log commits itself to now: a signed note (C2SP tlog-checkpoint), and
// its content for convenience.
type CheckpointResponse struct {
	Checkpoint string `json:"checkpoint"`
	Origin     string `json:"origin"`
	TreeSize   int64  `json:"tree_size"`
	RootHash   string `json:"root_hash"`
}

// ConsistencyResponse proves that the log of size To began as the one of size From.
type ConsistencyResponse struct {
	From       int64    `json:"from"`
	To         int64    `json:"to"`
	Hashes     []string `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

// signed is the last checkpoint of a log. One that was signed by a key that nobody knows any more, or
// that there is none of yet, is signed now.
func (s *Service) signed(ctx context.Context, org uuid.UUID) (ledger.Checkpoint, string, error) {
	state, err := s.store.log(ctx, org)
	if err != nil {
		return ledger.Checkpoint{}, "", err
	}
	f, err := state.parse()
	if err != nil {
		return ledger.Checkpoint{}, "", err
	}
	c := ledger.Checkpoint{Origin: ledger.Origin(org.String()), Size: f.Size(), Root: f.Root()}
	if stored, err := ledger.OpenCheckpoint(state.Checkpoint, s.verifiers); err == nil {
		if stored != c {
			return c, "", errTampered
		}
		return c, state.Checkpoint, nil
	}
	text, err := s.keys.Sign(c)
	return c, text, err
}

func (s *Service) checkpoint(ctx context.Context, org uuid.UUID) (*CheckpointResponse, error) {
	c, text, err := s.signed(ctx, org)
	if err != nil {
		return nil, err
	}
	return &CheckpointResponse{Checkpoint: text, Origin: c.Origin, TreeSize: c.Size, RootHash: base64.StdEncoding.EncodeToString(c.Root[:])}, nil
}

func (s *Service) proof(ctx context.Context, org, event uuid.UUID) (*ProofResponse, error) {
	seq, hash, ok, err := s.store.leaf(ctx, org, event)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("event")
	}
	c, text, err := s.signed(ctx, org)
	if err != nil {
		return nil, err
	}
	if seq > c.Size {
		return nil, errTampered // leaf and checkpoint are written together
	}
	hashes, err := s.store.tree(ctx, org, c.Size).Inclusion(seq - 1)
	if err != nil {
		return nil, err
	}
	return &ProofResponse{
		LeafIndex: seq - 1, TreeSize: c.Size, LeafHash: base64.StdEncoding.EncodeToString(hash),
		Hashes: encodeHashes(hashes), Checkpoint: text,
	}, nil
}

func (s *Service) consistency(ctx context.Context, org uuid.UUID, from int64) (*ConsistencyResponse, error) {
	c, text, err := s.signed(ctx, org)
	if err != nil {
		return nil, err
	}
	if from > c.Size {
		var checks fault.Checks
		checks.Add("from", "is more than the %d entries that the log has", c.Size)
		return nil, checks.Err()
	}
	hashes, err := s.store.tree(ctx, org, c.Size).Consistency(from)
	if err != nil {
		return nil, err
	}
	return &ConsistencyResponse{From: from, To: c.Size, Hashes: encodeHashes(hashes), Checkpoint: text}, nil
}

func encodeHashes(hashes []tlog.Hash) []string {
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = base64.StdEncoding.EncodeToString(h[:])
	}
	return out
}

// ConsistencyRequest says which size the caller knows.
type ConsistencyRequest struct {
	From string `query:"from" schema:"required;pattern=^[0-9]{1,18}$"` // its number of entries
}

// Validate checks the request.
func (r *ConsistencyRequest) Validate() error {
	_, err := parseFrom(r.From)
	return err
}

func parseFrom(text string) (int64, error) {
	var c fault.Checks
	from, err := strconv.ParseInt(text, 10, 64)
	switch {
	case text == "":
		c.Add("from", "is required")
	case err != nil || from < 0:
		c.Add("from", "must be a number of entries")
	}
	return from, c.Err()
}
