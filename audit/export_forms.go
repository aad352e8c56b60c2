package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/infra/platform/rowid"
	"encore.dev/types/uuid"
)

// formOf is how the export x of a log is written.
func (s *Service) formOf(ctx context.Context, x exportRequest, state logState) (form, error) {
	switch x.form {
	case "csv":
		return new(csvForm), nil
	case "ocsf":
		return new(ocsfForm), nil
	}
	checkpoint := state.Checkpoint // as it is, even if it does not add up: that is for the verifier to see
	if state.Size == 0 {
		var err error
		if _, checkpoint, err = s.signed(ctx, x.org); err != nil {
			return nil, err
		}
	}
	v := &verifiableForm{
		org:    x.org,
		header: ledger.Header{Checkpoint: checkpoint, Complete: x.whole, Proofs: x.proofs || !x.whole},
		tree:   ledger.Cached(s.store.tree(ctx, x.org, state.Size)),
	}
	for _, k := range s.keys.Public() {
		v.header.Keys = append(v.header.Keys, k.VKey)
	}
	return v, nil
}

// verifiableForm is CloudEvents that a verifier can rebuild the leaves from.
type verifiableForm struct {
	org    uuid.UUID
	header ledger.Header
	tree   ledger.Tree
	out    *ledger.Writer
}

func (*verifiableForm) describe() (contentType, extension string) {
	return "application/x-ndjson", "ndjson"
}

func (f *verifiableForm) begin(w http.ResponseWriter) (err error) {
	f.out, err = ledger.NewWriter(w, rowid.New().String(), ledger.Origin(f.org.String()), time.Now().UTC().Format(time.RFC3339), f.header)
	return err
}

// proven is an event with its proof.
type proven struct {
	event.Event
	Proof [][]byte `json:"proof,omitzero"`
}

func (f *verifiableForm) entry(e entry) error {
	p := proven{Event: e.Event}
	if f.header.Proofs {
		hashes, err := f.tree.Inclusion(e.Seq - 1)
		if err != nil {
			return err
		}
		p.Proof = ledger.EncodeProof(hashes)
	}
	if err := f.write(e, p); err != nil || !f.header.Complete || e.Seq%ledger.BlockSize != 0 {
		return err
	}
	n := e.Seq/ledger.BlockSize - 1
	found, err := f.tree.Read([]ledger.Range{{Level: 1, From: n, To: n + 1}})
	if err != nil || len(found[0]) == 0 { // a block whose root is gone is found out by the tree's
		return err
	}
	return f.out.Block(n, found[0][0])
}

func (f *verifiableForm) write(e entry, p proven) error {
	if e.Pruned {
		return f.out.Pruned(ledger.Pruned{ID: e.ID.String(), OrgID: e.OrgID.String(), Seq: e.Seq, LeafHash: e.LeafHash, Proof: p.Proof})
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return f.out.Event(cloudEvent(e.Event, data))
}

// cloudEvent is an event as CloudEvents 1.0 has it, in exports and for sinks alike. Its sequence is
// the event's number, without a gap: whoever gets all of them can prove that nothing is missing.
func cloudEvent(e event.Event, data json.RawMessage) ledger.Envelope {
	return ledger.Envelope{
		SpecVersion: "1.0", ID: e.ID.String(), Source: ledger.Origin(e.OrgID.String()),
		Type: ledger.TypePrefix + e.Resource.Kind + "." + e.Action, Subject: strings.TrimSuffix(e.Resource.Kind+"/"+e.Resource.ID, "/"),
		Time: e.OccurredAt.Format(time.RFC3339Nano), Sequence: strconv.FormatInt(e.Seq, 10), DataContentType: "application/json", Data: data,
	}
}

func (f *verifiableForm) end() error { return f.out.Close() }

// csvForm is for spreadsheets. It proves nothing.
type csvForm struct{ out *csv.Writer }

func (*csvForm) describe() (contentType, extension string) {
	return "text/csv; charset=utf-8; header=present", "csv"
}

func (f *csvForm) begin(w http.ResponseWriter) error {
	f.out = csv.NewWriter(w)
	return f.out.Write([]string{"seq", "id", "org_id", "occurred_at", "actor_id", "actor_type", "impersonator_id", "action",
		"resource_kind", "resource_id", "outcome", "request_id", "decision_id", "policy_version", "ip", "changes", "leaf_hash"})
}

func (f *csvForm) entry(e entry) error {
	row := []string{strconv.FormatInt(e.Seq, 10), e.ID.String(), e.OrgID.String(), e.OccurredAt.Format(time.RFC3339Nano),
		e.Actor.ID, e.Actor.Type, e.Actor.ImpersonatorID, e.Action, e.Resource.Kind, e.Resource.ID, string(e.Outcome),
		e.RequestID, e.DecisionID, e.PolicyVersion, e.IP, string(e.Changes), e.LeafHash}
	if e.Pruned {
		row[3], row[15] = "", ""
	}
	for i, cell := range row {
		row[i] = harmless(cell)
	}
	return f.out.Write(row)
}

func (f *csvForm) end() error {
	f.out.Flush()
	return f.out.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula (OWASP, CSV injection; the last four
// are the full-width forms of the first).
func harmless(cell string) string {
	first, _ := utf8.DecodeRuneInString(cell)
	if cell != "" && strings.ContainsRune("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20", first) {
		return "'" + cell
	}
	return cell
}

// ocsfForm is for security tools. Entries without payload are left out: there is nothing to tell.
type ocsfForm struct{ out *json.Encoder }

func (*ocsfForm) describe() (contentType, extension string) { return "application/x-ndjson", "ndjson" }

func (f *ocsfForm) begin(w http.ResponseWriter) error {
	f.out = json.NewEncoder(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (f *ocsfForm) entry(e entry) error {
	if e.Pruned {
		return nil
	}
	return f.out.Encode(event.ToOCSF(e.Event))
}

func (f *ocsfForm) end() error { return nil }
