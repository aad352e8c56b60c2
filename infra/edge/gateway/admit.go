package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"encore.app/audit"
	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/orgs"
	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
)

// namespaces are the parts of the API that only one audience reaches.
var namespaces = map[string]string{
	"/api/v1/admin/": principal.AudienceAdmin,
	"/api/v1/org/":   principal.AudienceOrg,
	"/api/v1/app/":   principal.AudienceApp,
}

// paramOrg is the path parameter that names the organisation acted in.
const paramOrg = "org_id"

// maxParam is longer than anything that a path names.
const maxParam = 500

// admit is the request's principal.
func admit(ctx context.Context, data *encore.Request, caller *principal.Caller) (*principal.Principal, error) {
	var c fault.Checks
	for _, p := range data.PathParams { // they go into queries, and into the record of a denial
		c.Filter(p.Name, p.Value, maxParam)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	audience := audienceOf(data.Path)
	org := data.PathParams.Get(paramOrg)
	if bound(caller) {
		// Encore knows the path only here; the caller is this request's own and nobody has seen it yet.
		caller.Audience = cmp.Or(audience, principal.AudienceApp)
		if audience == principal.AudienceAdmin || org == "" && !slices.Contains(boundMayCall(caller), data.Path) {
			return nil, turnAway(ctx, data, caller)
		}
	}
	if audience != "" && caller.Audience != audience {
		return nil, turnAway(ctx, data, caller)
	}
	if org == "" || caller.Audience == principal.AudienceAdmin {
		return principal.New(caller, nil), nil
	}
	return admitTo(ctx, data, caller, org)
}

// audienceOf is the audience that a path is for; "" if any may ask.
func audienceOf(path string) string {
	for prefix, audience := range namespaces {
		if strings.HasPrefix(path, prefix) {
			return audience
		}
	}
	return ""
}

// bound says that the credential acts in one organisation only, and in whichever of its namespaces is
// asked for: an API key or an impersonation.
func bound(c *principal.Caller) bool { return c.APIKeyID != "" || c.ImpersonatorID != "" }

// boundMayCall are the paths outside any organisation that a bound caller may call. They ask as in
// the members' namespace. A key is nobody, so it has no profile.
func boundMayCall(c *principal.Caller) []string {
	if c.APIKeyID != "" {
		return []string{"/api/v1/authz/check"}
	}
	return []string{"/api/v1/authz/check", "/api/v1/me"}
}

func turnAway(ctx context.Context, data *encore.Request, c *principal.Caller) *errs.Error {
	refuse(ctx, principal.New(c, nil), data, uuid.Nil, fault.WrongAudience)
	return fault.Denied(fault.WrongAudience, "")
}

// admitTo admits a caller to an organisation they belong to. Every other one looks as if it did not
// exist, except to a member whose token leaves it out.
func admitTo(ctx context.Context, data *encore.Request, caller *principal.Caller, org string) (*principal.Principal, error) {
	orgID, err := uuid.FromString(org)
	if err != nil {
		return nil, fault.NotFound("organisation")
	}
	user, err := uuid.FromString(caller.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	if bound(caller) && caller.OrgIDClaim != orgID.String() {
		refuse(ctx, principal.New(caller, nil), data, orgID, fault.NotFoundReason)
		return nil, fault.NotFound("organisation")
	}
	tenant, err := orgs.Resolve(ctx, user, orgID)
	if err != nil {
		return nil, err
	}
	switch {
	case tenant == nil && caller.APIKeyID != "":
		refuse(ctx, principal.New(caller, nil), data, orgID, fault.TokenRevoked)
		return nil, fault.Refused(fault.TokenRevoked, "whoever made this key has left the organisation")
	case tenant == nil:
		refuse(ctx, principal.New(caller, nil), data, orgID, fault.NotFoundReason)
		return nil, fault.NotFound("organisation")
	case caller.Narrowed(tenant.OrgID, tenant.Slug):
		refuse(ctx, principal.New(caller, nil), data, orgID, fault.NotAMember)
		return nil, fault.Denied(fault.NotAMember, "")
	}
	return principal.New(caller, tenant), nil
}

// refuse records, in the platform's own log, a caller who was turned away at the door: they have no
// part in the organisation, so its log is not theirs to write to.
func refuse(ctx context.Context, p *principal.Principal, data *encore.Request, org uuid.UUID, reason fault.Reason) {
	resource := event.Resource{Kind: "route", ID: data.Service + "." + data.Endpoint}
	changes := map[string]any{"reason": reason}
	if org != uuid.Nil {
		changes["org_id"] = org
	}
	exchangeOf(ctx).principal = p
	record(ctx, event.New(principal.NewContext(ctx, p), uuid.Nil, "call", resource, event.Denied, authz.Decision{}), changes)
}

// recordDenial records a decision against the caller, once a request.
func recordDenial(ctx context.Context, x *exchange, denied authz.Made) {
	if x.principal == nil {
		return
	}
	org, err := uuid.FromString(x.principal.OrgID())
	if err != nil {
		org = uuid.Nil
	}
	resource := event.Resource{Kind: denied.Kind, ID: denied.ResourceID}
	e := event.New(principal.NewContext(ctx, x.principal), org, denied.Action, resource, event.Denied, denied.Decision)
	record(ctx, e, map[string]any{"reasons": denied.Reasons})
}

// recordWithin bounds how long a refusal waits for its record.
const recordWithin = 2 * time.Second

// record keeps a denial. It stays a denial when the log cannot be reached: the line says so.
func record(ctx context.Context, e event.Event, changes map[string]any) {
	e, err := e.With(changes)
	if err == nil {
		// A caller who hangs up is recorded all the same, and so is a write that comes to nothing.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tenantdb.Released(ctx)), recordWithin)
		defer cancel()
		err = audit.Record(ctx, e)
	}
	if err != nil {
		rlog.Error("denial not recorded", "err", err, "action", e.Action, "request_id", e.RequestID)
	}
}

var errUndecided = errors.New("gateway: answer without an authorization decision")

// undecided stops an answer that nothing decided on: a fault of the endpoint, loud in development
// and a plain denial in production.
func undecided(data *encore.Request) *errs.Error {
	err := fmt.Errorf("%w: %s.%s", errUndecided, data.Service, data.Endpoint)
	if production() {
		rlog.Error("endpoint made no authorization decision", "err", err)
		return fault.Denied(fault.PolicyDenied, "")
	}
	return fault.Internal(err)
}
