package orgs

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"encore.app/infra/platform/archive"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

const (
	exportedRows = 1_000_000
	mostMemory   = 64 << 20
)

// peakMemory is the most that this process had resident since the last reset.
func peakMemory(b *testing.B) int {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(kib)[0])
			if err != nil {
				b.Fatal(err)
			}
			return n << 10
		}
	}
	b.Fatal("no VmHWM")
	return 0
}

// BenchmarkExport exports an organisation of a million rows over HTTP and shows the memory of the
// whole process, client included. make bench-export runs it.
func BenchmarkExport(b *testing.B) {
	t := setup(b)
	ctx, x := exportOf(t)
	err := open().db.Tx(ctx, tenantdb.Org(t.org), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
insert into orgs.projects (org_id, id, team_id, owner_id, title, body, sensitivity, pii)
select $1, gen_random_uuid(), $2, $3, 'project ' || n, repeat('words ', 1 + n % 40), 'internal', n % 10 = 0
  from generate_series(1, $4) as n`, t.org, t.team, t.user, exportedRows)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := x.run(ctx, &patient{ResponseWriter: w, controller: http.NewResponseController(w)}); err != nil {
			b.Error(err)
		}
	}))
	defer server.Close()
	for b.Loop() {
		runtime.GC()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // VmHWM begins anew
			b.Fatal(err)
		}
		before, start := peakMemory(b), time.Now()
		resp, err := http.Get(server.URL)
		if err != nil {
			b.Fatal(err)
		}
		sent, err := io.Copy(io.Discard, resp.Body)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		took, peak := time.Since(start), peakMemory(b)
		fmt.Printf("%d rows, %d MB in %.1f s: %.0f rows/s, %.0f MB/s; the process peaked at %.1f MiB resident, %.1f MiB before\n",
			exportedRows, sent/1e6, took.Seconds(), exportedRows/took.Seconds(), float64(sent)/1e6/took.Seconds(),
			float64(peak)/(1<<20), float64(before)/(1<<20))
		if peak > mostMemory {
			b.Errorf("the process peaked at %d MiB, want at most %d", peak>>20, mostMemory>>20)
		}
	}
	again, err := http.Get(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer again.Body.Close()
	if _, m, err := archive.Read(again.Body, nil, nil); err != nil || m.Types["project"].Rows != exportedRows+1 {
		b.Errorf("it does not read back: %+v, %v", m, err)
	}
}
