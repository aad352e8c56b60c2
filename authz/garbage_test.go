package authz

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	encoding "encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
	"github.com/prometheus/client_golang/prometheus"
)

// faults is how many questions got no decision for that reason, as alerts see it.
func faults(t *testing.T, reason string) (n float64) {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "tenantry_authz_faults_total" && l.GetValue() == reason {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// What does not fit the schemas and what no policy knows is a fault of ours: 500 and a count that alerts
// look at, never a denial that nobody notices and never an answer.
func TestGarbageIsAFaultAndNoDenial(t *testing.T) {
	p := principal.New(&principal.Caller{UserID: "u", Audience: principal.AudienceApp}, &principal.Tenant{OrgID: "o", Status: "active", Tier: "free", OrgRoles: []string{"owner"}})
	strange := principal.New(&principal.Caller{UserID: "u", Audience: principal.AudienceApp}, &principal.Tenant{OrgID: "o", Status: "active", Tier: "platinum"})
	for name, c := range map[string]struct {
		who    *principal.Principal
		kind   string
		action string
		edit   func(*Resource)
		counts string
	}{
		"attribute out of range": {p, "doc", "read", func(r *Resource) { r.Sensitivity = "cosmic" }, "invalid"},
		"attribute of a type":    {p, "doc", "read", func(r *Resource) { r.Extra = map[string]any{"pii": "yes"} }, "invalid"},
		"attribute missing":      {p, "patient_record", "read", nil, "invalid"},
		"caller out of range":    {strange, "doc", "read", nil, "invalid"},
		"unknown kind":           {p, "invoice", "read", nil, "unmatched"},
		"unknown action":         {p, "doc", "publish", nil, "unmatched"},
		"action of another kind": {p, "doc", "org:suspend", nil, "unmatched"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, trail := WithTrail(principal.NewContext(t.Context(), c.who))
			r := Resource{Kind: c.kind, ID: "r", OrgID: "o"}
			if c.edit != nil {
				c.edit(&r)
			}
			before := faults(t, c.counts)
			d, err := Check(ctx, c.action, r)
			if errs.Code(err) != errs.Internal || fault.As(err) == nil || d.Allowed {
				t.Errorf("got %+v, %v", d, err)
			}
			if _, decided := trail.Last(); decided {
				t.Error("a decision was noted")
			}
			if got := faults(t, c.counts) - before; got != 1 {
				t.Errorf("counted %v times as %s", got, c.counts)
			}
			if c.counts == "unmatched" {
				return
			}
			if _, err := CheckAll(ctx, c.who, []Question{{Resource: r, Actions: []string{c.action}}}); errs.Code(err) != errs.Internal {
				t.Errorf("in a batch: %v", err)
			}
		})
	}
}

func TestTLSIsConfiguredWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(kind string, content []byte) (text, path string) {
		block := encoding.EncodeToMemory(&encoding.Block{Type: kind, Bytes: content})
		path = filepath.Join(t.TempDir(), "pem")
		if err := os.WriteFile(path, block, 0o600); err != nil {
			t.Fatal(err)
		}
		return string(block), path
	}
	cert, certFile := write("CERTIFICATE", der)
	private, privateFile := write("PRIVATE KEY", secret)
	for name, c := range map[string]struct{ ca, cert, key, fails string }{
		"none":                {"", "", "", ""},
		"trust":               {cert, "", "", ""},
		"trust, in a file":    {certFile, "", "", ""},
		"both":                {cert, cert, private, ""},
		"both, in files":      {certFile, certFile, privateFile, ""},
		"nobody to trust":     {"", cert, private, "CERBOS_CERT needs CERBOS_CA"},
		"no such file":        {"/nowhere", "", "", "CERBOS_CA"},
		"no certificate":      {"-----BEGIN NOTHING", "", "", "CERBOS_CA holds no certificate"},
		"no such certificate": {cert, "/nowhere", private, "CERBOS_CERT"},
		"no such key":         {cert, cert, "/nowhere", "CERBOS_KEY"},
		"not a key":           {cert, cert, cert, "CERBOS_CERT and CERBOS_KEY"},
	} {
		config, err := tlsOf(c.ca, c.cert, c.key)
		switch {
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: got %v, want %s", name, err, c.fails)
		case c.fails == "" && (err != nil || (config != nil) != (c.ca != "") || config != nil && len(config.Certificates) > 0 != (c.cert != "")):
			t.Errorf("%s: got %+v %v", name, config, err)
		}
	}
}
