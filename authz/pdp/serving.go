package pdp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/authz/principal"
	"encore.dev/rlog"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// lookEvery is how soon a change of the policies is noticed.
	lookEvery  = time.Second
	lookWithin = 500 * time.Millisecond
	// settles is how long the decision point may go on deciding by what it had after it told of a reload.
	// An answer of that time would be remembered under the new digest.
	settles = 250 * time.Millisecond
	// mostMetrics bounds what is read of the decision point's metrics.
	mostMetrics = 1 << 20

	stampKind   = "bundle"
	stampAction = "stamp"
)

var (
	policiesBroken = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_authz_policies_broken",
		Help: "1 while policies on the decision point's disk do not load, and the last good ones are served.",
	})
	policiesUnreleased = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_authz_policies_unreleased",
		Help: "1 while the decision point serves other policies than this build was released with.",
	})
	policiesSeen = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_authz_policies_seen_timestamp_seconds",
		Help: "When the decision point last said which policies it serves; 0 if it never did.",
	})
	policiesChanged = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_authz_policies_changed_total",
		Help: "Changes of the served policies that were noticed.",
	})
)

// State is what is known of the policies that the decision point serves.
type State struct {
	// Digest is the stamp of the released bundle; with "@" and a time after it where the policies were
	// changed since without a new one.
	Digest string
	// Broken says that what lies on its disk does not load.
	Broken bool
}

// ServingConfig is what StartServing needs.
type ServingConfig struct {
	Client *Client
	// MetricsURL is the decision point's Prometheus metrics; "" where they cannot be reached, and then
	// only a new stamp is noticed.
	MetricsURL string
	// Released is the digest that is believed until the decision point was asked.
	Released string
}

// Serving watches which policies the decision point serves: it reloads them when its disk changes,
// and tells nobody.
type Serving struct {
	cfg    ServingConfig
	state  atomic.Pointer[State]
	loads  loads // as of the last look
	stamp  string
	edited string // "@" and the time of a reload that brought no new stamp
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// StartServing watches until Close.
func StartServing(cfg ServingConfig) *Serving {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Serving{cfg: cfg, stamp: cfg.Released, cancel: cancel}
	s.state.Store(&State{Digest: cfg.Released})
	s.done.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			s.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return s
}

// Close stops watching.
func (s *Serving) Close() {
	s.cancel()
	s.done.Wait()
}

// State is what the last look found.
func (s *Serving) State() State { return *s.state.Load() }

// Digest names the policies served. It is part of every cache key, so that a new one makes every
// older answer unreachable.
func (s *Serving) Digest() string { return s.state.Load().Digest }

// look asks once. What cannot be asked now stays as it was: nothing can be decided meanwhile either.
func (s *Serving) look(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	next := s.State()
	now, known := s.reload(within)
	// The stamp is asked for after the reload was seen, so that it is never older than it.
	stamp, err := s.cfg.Client.Stamp(within)
	if err != nil {
		return
	}
	if known {
		switch before := s.loads; {
		case before.at == 0 || now.failures < before.failures: // the first look, or another process
		case now.failures > before.failures:
			next.Broken = true
		case now.at > before.at:
			next.Broken = false
		}
		if s.loads.at != 0 && now.at > s.loads.at {
			s.edited = "@" + strconv.FormatInt(now.at, 10)
		}
		s.loads = now
	}
	if stamp != "" && stamp != s.stamp {
		s.stamp, s.edited = stamp, ""
	}
	next.Digest = s.stamp + s.edited
	if next.Digest != s.Digest() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settles):
		}
	}
	policiesSeen.SetToCurrentTime()
	policiesUnreleased.Set(0)
	if s.cfg.Released != "" && next.Digest != s.cfg.Released {
		policiesUnreleased.Set(1)
	}
	if old := s.State(); next != old {
		s.state.Store(&next)
		s.report(old, next)
	}
}

func (s *Serving) report(old, next State) {
	if next.Digest != old.Digest {
		policiesChanged.Inc()
		rlog.Info("the served policies changed", "digest", next.Digest)
	}
	switch {
	case next.Broken && !old.Broken:
		policiesBroken.Set(1)
		rlog.Error("policies on the decision point's disk do not load; the last good ones are served")
	case old.Broken && !next.Broken:
		policiesBroken.Set(0)
		rlog.Info("policies on the decision point's disk load again")
	}
}

// loads is how often the decision point read its disk, and how often it could not.
type loads struct {
	at       int64 // of the last success, Unix milliseconds
	failures int64
}

// reload reads the decision point's metrics.
func (s *Serving) reload(ctx context.Context) (l loads, known bool) {
	if s.cfg.MetricsURL == "" {
		return loads{}, false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.MetricsURL, nil)
	if err != nil {
		return loads{}, false
	}
	req.Header.Set("Accept-Encoding", "identity") // unpacking would cost more than the way does
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return loads{}, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return loads{}, false
	}
	return readLoads(io.LimitReader(resp.Body, mostMetrics))
}

func readLoads(r io.Reader) (l loads, known bool) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if !bytes.HasPrefix(lines.Bytes(), []byte("cerbos_dev_")) { // nearly all of them, every second
			continue
		}
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		metric, labels, _ := strings.Cut(name, "{")
		switch {
		case metric == "cerbos_dev_store_last_successful_refresh":
			l.at, known = int64(v), true
		case metric == "cerbos_dev_store_sync_error_count_total",
			metric == "cerbos_dev_compiler_compile_duration_milliseconds_count" && strings.Contains(labels, `status="failure"`):
			l.failures += int64(v)
		}
	}
	return l, known && lines.Err() == nil
}

// Stamp is the digest that the served bundle carries; "" for a bundle without one.
func (c *Client) Stamp(ctx context.Context) (string, error) {
	form, err := principal.System("stamp").Cerbos()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	res, err := call(ctx, c, "CheckResources", c.stub.CheckResources, &requestv1.CheckResourcesRequest{
		Principal: form.Proto(),
		Resources: []*requestv1.CheckResourcesRequest_ResourceEntry{{
			Actions:  []string{stampAction},
			Resource: &enginev1.Resource{Kind: stampKind, Id: stampKind},
		}},
	})
	if err != nil {
		return "", err
	}
	for _, result := range res.GetResults() {
		for _, o := range result.GetOutputs() {
			return o.GetVal().GetStringValue(), nil
		}
	}
	return "", nil
}
