import { el, table, button, confirm, note, state, moment } from "./dom.js";
import { all, call } from "./api.js";

// tenants lists the organisations, and suspends and reactivates them.
export async function tenants() {
  const orgs = await all("/api/v1/admin/orgs");
  const change = async (org, action, question, done) => {
    if (!await confirm(question, action === "suspend" ? "Suspend" : "Reactivate")) return;
    await call("POST", `/api/v1/admin/orgs/${org.id}/${action}`);
    note(done);
    dispatchEvent(new Event("refresh"));
  };
  return table("Organisations", [
    { name: "Slug", of: (o) => o.slug },
    { name: "Name", of: (o) => o.name },
    { name: "State", of: (o) => state(o.status) },
    { name: "Tier", of: (o) => o.license_tier },
    { name: "Since", of: (o) => moment(o.created_at) },
    { name: "Log", of: (o) => el("a", { href: `#audit/${o.id}`, "aria-label": `Audit log of ${o.slug}` }, "Audit log") },
    { name: "Action", of: (o) => (o.status === "suspended"
      ? button("Reactivate", () => change(o, "reactivate", `Let ${o.slug} write again?`, `${o.slug} is active.`), { "aria-label": `Reactivate ${o.slug}` })
      : button("Suspend", () => change(o, "suspend", `Make ${o.slug} read-only for everyone in it?`, `${o.slug} is suspended.`), { class: "grave", "aria-label": `Suspend ${o.slug}` })) },
  ], orgs);
}
