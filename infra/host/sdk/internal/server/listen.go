package server

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"

	"encore.dev/shutdown"
)

// Listener is a server on a port.
type Listener struct {
	server *Server
	http   *http.Server
	addr   net.Addr
	cancel context.CancelFunc // cuts the requests that are served
	done   chan error         // gets the error that serving ended with
}

// Listen begins to serve on addr, over HTTP/1.1 and unencrypted HTTP/2. Endpoints answer 503
// until [Server.SetReady].
func (s *Server) Listen(ctx context.Context, addr string) (*Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &Listener{server: s, addr: ln.Addr(), cancel: cancel, done: make(chan error, 1)}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	l.http = &http.Server{
		Handler:           s,
		Protocols:         &protocols,
		ReadHeaderTimeout: s.limits.ReadHeader,
		ReadTimeout:       s.limits.Read,
		WriteTimeout:      s.limits.Write,
		IdleTimeout:       s.limits.Idle,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          log.New(s.log.With().Str("part", "http").Logger(), "", 0),
	}
	go func() {
		defer close(l.done)
		l.done <- l.http.Serve(ln)
	}()
	return l, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }

// Failed gets an error if serving ends by itself.
func (l *Listener) Failed() <-chan error { return l.done }

// Stop takes no more requests and waits for those that run. Past p.ForceCloseTasks their contexts
// end, past p.ForceShutdown their connections are closed.
func (l *Listener) Stop(p shutdown.Progress) error {
	l.server.SetStopping()
	defer l.cancel()
	err := l.http.Shutdown(p.ForceCloseTasks)
	if err != nil {
		l.cancel()
		err = l.http.Shutdown(p.ForceShutdown)
	}
	if err != nil {
		err = errors.Join(errors.New("requests were cut off"), l.http.Close())
	}
	if served := <-l.done; err == nil && served != nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}
