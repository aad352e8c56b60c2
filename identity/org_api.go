package identity

import (
	"context"
	"net/http"
	"slices"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/identity/secret"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

const (
	maxName = 200
	// keyLife is how long a key works whose maker did not say, and keyLifeMax how long one may.
	keyLife    = 90 * 24 * time.Hour
	keyLifeMax = 365 * 24 * time.Hour
	// overlapMax is how long a replaced secret may go on working.
	overlapMax = 7 * 24 * time.Hour
)

var orgRoles = []string{"owner", "admin", "billing", "auditor", "member", "guest"}

// APIKey is a machine's way in. Key, its secret, is told once: when it is made or replaced.
type APIKey struct {
	ID            uuid.UUID  `json:"id"`
	Name          string     `json:"name"`
	OrgRoles      []string   `json:"org_roles"`
	Prefix        string     `json:"prefix"` // how the secret begins
	Key           string     `json:"key,omitempty"`
	CreatedBy     uuid.UUID  `json:"created_by"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	LastUsedAt    *time.Time `json:"last_used_at"`   // to the minute
	PreviousUntil *time.Time `json:"previous_until"` // when a replaced secret stops working
	HTTPStatus    int        `json:"-" encore:"httpstatus"`
}

func (k apiKey) payload() *APIKey {
	return &APIKey{
		ID: k.ID, Name: k.Name, OrgRoles: k.OrgRoles, Prefix: k.Prefix, CreatedBy: k.CreatedBy,
		CreatedAt: k.CreatedAt.UTC(), ExpiresAt: k.ExpiresAt.UTC(), LastUsedAt: utc(k.LastUsedAt), PreviousUntil: utc(k.PreviousUntil),
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func (k apiKey) resource() authz.Resource {
	return keyResource(k.OrgID, k.ID.String(), k.CreatedBy.String(), k.OrgRoles)
}

func keyResource(org uuid.UUID, id, owner string, roles []string) authz.Resource {
	return authz.Resource{Kind: "api_key", ID: id, OrgID: org.String(), OwnerID: owner, Extra: map[string]any{"org_roles": append([]string{}, roles...)}}
}

// ListAPIKeysRequest asks for a page of keys.
type ListAPIKeysRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListAPIKeysRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// ListAPIKeysResponse is one page, oldest first.
type ListAPIKeysResponse struct {
	Items      []APIKey `json:"items"`
	NextCursor string   `json:"next_cursor"`
}

// ListAPIKeys lists the organisation's keys that were not revoked, without their secrets.
//
// Owners and administrators may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/api-keys
func (s *Service) ListAPIKeys(ctx context.Context, org_id uuid.UUID, r *ListAPIKeysRequest) (*ListAPIKeysResponse, error) {
	if _, err := authz.Check(ctx, "list", keyResource(org_id, "", "", nil)); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.keys.list(ctx, org_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(k apiKey) any { return k.ID })
	out := &ListAPIKeysResponse{Items: make([]APIKey, len(rows)), NextCursor: next}
	for i, k := range rows {
		out.Items[i] = *k.payload()
	}
	return out, nil
}

// CreateAPIKeyRequest describes a new key.
type CreateAPIKeyRequest struct {
	Name      string     `json:"name" schema:"text=200"`
	OrgRoles  []string   `json:"org_roles" schema:"minItems=1;items.enum=owner|admin|billing|auditor|member|guest"` // owner, admin, billing, auditor, member, guest
	ExpiresAt *time.Time `json:"expires_at,omitempty"`                                                              // within a year; 90 days from now if left out
}

// Validate checks the request.
func (r *CreateAPIKeyRequest) Validate() error {
	var c fault.Checks
	c.Text("name", r.Name, maxName)
	if len(r.OrgRoles) == 0 {
		c.Add("org_roles", "is required")
	}
	for _, role := range r.OrgRoles {
		c.OneOf("org_roles", role, orgRoles...)
	}
	if at := r.ExpiresAt; at != nil && (!at.After(time.Now()) || at.After(time.Now().Add(keyLifeMax))) {
		c.Add("expires_at", "must be in the future and within 365 days")
	}
	return c.Err()
}

// CreateAPIKey makes a key and tells its secret, once. It never does more than its roles allow, nor
// more than whoever made it may do at the time of use.
//
// Owners and administrators may, within their own roles. Refuses with validation_failed,
// quota_exceeded, policy_denied and org_suspended.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/api-keys
func (s *Service) CreateAPIKey(ctx context.Context, org_id uuid.UUID, r *CreateAPIKeyRequest) (*APIKey, error) {
	creator, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	by, err := uuid.FromString(creator.Caller.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	k := apiKey{OrgID: org_id, ID: rowid.New(), Name: r.Name, OrgRoles: slices.Compact(slices.Sorted(slices.Values(r.OrgRoles))), CreatedBy: by, ExpiresAt: time.Now().Add(keyLife)}
	if r.ExpiresAt != nil {
		k.ExpiresAt = *r.ExpiresAt
	}
	d, err := authz.Check(ctx, "create", k.resource())
	if err != nil {
		return nil, err
	}
	e, err := event.New(ctx, org_id, "create", event.Resource{Kind: "api_key", ID: k.ID.String()}, event.Succeeded, d).
		With(map[string]any{"name": k.Name, "org_roles": k.OrgRoles, "expires_at": k.ExpiresAt.UTC()})
	if err != nil {
		return nil, err
	}
	raw := secret.New(secret.APIKey, org_id)
	k.Prefix = secret.Prefix(raw)
	if k, err = s.keys.create(ctx, k, secret.Hash(raw), e); err != nil {
		return nil, err
	}
	out := k.payload()
	out.Key, out.HTTPStatus = raw, http.StatusCreated
	return out, nil
}

// RotateAPIKeyRequest says for how long the secret that is replaced goes on working. It is in the query, so
// that nobody has to send an empty body.
type RotateAPIKeyRequest struct {
	OverlapMinutes int `query:"overlap_minutes" schema:"minimum=0;maximum=10080"` // 0 to 10080; 0 ends it at once
}

// Validate checks the request.
func (r *RotateAPIKeyRequest) Validate() error {
	var c fault.Checks
	if overlap := r.overlap(); overlap < 0 || overlap > overlapMax {
		c.Add("overlap_minutes", "must be from 0 to %d", overlapMax/time.Minute)
	}
	return c.Err()
}

func (r *RotateAPIKeyRequest) overlap() time.Duration {
	return time.Duration(min(max(r.OverlapMinutes, -1), 1<<20)) * time.Minute
}

// RotateAPIKey gives a key a new secret and tells it, once. Roles and expiry stay as they are.
//
// Who may create such a key may. Refuses with validation_failed, policy_denied, org_suspended and
// not_found.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/api-keys/:key_id/rotate
func (s *Service) RotateAPIKey(ctx context.Context, org_id, key_id uuid.UUID, r *RotateAPIKeyRequest) (*APIKey, error) {
	e, err := s.mayChangeKey(ctx, org_id, key_id, "create", "rotate")
	if err != nil {
		return nil, err
	}
	if e, err = e.With(map[string]any{"overlap_minutes": r.OverlapMinutes}); err != nil {
		return nil, err
	}
	raw := secret.New(secret.APIKey, org_id)
	k, err := s.keys.rotate(ctx, org_id, key_id, secret.Hash(raw), secret.Prefix(raw), r.overlap(), e)
	if err != nil {
		return nil, err
	}
	s.forget(key_id.String())
	out := k.payload()
	out.Key = raw
	return out, nil
}

// RevokeAPIKey ends a key: every replica refuses it within five seconds.
//
// Owners and administrators may. Refuses with policy_denied, org_suspended and not_found.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/api-keys/:key_id
func (s *Service) RevokeAPIKey(ctx context.Context, org_id, key_id uuid.UUID) error {
	e, err := s.mayChangeKey(ctx, org_id, key_id, "delete", "delete")
	if err != nil {
		return err
	}
	if err := s.keys.revoke(ctx, org_id, key_id, e); err != nil {
		return err
	}
	s.forget(key_id.String())
	return nil
}

// mayChangeKey decides on action and begins the event of what is done. Whether a key exists is told
// only to those who may list keys.
func (s *Service) mayChangeKey(ctx context.Context, org, id uuid.UUID, action, done string) (event.Event, error) {
	k, ok, err := s.keys.one(ctx, org, id)
	if err != nil {
		return event.Event{}, err
	}
	if !ok {
		if _, err := authz.Check(ctx, "list", keyResource(org, "", "", nil)); err != nil {
			return event.Event{}, err
		}
		return event.Event{}, fault.NotFound("API key")
	}
	d, err := authz.Check(ctx, action, k.resource())
	if err != nil {
		return event.Event{}, err
	}
	return event.New(ctx, org, done, event.Resource{Kind: "api_key", ID: id.String()}, event.Succeeded, d), nil
}
