package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"
	"github.com/openfga/openfga/pkg/server"
	"github.com/openfga/openfga/pkg/storage/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// model says of reading a project what policies/project.yaml says, with the guardrails that look at the
// asker as a condition.
const model = `model
  schema 1.1
type user
type org
  relations
    define owner: [user]
    define admin: [user] or owner
    define billing: [user] or admin
    define auditor: [user] or admin
    define member: [user] or billing or auditor
    define guest: [user] or member
type team
  relations
    define member: [user]
type project
  relations
    define org: [org]
    define team: [team]
    define owner: [user]
    define public: [org]
    define internal: [org]
    define confidential: [org]
    define guarded: [user:* with guard]
    define within: member from org
    define entitled: guest from public or member from internal or admin from confidential or member from team or owner
    define insider: entitled and within
    define reader: guest from public or insider
    define can_read: reader and guarded
condition guard(audience: string, mfa: int, sensitive: bool) {
  audience == "tenantry-app" && (mfa >= 2 || !sensitive)
}`

// serve is OpenFGA on a socket, until it is ended.
func serve(socket string) error {
	s, err := server.NewServerWithOpts(server.WithDatastore(memory.New()))
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	g := grpc.NewServer()
	openfgav1.RegisterOpenFGAServiceServer(g, s)
	return g.Serve(l)
}

type openFGA struct {
	stub         openfgav1.OpenFGAServiceClient
	store, model string
}

// newOpenFGA starts this program as the server, and tells it the world.
func newOpenFGA(ctx context.Context, w world) (o openFGA, stop func(), err error) {
	dir, err := os.MkdirTemp("", "openfga")
	if err != nil {
		return o, nil, err
	}
	socket := filepath.Join(dir, "s")
	self, err := os.Executable()
	if err != nil {
		return o, nil, err
	}
	cmd := exec.Command(self, "serve", socket)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return o, nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // fails only where it has ended
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return o, stop, err
	}
	o.stub = openfgav1.NewOpenFGAServiceClient(conn)
	return o, stop, o.tell(ctx, w)
}

func (o *openFGA) tell(ctx context.Context, w world) error {
	store, err := o.stub.CreateStore(ctx, &openfgav1.CreateStoreRequest{Name: org}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	parsed, err := transformer.TransformDSLToProto(model)
	if err != nil {
		return err
	}
	written, err := o.stub.WriteAuthorizationModel(ctx, &openfgav1.WriteAuthorizationModelRequest{
		StoreId: store.GetId(), SchemaVersion: parsed.GetSchemaVersion(), TypeDefinitions: parsed.GetTypeDefinitions(), Conditions: parsed.GetConditions(),
	})
	if err != nil {
		return err
	}
	o.store, o.model = store.GetId(), written.GetAuthorizationModelId()
	tuples, err := tuplesOf(w)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(tuples, 100) {
		_, err := o.stub.Write(ctx, &openfgav1.WriteRequest{
			StoreId: o.store, AuthorizationModelId: o.model, Writes: &openfgav1.WriteRequestWrites{TupleKeys: some},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func tuplesOf(w world) ([]*openfgav1.TupleKey, error) {
	var out []*openfgav1.TupleKey
	add := func(object, relation, of string) {
		out = append(out, &openfgav1.TupleKey{Object: object, Relation: relation, User: of})
	}
	for _, u := range w.users {
		add("org:"+org, u.role, "user:"+u.id)
		for _, team := range u.teams {
			add("team:"+team, "member", "user:"+u.id)
		}
	}
	for _, p := range w.projects {
		it := "project:" + p.id
		add(it, "org", "org:"+org)
		add(it, "owner", "user:"+p.owner)
		if p.team != "" {
			add(it, "team", "team:"+p.team)
		}
		if p.sensitivity != "restricted" {
			add(it, p.sensitivity, "org:"+org)
		}
		context, err := structpb.NewStruct(map[string]any{"sensitive": p.pii || p.sensitivity == "restricted"})
		if err != nil {
			return nil, err
		}
		out = append(out, &openfgav1.TupleKey{
			Object: it, Relation: "guarded", User: "user:*", Condition: &openfgav1.RelationshipCondition{Name: "guard", Context: context},
		})
	}
	return out, nil
}

func asking(u user) (*structpb.Struct, error) {
	return structpb.NewStruct(map[string]any{"audience": "tenantry-app", "mfa": u.mfa})
}

func (o openFGA) check(ctx context.Context, u user, p project) (bool, error) {
	given, err := asking(u)
	if err != nil {
		return false, err
	}
	res, err := o.stub.Check(ctx, &openfgav1.CheckRequest{
		StoreId: o.store, AuthorizationModelId: o.model, Context: given,
		TupleKey: &openfgav1.CheckRequestTupleKey{User: "user:" + u.id, Relation: "can_read", Object: "project:" + p.id},
	})
	return res.GetAllowed(), err
}

func (o openFGA) checkMany(ctx context.Context, u user, ps []project) ([]bool, error) {
	given, err := asking(u)
	if err != nil {
		return nil, err
	}
	req := &openfgav1.BatchCheckRequest{StoreId: o.store, AuthorizationModelId: o.model}
	for _, p := range ps {
		req.Checks = append(req.Checks, &openfgav1.BatchCheckItem{
			CorrelationId: p.id, Context: given,
			TupleKey: &openfgav1.CheckRequestTupleKey{User: "user:" + u.id, Relation: "can_read", Object: "project:" + p.id},
		})
	}
	res, err := o.stub.BatchCheck(ctx, req)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(ps))
	for i, p := range ps {
		one := res.GetResult()[p.id]
		if failed := one.GetError(); failed != nil {
			return nil, fmt.Errorf("%s: %s", p.id, failed.GetMessage())
		}
		out[i] = one.GetAllowed()
	}
	return out, nil
}

func (o openFGA) list(ctx context.Context, _ world, u user) (int, error) {
	given, err := asking(u)
	if err != nil {
		return 0, err
	}
	res, err := o.stub.ListObjects(ctx, &openfgav1.ListObjectsRequest{
		StoreId: o.store, AuthorizationModelId: o.model, Context: given, Type: "project", Relation: "can_read", User: "user:" + u.id,
	})
	return len(res.GetObjects()), err
}
