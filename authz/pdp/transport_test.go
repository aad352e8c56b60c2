package pdp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/authz/pdp"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	responsev1 "github.com/cerbos/cerbos/api/genpb/cerbos/response/v1"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// flaky is a decision point that fails as it is told, and then answers.
type flaky struct {
	svcv1.UnimplementedCerbosServiceServer
	fails  codes.Code
	times  int64
	called atomic.Int64
}

func (f *flaky) ServerInfo(context.Context, *requestv1.ServerInfoRequest) (*responsev1.ServerInfoResponse, error) {
	if f.called.Add(1) <= f.times {
		return nil, status.Error(f.fails, "told to")
	}
	return &responsev1.ServerInfoResponse{Version: "1"}, nil
}

// listen serves s on a port of its own.
func listen(t *testing.T, s svcv1.CerbosServiceServer, options ...grpc.ServerOption) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	svcv1.RegisterCerbosServiceServer(server, s)
	go func() { _ = server.Serve(l) }() // ends with Stop
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// A lost connection is tried once more; an answer is an answer, whatever it says.
func TestOnlyALostConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails codes.Code
		times int64
		calls int64
		want  error
	}{
		"lost once":         {codes.Unavailable, 1, 2, nil},
		"lost for good":     {codes.Unavailable, 9, 2, pdp.ErrUnavailable},
		"overloaded":        {codes.ResourceExhausted, 9, 1, pdp.ErrUnavailable},
		"broken":            {codes.Internal, 9, 1, pdp.ErrUnavailable},
		"too slow":          {codes.DeadlineExceeded, 9, 1, pdp.ErrUnavailable},
		"not understood":    {codes.InvalidArgument, 9, 1, pdp.ErrInvalid},
		"something unknown": {codes.Unknown, 9, 1, pdp.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &flaky{fails: c.fails, times: c.times}
			_, err := clientOf(t, listen(t, s)).Version(t.Context())
			if !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := s.called.Load(); n != c.calls {
				t.Errorf("asked %d times, want %d", n, c.calls)
			}
		})
	}
}

// identity is a certificate for 127.0.0.1 that vouches for itself.
func identity(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pdp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server, trusted := identity(t)
	own, known := identity(t)
	addr := listen(t, new(flaky), grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known,
	})))
	for name, c := range map[string]struct {
		config *tls.Config
		want   error
	}{
		"both known":       {&tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{own}}, nil},
		"nobody of ours":   {&tls.Config{RootCAs: known, Certificates: []tls.Certificate{own}}, pdp.ErrUnavailable},
		"nothing shown":    {&tls.Config{RootCAs: trusted}, pdp.ErrUnavailable},
		"a stranger shown": {&tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{server}}, pdp.ErrUnavailable},
		"no TLS":           {nil, pdp.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := pdp.New(pdp.Config{Addr: addr, TLS: c.config, Deadline: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			if _, err := client.Version(t.Context()); !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
