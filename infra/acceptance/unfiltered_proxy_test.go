//go:build acceptance && local

package acceptance

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// unfiltered stands before Postgres and takes the predicate that names the organisation out of every
// statement that runs on an organisation's behalf, so that row-level security is all that is left.
type unfiltered struct {
	upstream string // host:port

	mu    sync.Mutex
	tried map[string]bool // statements that ran without their predicate, as the app wrote them
}

var (
	// orgPredicate compares the column that says whose row it is.
	orgPredicate = regexp.MustCompile(`(?:\b\w+\.)?\borg_id = \$\d+`)
	// ownPredicate is that of the table of organisations.
	ownPredicate = regexp.MustCompile(`(\s)((?:o\.)?id = \$\d+)`)
	ownTable     = regexp.MustCompile(`\b(?:from|update) orgs\.orgs\b`)
)

// without is sql whose predicate counts for the platform and for users only, which name no organisation.
func without(sql string) string {
	sql = orgPredicate.ReplaceAllString(sql, "($0 or platform.current_org() is not null)")
	if ownTable.MatchString(sql) {
		sql = ownPredicate.ReplaceAllString(sql, "$1($2 or platform.current_org() is not null)")
	}
	return sql
}

// beforePostgres starts one, and is the DSN that leads through it.
func beforePostgres(t *testing.T, dsn string) (*unfiltered, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &unfiltered{upstream: u.Host, tried: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		l.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { x.serve(ctx, client) })
		}
	})
	u.Host = l.Addr().String()
	return x, u.String()
}

// serve is one connection.
func (x *unfiltered) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", x.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server)
		client.Close()
	})
	x.forward(client, server)
	server.Close()
	back.Wait()
}

// forward sends what the client says, until either is gone.
func (x *unfiltered) forward(client io.Reader, server io.Writer) {
	in, out := bufio.NewReader(client), bufio.NewWriter(server)
	s := session{tried: x.note, sql: map[string]string{}}
	for started := false; ; {
		head := make([]byte, 5)
		if !started { // a start-up packet has no type
			head = head[:4]
		}
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		message := append(head, body...)
		if started {
			message = s.rewrite(head[0], body, message)
		} else {
			started = binary.BigEndian.Uint32(body) == pgproto3.ProtocolVersionNumber
		}
		if _, err := out.Write(message); err != nil {
			return
		}
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func (x *unfiltered) note(sql string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tried[sql] = true
}

// ran are the statements that ran without a predicate that they have.
func (x *unfiltered) ran() (all []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for sql := range x.tried {
		if without(sql) != sql {
			all = append(all, sql)
		}
	}
	return all
}

// session follows on whose behalf a connection works.
type session struct {
	tried func(sql string)
	sql   map[string]string // prepared statement → as the app wrote it
	org   bool              // it works for an organisation
}

// begins is how tenantdb opens a transaction for an organisation.
var begins = regexp.MustCompile(`set_config\('app\.org_id', '([^']*)'`)

func (s *session) rewrite(kind byte, body, message []byte) []byte {
	switch kind {
	case 'Q':
		sql := strings.TrimSuffix(string(body), "\x00")
		if m := begins.FindStringSubmatch(sql); m != nil {
			s.org = m[1] != ""
		}
	case 'P':
		var parse pgproto3.Parse
		if parse.Decode(body) != nil {
			break
		}
		s.sql[parse.Name] = parse.Query
		parse.Query = without(parse.Query)
		if text, err := parse.Encode(nil); err == nil {
			return text
		}
	case 'B':
		var bind pgproto3.Bind
		if bind.Decode(body) != nil {
			break
		}
		sql := s.sql[bind.PreparedStatement]
		if strings.HasPrefix(sql, "select set_config('app.org_id', $1") {
			s.org = len(bind.Parameters[0]) > 0
		} else if s.org {
			s.tried(sql)
		}
	}
	return message
}
