// The TypeScript client: openapi-fetch over the types that are generated from the OpenAPI documents.
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { paths as Admin } from "./admin.js";
import type { components, paths as App } from "./app.js";
import type { paths as Org } from "./org.js";

export type { Admin, App, Org };

/** What every refusal and failure answers. */
export type Failure = components["schemas"]["Error"];

/** A refusal or failure; reason is the word to switch on. */
export class TenantryError extends Error {
  constructor(readonly status: number, readonly failure: Partial<Failure>) {
    super(failure.message ?? `status ${status}`);
  }
  get reason(): string | undefined {
    return this.failure.details?.reason;
  }
}

export interface Options {
  /** Such as https://api.example.com. */
  baseUrl: string;
  /** An access token, or how to get one: it is asked for before every call. */
  token: string | (() => string | Promise<string>);
  fetch?: typeof globalThis.fetch;
}

const tries = 4;

// patient repeats what was refused for being too many or too early. A write has a key, so that the
// repeat is the same write.
async function patient(request: Request, fetch: typeof globalThis.fetch): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(request.clone());
    if ((response.status !== 429 && response.status !== 503) || attempt === tries) return response;
    const seconds = Number(response.headers.get("Retry-After")) || 0.1 * 2 ** attempt;
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, 60)));
    request.signal.throwIfAborted();
  }
}

function make<Paths extends {}>({ baseUrl, token, fetch = globalThis.fetch }: Options): Client<Paths> {
  const client = createClient<Paths>({ baseUrl, fetch: (request) => patient(request, fetch) });
  const bearer: Middleware = {
    async onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      if (request.method !== "GET" && !request.headers.has("Idempotency-Key")) {
        request.headers.set("Idempotency-Key", crypto.randomUUID());
      }
    },
    async onResponse({ response }) {
      if (response.ok) return;
      throw new TenantryError(response.status, await response.json().catch(() => ({})));
    },
  };
  client.use(bearer);
  return client;
}

/** For members. */
export const app = (options: Options): Client<App> => make<App>(options);
/** For an organisation's administrators. */
export const org = (options: Options): Client<Org> => make<Org>(options);
/** For platform staff. */
export const admin = (options: Options): Client<Admin> => make<Admin>(options);

/** The answer of a call that has one: `const me = await data(api.GET("/api/v1/me"))`. */
export async function data<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

/** Every item of a list, page after page. */
export async function* pages<T>(fetch: (cursor: string | undefined) => Promise<{ items: T[]; next_cursor: string }>): AsyncGenerator<T> {
  for (let cursor: string | undefined; ;) {
    const page = await fetch(cursor);
    yield* page.items;
    if (!page.next_cursor) return;
    cursor = page.next_cursor;
  }
}
