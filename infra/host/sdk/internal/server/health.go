package server

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	encore "encore.dev"
)

// healthTimeout bounds the whole check.
const healthTimeout = 5 * time.Second

// HealthFunc reports what is wrong, by part.
type HealthFunc func(ctx context.Context) map[string]error

type healthAnswer struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Details healthDetails `json:"details"`
}

type healthDetails struct {
	AppSlug            string        `json:"app_slug"`
	EnvName            string        `json:"env_name"`
	AppRevision        string        `json:"app_revision"`
	EncoreCompiler     string        `json:"encore_compiler"`
	DeployID           string        `json:"deploy_id"`
	Checks             []healthCheck `json:"checks"`
	EnabledExperiments []string      `json:"enabled_experiments"`
}

type healthCheck struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
}

// serveHealth answers /__encore/healthz: which parts fail is told, why is logged.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	meta := encore.Meta()
	a := healthAnswer{Code: "ok", Message: "your app is up and running", Details: healthDetails{
		AppSlug: meta.AppID, EnvName: meta.Environment.Name, AppRevision: meta.Build.Revision,
		EncoreCompiler: runtime.Version(), DeployID: meta.Deploy.ID,
		Checks: []healthCheck{{"started", s.ready.Load()}, {"not stopping", !s.stopping.Load()}}, EnabledExperiments: []string{},
	}}
	if s.health != nil {
		for name, err := range s.health(ctx) {
			s.log.Warn().Str("part", name).Err(err).Msg("health check failed")
			a.Details.Checks = append(a.Details.Checks, healthCheck{name, false})
		}
	}
	slices.SortStableFunc(a.Details.Checks, func(x, y healthCheck) int { return strings.Compare(x.Name, y.Name) })
	status := http.StatusOK
	if slices.ContainsFunc(a.Details.Checks, func(c healthCheck) bool { return !c.Passed }) {
		status = http.StatusInternalServerError
		a.Code, a.Message = "unhealthy", "one or more checks failed"
	}
	buf := getJSON()
	defer putJSON(buf)
	_ = buf.encode(a)
	writeJSON(w, status, buf)
}
