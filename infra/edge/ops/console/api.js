import { bearer } from "./session.js";

// Refused is an answer that says no, in the API's own words.
export class Refused extends Error {
  constructor(status, body) {
    const reason = body?.details?.reason;
    super(`${body?.message ?? "No answer that can be read."}${reason ? ` (${reason})` : ""}`);
    this.status = status;
    this.reason = reason;
  }
}

// call asks the API as whoever is signed in.
export async function call(method, path, body) {
  const headers = {};
  const token = await bearer();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (method !== "GET") headers["Idempotency-Key"] = crypto.randomUUID();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { message: "The API does not answer." });
  }
  const text = await answer.text();
  let read = null;
  try {
    read = text === "" ? {} : JSON.parse(text);
  } catch {
    // said below
  }
  // /readyz says what is down with a status of its own.
  if (!read || (!answer.ok && !read.parts)) throw new Refused(answer.status, read);
  return read;
}

export const get = (path) => call("GET", path);

// all reads every page of a list, up to a bound that a person can still look at.
export async function all(path, most = 500) {
  const items = [];
  let cursor = "";
  do {
    const separator = path.includes("?") ? "&" : "?";
    const page = await get(`${path}${separator}limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return items;
}
