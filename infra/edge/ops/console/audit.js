import { el, table, button, moment } from "./dom.js";
import { get, all } from "./api.js";
import { known, open, included, continues } from "./ledger.js";

const events = "/api/v1/admin/audit";
const platform = "00000000-0000-0000-0000-000000000000";

// audit shows one log and verifies what it commits itself to.
export async function audit([org = platform]) {
  const orgs = await all("/api/v1/admin/orgs");
  const choice = el("select", { id: "log", onchange: (e) => { location.hash = `audit/${e.target.value}`; } },
    el("option", { value: platform }, "the platform's own"),
    orgs.map((o) => el("option", { value: o.id, selected: o.id === org }, `${o.slug} (${o.name})`)));
  const query = org === platform ? "" : `org_id=${org}`;
  const page = await get(`${events}/events?limit=20&${query}`);
  const log = page.items.filter((e) => org !== platform || e.org_id === platform);
  const found = el("ul", { class: "found", id: "found", "aria-live": "polite" });
  return [
    el("form", {}, el("label", {}, "Log", choice)),
    el("div", { class: "actions" }, button("Verify the checkpoint", () => verify(org, query, found))),
    found,
    table("Latest events", [
      { name: "Number", number: true, of: (e) => e.seq || "" },
      { name: "When", of: (e) => moment(e.occurred_at) },
      { name: "Who", of: (e) => el("code", {}, `${e.actor.type} ${e.actor.id}`) },
      { name: "What", of: (e) => `${e.resource.kind} ${e.action}` },
      { name: "On", of: (e) => el("code", {}, e.resource.id) },
      { name: "Outcome", of: (e) => e.outcome },
      { name: "Decision", of: (e) => e.decision_id && el("a", { href: `#policies/${encodeURIComponent(e.decision_id)}` }, e.decision_id) },
    ], log),
  ];
}

// verify checks the signature, that the log continues what this browser saw of it before, and that its
// newest event is in it.
async function verify(org, query, found) {
  found.replaceChildren();
  const say = (ok, text) => found.append(el("li", { class: ok ? "good" : "bad" }, `${ok ? "Holds" : "Does not hold"}: ${text}`));
  const { keys } = await get("/.well-known/tenantry-audit-keys");
  const trusted = known(keys.map((k) => k.vkey));
  const mine = async (text) => {
    const c = await open(text, trusted);
    if (c.origin !== `tenantry/audit/${org}`) throw new Error(`a checkpoint of ${c.origin} is none of this log`);
    return c;
  };
  const now = await mine((await get(`${events}/checkpoint?${query}`)).checkpoint);
  say(true, `the checkpoint of ${now.size} entries is signed, and of this log`);
  let proven = now; // what this browser will hold the log against

  const place = `checkpoint ${org}`;
  const before = localStorage.getItem(place);
  if (before) {
    const then = await open(before, trusted);
    if (then.size > now.size) {
      say(false, `this browser saw ${then.size} entries before, and there are ${now.size} now`);
      return;
    }
    const proof = then.size === 0 ? { hashes: [], checkpoint: now.note } : await get(`${events}/consistency?from=${then.size}&${query}`);
    proven = await mine(proof.checkpoint);
    say(await continues(then, proven, proof.hashes), `the log continues the ${then.size} entries that this browser saw before`);
  } else {
    found.append(el("li", { class: "soft" }, "This browser has not seen the log before; the next verification holds it against this one."));
  }
  const newest = (await get(`${events}/events?limit=20&${query}`)).items.find((e) => e.seq && e.org_id === org);
  if (newest) {
    const proof = await get(`${events}/events/${newest.id}/proof`);
    const tree = await mine(proof.checkpoint);
    const ok = proof.leaf_hash === newest.leaf_hash && await included(proof.leaf_hash, proof.leaf_index, tree.size, proof.hashes, tree.root);
    say(ok, `event ${newest.seq} is in the log`);
  }
  if (!found.querySelector(".bad")) localStorage.setItem(place, proven.note); // what failed must not be forgotten
}
