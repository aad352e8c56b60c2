package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// row is the read as anybody would write it.
type row struct {
	ID          string    `json:"id"`
	OrgID       string    `json:"org_id"`
	TeamID      *string   `json:"team_id"`
	OwnerID     string    `json:"owner_id"`
	Title       string    `json:"title"`
	Body        string    `json:"body"`
	Sensitivity string    `json:"sensitivity"`
	PII         bool      `json:"pii"`
	Version     int64     `json:"version"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

const selectRow = `select id, org_id, team_id, owner_id, title, body, sensitivity, pii, version, created_at, updated_at
  from orgs.projects where org_id = $1 and id = $2 and deleted_at is null`

// serveBare answers the app's path with the row and asks nobody who wants it. Row-level security would
// hide everything from a session without a tenant, so its sessions name one.
func serveBare(ctx context.Context, address, database string) error {
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		return err
	}
	config.ConnConfig.RuntimeParams["app.org_id"] = acme
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/v1/app/orgs/{org}/projects/{id}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := pool.Query(r.Context(), selectRow, r.PathValue("org"), r.PathValue("id"))
		if err != nil {
			http.Error(w, "read", http.StatusInternalServerError)
			return
		}
		found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[row])
		if err != nil {
			http.Error(w, "read", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(found)
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return server.ListenAndServe()
}
