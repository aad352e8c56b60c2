import { el, table, button, note, state, moment, seconds } from "./dom.js";
import { get, all, call } from "./api.js";

// licences shows how far licences are in step with Stripe.
export async function licences() {
  const first = await get("/api/v1/admin/billing/sync?limit=1");
  if (!first.configured) return el("p", {}, "No Stripe is configured. Licences are granted by hand.");
  const [customers, runs] = await Promise.all([all("/api/v1/admin/billing/sync"), get("/api/v1/admin/billing/reconciliations?limit=10")]);
  return [
    table("Customers", [
      { name: "Organisation", of: (c) => el("code", {}, c.org_id) },
      { name: "Customer", of: (c) => el("code", {}, c.customer_id) },
      { name: "State", of: (c) => [state(c.status), c.error && el("div", { class: "soft" }, c.error)] },
      { name: "Behind", number: true, of: (c) => seconds(c.lag_seconds) },
      { name: "Synchronised", of: (c) => moment(c.synced_at) },
      { name: "Action", of: (c) => button("Look again", async () => {
        await call("POST", `/api/v1/admin/orgs/${c.org_id}/billing/resync`);
        note("Stripe is asked again.");
        dispatchEvent(new Event("refresh"));
      }, { "aria-label": `Look again at ${c.customer_id}` }) },
    ], customers, "no organisation is a customer yet."),
    el("h3", {}, "Nightly comparisons"),
    table("With everything that Stripe has", [
      { name: "Began", of: (r) => moment(r.started_at) },
      { name: "Ended", of: (r) => moment(r.finished_at) },
      { name: "Customers", number: true, of: (r) => r.customers },
      { name: "Differed", number: true, of: (r) => r.drifted },
      { name: "Not checked", number: true, of: (r) => r.unchecked },
    ], runs.items, "none has run yet."),
  ];
}
