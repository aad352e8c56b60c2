package ledger

import "encoding/json"

// An export is NDJSON: every line is a CloudEvent (1.0). The first is a header, the last a manifest;
// between them come the events in the order of their numbers and, after every 256th of a complete
// export, what the log has stored as the root of that block.
const (
	TypeHeader   = "tenantry.audit.export.header"
	TypeBlock    = "tenantry.audit.export.block"
	TypePruned   = "tenantry.audit.pruned"
	TypeManifest = "tenantry.audit.export.manifest"
	// TypePrefix begins the type of an event; its resource's kind and its action follow.
	TypePrefix = "tenantry."
)

// BlockSize is how many entries a block has.
const BlockSize = 1 << blockBits

// Envelope is a line of an export: a CloudEvent.
type Envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"` // the log's origin
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time,omitempty"`
	Sequence        string          `json:"sequence,omitempty"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// Header is the data of the first line. Complete says that every entry follows; otherwise each has
// its own proof. Keys are for people: a verifier must have its keys from elsewhere.
type Header struct {
	LeafFormat string   `json:"leaf_format"`
	Checkpoint string   `json:"checkpoint"`
	Complete   bool     `json:"complete"`
	Proofs     bool     `json:"proofs"`
	Keys       []string `json:"keys"`
}

// Block is the data of a block's line: the root over entries N*256+1 to (N+1)*256.
type Block struct {
	N    int64  `json:"n"`
	Hash []byte `json:"hash"`
}

// Pruned is the data of an entry whose payload retention has removed. Its hash stays.
type Pruned struct {
	ID       string   `json:"id"`
	OrgID    string   `json:"org_id"`
	Seq      int64    `json:"seq"`
	LeafHash string   `json:"leaf_hash"`
	Proof    [][]byte `json:"proof,omitempty"`
}

// Manifest is the data of the last line. SHA256 is over all bytes before this line, in hexadecimal.
type Manifest struct {
	Entries    int64  `json:"entries"`
	Pruned     int64  `json:"pruned"`
	Checkpoint string `json:"checkpoint"`
	SHA256     string `json:"sha256"`
}

// Retention records in the log itself that payloads were removed: an event with this action on this
// kind of resource, by this actor, whose change ThroughSeq is the last number that it took. A payload
// that is gone without such an entry was not removed by retention.
const (
	RetentionActor  = "system:audit-retention"
	RetentionAction = "prune"
	RetentionKind   = "audit_log"
	ThroughSeq      = "through_seq"
)
