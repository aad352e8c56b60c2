import { el, table, button, confirm, note, moment, seconds } from "./dom.js";
import { get, all, call } from "./api.js";

const again = () => dispatchEvent(new Event("refresh"));

// queues lists the queues, or the dead letters of the one that the address names.
export async function queues([name]) {
  if (name) return dead(name);
  const { items } = await get("/api/v1/admin/queues");
  return table("Background work", [
    { name: "Queue", of: (q) => el("a", { href: `#queues/${encodeURIComponent(q.name)}` }, q.name) },
    { name: "Kind", of: (q) => q.kind },
    { name: "Waiting", number: true, of: (q) => q.depth },
    { name: "Oldest", number: true, of: (q) => (q.depth ? seconds(q.age_seconds) : "") },
    { name: "Consumers", number: true, of: (q) => q.consumers },
    { name: "Dead", number: true, of: (q) => (q.dead ? el("span", { class: "bad" }, q.dead) : 0) },
  ], items);
}

async function dead(name) {
  const path = `/api/v1/admin/queues/${encodeURIComponent(name)}/dead`;
  const letters = await all(path);
  const requeue = async (what, query = "") => {
    const { count } = await call("POST", `${path}/requeue${query}`);
    note(`${what}: ${count} sent again.`);
    again();
  };
  const purge = async () => {
    if (!await confirm(`Throw away every dead letter of ${name}? Their work will never be done.`, "Throw away")) return;
    const { count } = await call("DELETE", path);
    note(`${count} thrown away.`);
    again();
  };
  return [
    el("p", {}, el("a", { href: "#queues" }, "All queues")),
    el("h3", {}, `Dead letters of ${name}`),
    letters.length > 0 && el("div", { class: "actions" },
      button("Requeue all", () => requeue(name)),
      button("Throw all away", purge, { class: "grave" })),
    table("What was given up", [
      { name: "Letter", of: (l) => el("code", {}, l.id) },
      { name: "Why", of: (l) => [l.reason, l.error && el("div", { class: "soft" }, l.error)] },
      { name: "Attempts", number: true, of: (l) => l.attempts },
      { name: "Last", of: (l) => moment(l.last_failed_at) },
      { name: "Body, without what is personal", of: (l) => el("pre", {}, JSON.stringify(l.body, null, 1)) },
      { name: "Action", of: (l) => button("Requeue", () => requeue(l.id, `?ids=${l.id}`), { "aria-label": `Requeue ${l.id}` }) },
    ], letters),
  ].filter(Boolean);
}
