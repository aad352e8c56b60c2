package main

import (
	"context"

	effectv1 "github.com/cerbos/cerbos/api/genpb/cerbos/effect/v1"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

type cerbos struct{ stub svcv1.CerbosServiceClient }

func newCerbos(addr string) (cerbos, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	return cerbos{svcv1.NewCerbosServiceClient(conn)}, err
}

func fields(attr map[string]any) (map[string]*structpb.Value, error) {
	s, err := structpb.NewStruct(attr)
	return s.GetFields(), err
}

func principal(u user) (*enginev1.Principal, error) {
	teams, roles := []any{}, map[string]any{}
	for _, team := range u.teams {
		teams, roles[team] = append(teams, team), []any{"member"}
	}
	attr, err := fields(map[string]any{
		"audience": "tenantry-app", "org_id": org, "org_roles": []any{u.role}, "team_ids": teams, "team_roles": roles, "license_tier": "enterprise",
		"feature_flags": []any{}, "mfa_level": u.mfa, "risk": []any{}, "impersonator_id": "", "write": true,
	})
	return &enginev1.Principal{Id: u.id, Roles: []string{"user"}, Attr: attr}, err
}

func (c cerbos) check(ctx context.Context, u user, p project) (bool, error) {
	got, err := c.checkMany(ctx, u, []project{p})
	return err == nil && got[0], err
}

func (c cerbos) checkMany(ctx context.Context, u user, ps []project) ([]bool, error) {
	who, err := principal(u)
	if err != nil {
		return nil, err
	}
	req := &requestv1.CheckResourcesRequest{Principal: who}
	for _, p := range ps {
		attr, err := fields(map[string]any{
			"org_id": org, "team_id": p.team, "owner_id": p.owner, "sensitivity": p.sensitivity, "pii": p.pii, "org_status": "active", "license_tier": "enterprise",
		})
		if err != nil {
			return nil, err
		}
		req.Resources = append(req.Resources, &requestv1.CheckResourcesRequest_ResourceEntry{
			Actions: []string{"read"}, Resource: &enginev1.Resource{Kind: "project", Id: p.id, Attr: attr},
		})
	}
	res, err := c.stub.CheckResources(ctx, req)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(ps))
	for i, r := range res.GetResults() {
		out[i] = r.GetActions()["read"] == effectv1.Effect_EFFECT_ALLOW
	}
	return out, nil
}

func (c cerbos) list(ctx context.Context, _ world, u user) (int, error) {
	who, err := principal(u)
	if err != nil {
		return 0, err
	}
	attr, err := fields(map[string]any{"org_id": org, "org_status": "active", "license_tier": "enterprise"})
	if err != nil {
		return 0, err
	}
	_, err = c.stub.PlanResources(ctx, &requestv1.PlanResourcesRequest{
		Action: "read", Principal: who, Resource: &enginev1.PlanResourcesInput_Resource{Kind: "project", Attr: attr},
	})
	return -1, err
}
