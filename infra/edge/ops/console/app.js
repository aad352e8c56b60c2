import { el, button, note } from "./dom.js";
import { get } from "./api.js";
import { finish, signIn, signOut, signedIn } from "./session.js";
import { overview } from "./overview.js";
import { queues } from "./queues.js";
import { audit } from "./audit.js";
import { policies } from "./policies.js";
import { licences } from "./licences.js";
import { tenants } from "./tenants.js";

// A page gives its content for what follows its name in the address.
const pages = [
  { name: "overview", title: "Overview", show: overview, open: true },
  { name: "queues", title: "Queues", show: queues },
  { name: "audit", title: "Audit", show: audit },
  { name: "policies", title: "Policies", show: policies },
  { name: "licences", title: "Licences", show: licences },
  { name: "tenants", title: "Tenants", show: tenants },
];

const main = document.getElementById("main");
let shown = 0;

async function show() {
  const [name, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const page = pages.find((p) => p.name === name) ?? pages[0];
  const mine = ++shown;
  document.title = `${page.title} – Tenantry operations`;
  document.getElementById("nav").replaceChildren(el("ul", {}, pages.map((p) =>
    el("li", {}, el("a", { href: `#${p.name}`, "aria-current": p === page && "page" }, p.title)))));
  let content;
  if (!signedIn() && !page.open) {
    content = [el("p", {}, "This page is for platform staff."), button("Sign in", signIn)];
  } else {
    main.setAttribute("aria-busy", "true");
    try {
      content = await page.show(rest);
    } catch (error) {
      content = [el("p", { class: "bad", role: "alert" }, error.message)];
    }
  }
  if (mine !== shown) return; // another page was asked for in the meantime
  main.removeAttribute("aria-busy");
  main.replaceChildren(el("h2", {}, page.title), ...[content].flat());
  if (shown === 1) return;
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function who() {
  const place = document.getElementById("who");
  if (!signedIn()) {
    place.replaceChildren(button("Sign in", signIn));
    return;
  }
  const me = await get("/api/v1/me");
  const roles = me.realm_roles.filter((role) => role.startsWith("platform_"));
  place.replaceChildren(`${me.user.email}, ${roles.join(", ") || "no platform role"}, level ${me.mfa_level} `, button("Sign out", signOut));
}

addEventListener("hashchange", show);
addEventListener("refresh", show);
try {
  await finish();
  await who();
} catch (error) {
  note(error.message, "bad");
  await who();
}
await show();
