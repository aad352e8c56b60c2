import { el, table, button, confirm, note, state, moment } from "./dom.js";
import { get, call } from "./api.js";

// policies shows what decides, and why it decided as it did.
export async function policies([decision = ""]) {
  const bundle = await get("/api/v1/admin/policies");
  const input = el("input", { id: "decision", value: decision, size: "40", autocomplete: "off", required: true });
  const explain = el("form", { onsubmit: (e) => { e.preventDefault(); location.hash = `policies/${encodeURIComponent(input.value.trim())}`; } },
    el("label", {}, "Decision id, from an error or an event", input), el("button", {}, "Explain"));
  return [
    el("p", {}, "The decision point is ", state(bundle.pdp.healthy ? "ready" : "unavailable"), bundle.pdp.healthy && `, version ${bundle.pdp.version}`, bundle.pdp.detail && `: ${bundle.pdp.detail}`),
    table("Policies in force", [
      { name: "Field", of: ([name]) => name },
      { name: "Value", of: ([, value]) => value },
    ], [
      ["Version", bundle.version],
      ["Digest", el("code", {}, bundle.digest)],
      ["Digest of this build", el("code", {}, bundle.build_digest)],
      ["Policies", bundle.policies.join(", ")],
    ]),
    el("h3", {}, "Cached decisions"),
    el("p", {}, "Roles, tiers and policies that change make decisions unreachable by themselves. This is for when something else is wrong."),
    el("div", { class: "actions" }, button("Forget every cached decision", async () => {
      if (!await confirm("Forget every cached decision, on every replica? The decision point is asked for all of them anew.", "Forget")) return;
      await call("POST", "/api/v1/admin/authz/cache/invalidate", { all: true });
      note("Every cached decision is forgotten.");
    })),
    el("h3", {}, "Why was it decided so?"),
    explain,
    ...(decision ? await explained(decision) : []),
  ];
}

async function explained(id) {
  const { items } = await get(`/api/v1/admin/decisions/${encodeURIComponent(id)}`);
  return items.map((i) => table(`${i.resource.kind} ${i.action}: ${i.effect}`, [
    { name: "Field", of: ([name]) => name },
    { name: "Value", of: ([, value]) => value },
  ], [
    ["Decided", moment(i.decided_at)],
    ["Reasons", (i.reasons ?? []).join(", ") || "none"],
    ["Policy", el("code", {}, i.policy)],
    ["Rules", (i.rules ?? []).join(", ")],
    ["Digest", el("code", {}, i.digest)],
    ["Principal", el("pre", {}, JSON.stringify(i.principal, null, 1))],
    ["Resource", el("pre", {}, JSON.stringify(i.resource, null, 1))],
  ]));
}
