import { el, table, state, seconds } from "./dom.js";
import { get } from "./api.js";
import { signedIn } from "./session.js";

// overview shows whether the parts answer, to anyone, and how this process does, to staff.
export async function overview() {
  const ready = await get("/readyz");
  const parts = Object.entries(ready.parts).sort();
  const content = [
    el("p", {}, "The app is ", state(ready.status), "."),
    table("Parts", [
      { name: "Part", of: ([name]) => name },
      { name: "State", of: ([, part]) => state(part.status) },
      { name: "Needed", of: ([, part]) => (part.required ? "always" : "can be missed") },
      { name: "Answers in", number: true, of: ([, part]) => (part.latency_ms ? `${part.latency_ms.toFixed(1)} ms` : "") },
      { name: "Detail", of: ([, part]) => part.detail ?? "" },
    ], parts),
  ];
  if (!signedIn()) return [...content, el("p", { class: "soft" }, "Sign in to see what the process that answered has measured.")];
  const measured = await get("/api/v1/admin/overview");
  const { audit, outbox, decisions } = measured;
  return [
    ...content,
    el("h3", {}, "Lag"),
    table("Work that is behind", [
      { name: "What", of: (row) => row[0] },
      { name: "Waiting", number: true, of: (row) => row[1] },
      { name: "Oldest", number: true, of: (row) => row[2] },
    ], [
      ["Outbox", outbox.dead === 0 ? "" : `${outbox.dead} dead`, seconds(outbox.oldest_seconds)],
      ["Events without a number in their log", audit.unnumbered, seconds(audit.unnumbered_oldest_seconds)],
      ["Logs that contradict their checkpoints", audit.tampered_logs, ""],
    ]),
    el("h3", {}, "Requests"),
    table(`Since this process started (revision ${measured.revision || "unknown"})`, [
      { name: "Route", of: (r) => el("code", {}, r.route) },
      { name: "Answered", number: true, of: (r) => r.count },
      { name: "Refused", number: true, of: (r) => r.refused },
      { name: "Failed", number: true, of: (r) => (r.failed ? el("span", { class: "bad" }, r.failed) : 0) },
      { name: "Half within", number: true, of: (r) => `${r.p50_ms} ms` },
      { name: "99 % within", number: true, of: (r) => `${r.p99_ms} ms` },
    ], measured.requests),
    el("h3", {}, "Decisions"),
    table("Where decisions came from", [
      { name: "From", of: (d) => d.source },
      { name: "How many", number: true, of: (d) => d.count },
    ], decisions),
  ];
}
