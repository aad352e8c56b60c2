package ledger

import "fmt"

// maxFindings bounds what a report lists; Total counts all.
const maxFindings = 1000

// Finding is something that is wrong with one entry, or with the log if Seq is 0.
type Finding struct {
	Seq  int64
	ID   string // of the event, where there is one
	What string
}

func (f Finding) String() string {
	switch {
	case f.Seq == 0:
		return f.What
	case f.ID == "":
		return fmt.Sprintf("entry %d: %s", f.Seq, f.What)
	}
	return fmt.Sprintf("entry %d (event %s): %s", f.Seq, f.ID, f.What)
}

// Report is what a verification found.
type Report struct {
	Checkpoint Checkpoint
	Complete   bool  // the export had every entry
	Entries    int64 // that were there
	Pruned     int64 // of them, without payload
	Findings   []Finding
	Total      int
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return r.Total == 0 }

func (r *Report) add(seq int64, id, format string, args ...any) {
	if r.Total++; r.Total <= maxFindings {
		r.Findings = append(r.Findings, Finding{Seq: seq, ID: id, What: fmt.Sprintf(format, args...)})
	}
}
