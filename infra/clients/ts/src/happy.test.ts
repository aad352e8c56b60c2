// What a first integration does, against the app at BASE_URL whose people sign in at ISSUER.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { app, data, org, pages, TenantryError } from "./client.js";

const baseUrl = env("BASE_URL"), issuer = env("ISSUER");
const org_id = "00000000-0000-7000-8000-0000000000ac";

function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

async function token(username: string, client_id: string): Promise<string> {
  const answer = await fetch(`${issuer}/protocol/openid-connect/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "password", client_id, username, password: "demo" }),
  });
  const { access_token } = await answer.json() as { access_token?: string };
  assert.ok(access_token, `sign-in of ${username}: ${answer.status}`);
  return access_token;
}

const member = async () => app({ baseUrl, token: await token("ada@acme.test", "app") });
const owner = async () => org({ baseUrl, token: await token("ada@acme.test", "org-console") });

function refusedWith(reason: string) {
  return (e: unknown) => e instanceof TenantryError && e.reason === reason;
}

test("a project's life", async () => {
  const api = await member();
  const me = await data(api.GET("/api/v1/me"));
  assert.equal(me.user.email, "ada@acme.test");
  assert.ok(me.memberships.some((m) => m.org_id === org_id));

  const body = { title: "From the TypeScript client", sensitivity: "internal", pii: false } as const;
  const keyed = { path: { org_id }, header: { "Idempotency-Key": randomUUID() } };
  const made = await data(api.POST("/api/v1/app/orgs/{org_id}/projects", { params: keyed, body }));
  const again = await api.POST("/api/v1/app/orgs/{org_id}/projects", { params: keyed, body });
  assert.equal(again.data?.id, made.id);
  assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");

  const path = { org_id, id: made.id };
  const read = await api.GET("/api/v1/app/orgs/{org_id}/projects/{id}", { params: { path } });
  const seen = { path, header: { "If-Match": read.response.headers.get("ETag") ?? "" } };
  const change = { title: "Renamed", team_id: null };
  const updated = await data(api.PATCH("/api/v1/app/orgs/{org_id}/projects/{id}", { params: seen, body: change }));
  assert.equal(updated.title, "Renamed");
  await assert.rejects(api.PATCH("/api/v1/app/orgs/{org_id}/projects/{id}", { params: seen, body: change }), refusedWith("version_conflict"));

  const titles = new Map<string, string>();
  for await (const p of pages((cursor) => data(api.GET("/api/v1/app/orgs/{org_id}/projects", { params: { path: { org_id }, query: { limit: 20, cursor } } })))) {
    titles.set(p.id, p.title);
  }
  assert.equal(titles.get(made.id), "Renamed");

  await proven(made.id);
  await api.DELETE("/api/v1/app/orgs/{org_id}/projects/{id}", { params: { path } });
  await assert.rejects(api.GET("/api/v1/app/orgs/{org_id}/projects/{id}", { params: { path } }), refusedWith("not_found"));
});

// Waits until the audit log has the project's creation, and asks for the proof.
async function proven(resource: string) {
  const api = await owner();
  for (const give = AbortSignal.timeout(30_000); ; give.throwIfAborted()) {
    const { items: [event] } = await data(api.GET("/api/v1/org/{org_id}/audit/events", { params: { path: { org_id }, query: { resource, action: "create" } } }));
    if (!event) {
      await pause(100);
      continue;
    }
    const proof = await data(api.GET("/api/v1/org/{org_id}/audit/events/{event_id}/proof", { params: { path: { org_id, event_id: event.id } } }));
    assert.equal(proof.leaf_hash, event.leaf_hash);
    assert.equal(proof.leaf_index, event.seq - 1);
    return;
  }
}

test("administration", async () => {
  const api = await owner();
  const team = await data(api.POST("/api/v1/org/{org_id}/teams", { params: { path: { org_id } }, body: { name: `TypeScript client ${randomUUID()}` } }));
  const members = await data(api.GET("/api/v1/org/{org_id}/members", { params: { path: { org_id }, query: { limit: 200 } } }));
  const bob = members.items.find((m) => m.email === "bob@acme.test");
  assert.ok(bob);
  const seat = { path: { org_id, team_id: team.id, user_id: bob.user_id } };
  await api.PUT("/api/v1/org/{org_id}/teams/{team_id}/members/{user_id}", { params: seat, body: { team_roles: ["member"] } });
  await api.DELETE("/api/v1/org/{org_id}/teams/{team_id}/members/{user_id}", { params: seat });
  await api.DELETE("/api/v1/org/{org_id}/teams/{team_id}", { params: { path: { org_id, team_id: team.id } } });

  const invitation = await data(api.POST("/api/v1/org/{org_id}/invitations", { params: { path: { org_id } }, body: { email: "ts-client@happy.test", org_roles: ["member"] } }));
  assert.equal(invitation.status, "pending");
  await api.DELETE("/api/v1/org/{org_id}/invitations/{id}", { params: { path: { org_id, id: invitation.id } } });

  const setting = { path: { org_id, key: "branding.primary_color" } };
  await api.PUT("/api/v1/org/{org_id}/settings/{key}", { params: setting, body: { value: "#123456" } });
  const effective = await data((await member()).GET("/api/v1/app/orgs/{org_id}/settings/{key}", { params: setting }));
  assert.equal(effective.value, "#123456");
  await api.DELETE("/api/v1/org/{org_id}/settings/{key}", { params: setting });

  const licence = await data(api.GET("/api/v1/org/{org_id}/license", { params: { path: { org_id } } }));
  assert.equal(licence.tier, "enterprise");

  const checks = await data(api.POST("/api/v1/authz/check", {
    body: { checks: [{ resource: { kind: "team", org_id }, actions: ["create"] }, { resource: { kind: "queue" }, actions: ["queue:purge"] }] },
  }));
  assert.deepEqual(checks.results.map((r) => Object.values(r.actions)[0]), ["allow", "deny"]);
});
