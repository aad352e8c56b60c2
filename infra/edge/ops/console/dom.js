// Elements are made of text, never of markup: nothing that an answer holds is ever read as HTML.

// el makes an element. Properties that begin with on are listeners, the rest are attributes.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false).map((child) =>
    child instanceof Node ? child : String(child)));
  return node;
}

// table shows rows; a column is {name, of, number?}, where of gives a cell's content.
export function table(caption, columns, rows, empty = "Nothing.") {
  if (rows.length === 0) return el("p", { class: "soft" }, caption, ": ", empty);
  const cell = (tag, column, content) => el(tag, { class: column.number && "number", scope: tag === "th" && "col" }, content);
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    el("table", {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, columns.map((c) => cell("th", c, c.name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, columns.map((c) => cell("td", c, c.of(row))))))));
}

// state shows a word for how something is, in its colour.
export function state(word) {
  const kinds = {
    good: ["ready", "active", "synced", "manual", "on", "ok"],
    bad: ["unavailable", "failed", "off"],
  };
  const kind = Object.keys(kinds).find((k) => kinds[k].includes(word)) ?? "weak";
  return el("span", { class: `state ${kind}` }, word);
}

export function button(text, onclick, properties = {}) {
  return el("button", { type: "button", ...properties, onclick: async (event) => {
    const pressed = event.currentTarget;
    pressed.disabled = true;
    try {
      await onclick();
    } catch (error) {
      note(error.message, "bad");
    } finally {
      pressed.disabled = false;
    }
  } }, text);
}

// note tells what came of something, to those who look and to those who listen.
export function note(text, kind = "good") {
  const line = el("p", { class: kind }, text);
  document.getElementById("notes").append(line);
  setTimeout(() => line.remove(), 15000);
}

// confirm asks before something that cannot be taken back.
export function confirm(question, yes) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-label": question },
      el("p", {}, question),
      el("div", { class: "actions" },
        el("button", { type: "button", class: "grave", onclick: () => dialog.close("yes") }, yes),
        el("button", { type: "button", autofocus: true, onclick: () => dialog.close("no") }, "Leave it")));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function moment(text) {
  if (!text) return "never";
  const at = new Date(text);
  return el("time", { datetime: text, title: text }, at.toISOString().slice(0, 19).replace("T", " "));
}

export function seconds(n) {
  if (n < 60) return `${n.toFixed(n < 10 ? 1 : 0)} s`;
  if (n < 7200) return `${Math.round(n / 60)} min`;
  return `${Math.round(n / 3600)} h`;
}
