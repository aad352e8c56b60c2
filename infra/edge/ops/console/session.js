// Signs in through the issuer: authorization code with PKCE (RFC 7636), second factor asked for. Tokens
// live in this page's memory alone; a reload signs in again, which the issuer's own session makes quick.
import { config } from "./config.js";

const kept = "tenantry-signing-in"; // what has to outlive the way to the issuer and back
let tokens = null;

const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => encode(crypto.getRandomValues(new Uint8Array(32)));
const here = () => `${location.origin}/ops/callback`;

async function issuer() {
  const { issuer } = await config();
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
  if (!answer.ok) throw new Error("The issuer does not answer.");
  return answer.json();
}

export const signedIn = () => tokens !== null;

export async function signIn() {
  const [{ client }, endpoints] = await Promise.all([config(), issuer()]);
  const verifier = random();
  const attempt = { verifier, state: random(), nonce: random(), page: location.hash };
  sessionStorage.setItem(kept, JSON.stringify(attempt));
  const challenge = encode(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  location.assign(`${endpoints.authorization_endpoint}?${new URLSearchParams({
    client_id: client, redirect_uri: here(), response_type: "code", scope: "openid profile email",
    state: attempt.state, nonce: attempt.nonce, code_challenge: challenge, code_challenge_method: "S256", acr_values: "2",
  })}`);
}

// finish takes the code that the issuer sent along, if it is the answer to this page's own question.
export async function finish() {
  if (location.pathname !== "/ops/callback") return;
  const answer = new URLSearchParams(location.search);
  const attempt = JSON.parse(sessionStorage.getItem(kept) ?? "null");
  sessionStorage.removeItem(kept);
  history.replaceState(null, "", `/ops${attempt?.page ?? ""}`);
  if (answer.has("error")) throw new Error(`The issuer refused: ${answer.get("error_description") ?? answer.get("error")}`);
  if (!answer.has("code")) return; // signed out
  if (!attempt || answer.get("state") !== attempt.state) throw new Error("That answer is to no question of this page. Sign in again.");
  await exchange({ grant_type: "authorization_code", code: answer.get("code"), redirect_uri: here(), code_verifier: attempt.verifier });
  if (claims(tokens.id_token).nonce !== attempt.nonce) {
    tokens = null;
    throw new Error("That token is for another sign-in. Sign in again.");
  }
}

async function exchange(form) {
  const [{ client }, endpoints] = await Promise.all([config(), issuer()]);
  const answer = await fetch(endpoints.token_endpoint, { method: "POST", body: new URLSearchParams({ client_id: client, ...form }) });
  const body = await answer.json();
  if (!answer.ok) {
    tokens = null;
    throw new Error("The session has ended. Sign in again.");
  }
  tokens = { ...body, until: Date.now() + (body.expires_in - 20) * 1000 };
}

let refreshing = null; // a refresh token is good once

// bearer is a token that is good for a while.
export async function bearer() {
  if (!tokens) return null;
  if (Date.now() > tokens.until) {
    refreshing ??= exchange({ grant_type: "refresh_token", refresh_token: tokens.refresh_token }).finally(() => { refreshing = null; });
    await refreshing;
  }
  return tokens.access_token;
}

// signOut ends the issuer's session, too.
export async function signOut() {
  const endpoints = await issuer();
  const hint = tokens?.id_token;
  tokens = null;
  location.assign(`${endpoints.end_session_endpoint}?${new URLSearchParams({ id_token_hint: hint, post_logout_redirect_uri: here() })}`);
}

function claims(token) {
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0))));
}
