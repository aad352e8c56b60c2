// Shows an OpenAPI document that this server has. The address names document and endpoint, as in
// #app/orgs.CreateProject. Text from a document only ever becomes text.

const byId = (id) => document.getElementById(id);
const audiences = [...byId("audience").options].map((o) => o.value);
const loaded = new Map();
let doc, operations = [];

// el makes an element: el("a", {href: "#x"}, "text", child).
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== ""));
  return node;
}

function resolve(thing) {
  while (thing?.$ref) {
    const { $ref, ...rest } = thing;
    const target = $ref.slice(2).split("/").reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], doc);
    thing = { ...target, ...rest };
  }
  return thing;
}

async function load(audience) {
  if (!loaded.has(audience)) {
    const answer = await fetch(`docs/${audience}.json`);
    if (!answer.ok) throw new Error(`docs/${audience}.json: ${answer.status}`);
    loaded.set(audience, await answer.json());
  }
  doc = loaded.get(audience);
  operations = Object.entries(doc.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, op]) => ({ path, method: method.toUpperCase(), op, id: op.operationId })));
}

// typeOf says in a few words what a schema takes.
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  const types = [].concat(schema.type ?? "any");
  return types.map((t) => {
    if (t === "array") return `list of ${typeOf(schema.items ?? {})}`;
    if (t === "object" && typeof schema.additionalProperties === "object") return `map to ${typeOf(schema.additionalProperties)}`;
    return schema.format && t === "string" ? schema.format : t;
  }).join(" or ");
}

function limitsOf(schema) {
  const out = [];
  const s = resolve(schema);
  const between = (low, high, what) => {
    if (low !== undefined && high !== undefined) out.push(`${low} to ${high}${what}`);
    else if (low !== undefined) out.push(`at least ${low}${what}`);
    else if (high !== undefined) out.push(`at most ${high}${what}`);
  };
  const values = s.enum ?? s.items?.enum ?? s.additionalProperties?.enum;
  if (values) out.push(values.filter((v) => v !== null).join(", "));
  between(s.minimum, s.maximum, "");
  between(s.minLength, s.maxLength, " characters");
  between(s.minItems, s.maxItems, " items");
  if (s.default !== undefined) out.push(`default ${s.default}`);
  if (s.pattern && s.maxLength === undefined) out.push(s.pattern);
  return out.join("; ");
}

function row(name, required, schema, description) {
  const limits = limitsOf(schema);
  return el("tr", {},
    el("td", {}, el("code", {}, name), required ? el("span", { class: "soft" }, " required") : ""),
    el("td", {}, typeOf(schema)),
    el("td", { class: "doc" }, description ?? "", limits && description ? "\n" : "", el("span", { class: "soft" }, limits)));
}

function table(rows) {
  const head = el("tr", {}, ...["Name", "Type", "Meaning"].map((h) => el("th", { scope: "col" }, h)));
  return el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
}

// fields lists the properties of a schema, those of nested objects with their path.
function fields(schema, prefix = "", seen = []) {
  const s = resolve(schema.anyOf ? schema.anyOf[0] : schema);
  if (s.items) return fields(s.items, `${prefix}[]`, seen);
  if (!s.properties || seen.includes(schema.$ref)) return [];
  return Object.entries(s.properties).flatMap(([name, property]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    return [
      row(path, s.required?.includes(name), property, property.description ?? resolve(property).description),
      ...fields(property, path, [...seen, schema.$ref].filter(Boolean)),
    ];
  });
}

function example(schema, depth = 0) {
  const s = resolve(schema.anyOf ? schema.anyOf[0] : schema);
  if (depth > 5) return null;
  if (s.enum) return s.enum[0];
  switch ([].concat(s.type)[0]) {
    case "object": return Object.fromEntries(Object.entries(s.properties ?? {})
      .filter(([name]) => s.required?.includes(name)).map(([name, p]) => [name, example(p, depth + 1)]));
    case "array": return [example(s.items ?? {}, depth + 1)];
    case "integer": case "number": return s.minimum ?? 0;
    case "boolean": return false;
    case "string": return { uuid: "00000000-0000-7000-8000-000000000000", "date-time": "2026-01-01T00:00:00Z", email: "ada@acme.test" }[s.format] ?? "text";
    default: return {};
  }
}

function curl({ path, method, op }, body) {
  const lines = [`curl -X ${method} '${location.origin}${path}'`];
  if (op.security?.length) lines.push("-H \"Authorization: Bearer $TOKEN\"");
  if (body) lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example(body))}'`);
  return lines.join(" \\\n  ");
}

function show(operation) {
  const { path, method, op, id } = operation;
  const parts = [
    el("h2", {}, op.summary ?? id),
    el("p", { class: "path" }, el("span", { class: `method ${method}` }, method), " ", el("code", {}, path)),
    el("p", { class: "soft" }, op.security?.length ? "Needs a bearer token. " : "Open to anyone. ", el("code", {}, id)),
    el("p", { class: "doc" }, op.description ?? ""),
  ];
  const parameters = (op.parameters ?? []).map(resolve);
  if (parameters.length) {
    parts.push(el("h3", {}, "Parameters"), table(parameters.map((p) =>
      row(p.name, p.required, p.schema, [`In the ${p.in}.`, p.description].filter(Boolean).join(" ")))));
  }
  const body = op.requestBody?.content["application/json"]?.schema;
  if (body) parts.push(el("h3", {}, "Body"), table(fields(body)));
  for (const [status, response] of Object.entries(op.responses).filter(([s]) => s < "400")) {
    const schema = resolve(response).content?.["application/json"]?.schema;
    parts.push(el("h3", {}, `Answer ${status}`));
    parts.push(schema ? table(fields(schema)) : el("p", {}, Object.keys(resolve(response).content ?? {}).join(", ") || resolve(response).description));
  }
  const refusals = Object.entries(op.responses).filter(([s]) => s >= "400");
  if (refusals.length) {
    parts.push(el("h3", {}, "Refusals"), el("table", {}, el("tbody", {}, ...refusals.map(([status, response]) =>
      el("tr", {}, el("td", {}, el("code", {}, status)), el("td", {}, resolve(response).description))))));
  }
  parts.push(el("h3", {}, "Try it"), el("pre", {}, curl(operation, body)));
  byId("main").replaceChildren(...parts);
  document.title = `${op.summary ?? id} – Tenantry API`;
}

function overview() {
  byId("main").replaceChildren(
    el("h2", {}, doc.info.title), el("p", { class: "doc" }, doc.info.description ?? ""),
    el("p", {}, `${operations.length} endpoints. Choose one on the left.`));
  document.title = "Tenantry API";
}

function list(audience, current) {
  const wanted = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = operations.filter(({ path, method, op }) => {
    const text = `${method} ${path} ${op.operationId} ${op.description}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  const groups = Map.groupBy ? Map.groupBy(hits, (o) => o.op.tags[0]) : hits.reduce(
    (m, o) => m.set(o.op.tags[0], [...(m.get(o.op.tags[0]) ?? []), o]), new Map());
  byId("nav").replaceChildren(...[...groups].flatMap(([tag, members]) => [
    el("h2", {}, tag),
    el("ul", {}, ...members.map((o) => el("li", {}, el("a",
      { href: `#${audience}/${o.id}`, title: o.path, "aria-current": o.id === current ? "page" : undefined },
      el("span", { class: `method ${o.method}` }, o.method), el("span", {}, o.op.summary ?? o.id))))),
  ]));
}

async function route(moved) {
  const [audience, id] = decodeURIComponent(location.hash.slice(1)).split("/");
  const chosen = audiences.includes(audience) ? audience : "app";
  try {
    await load(chosen);
  } catch (e) {
    byId("main").replaceChildren(el("p", { role: "alert" }, `The document could not be loaded. ${e.message}`));
    return;
  }
  byId("audience").value = chosen;
  byId("download").href = `docs/${chosen}.json`;
  const operation = operations.find((o) => o.id === id);
  list(chosen, id);
  if (operation) show(operation); else overview();
  if (moved) byId("main").focus();
}

byId("audience").addEventListener("change", (e) => { location.hash = e.target.value; });
byId("find").addEventListener("input", () => list(byId("audience").value, location.hash.split("/")[1]));
addEventListener("hashchange", () => route(true));
route(false);
