// The token of a server that lets in only who has it: it comes with a link, or whoever sits here is asked for it.
//
// The server gives it to this browser as a cookie that no script can read: by that everything that the page asks is
// let in, its WebSockets too. This tab remembers the token itself, for the link that it shows to others (places.js),
// and for a browser that has lost the cookie.
//
// It is not: who somebody is (people.js).

import { element, storage } from "./dom.js";
import * as panels from "./panels.js";

/** Where this tab keeps it, and where the server takes it. */
const TOKEN = "wsroom.token";
const ADDRESS = "token";
const store = storage("sessionStorage");

/** As the server takes them. */
const GRAMMAR = /^[A-Za-z0-9._~-]{16,128}$/;

/** Empty: this tab knows none. */
let token = store?.getItem(TOKEN) ?? "";

/** The question that is open. @type {Promise<void> | null} */
let question = null;

/** What a link to this page needs behind its path. */
export function inLink() {
  return token && `?token=${token}`;
}

/** From the link in the address bar, where others would read it. */
export async function take() {
  const address = new URL(location.href);
  const given = address.searchParams.get("token") ?? "";
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
  remember(given);
  await settle("");
}

/** Resolves when the server lets this browser in. @param {string} why  it has not */
export function settle(why) {
  question ??= open(why).finally(() => (question = null));
  return question;
}

/** @param {string} why */
async function open(why) {
  const refused = token && (await offer(token));
  if (token && !refused) return;
  await panels.token();
  const dialog = element("token-dialog", HTMLDialogElement);
  const field = element("token", HTMLInputElement);
  const trouble = element("token-trouble", HTMLParagraphElement);
  field.value = token;
  trouble.textContent = refused || why;
  dialog.showModal();
  const asking = new AbortController();
  const { signal } = asking;
  await new Promise((resolve) => {
    element("token-form", HTMLFormElement).addEventListener("submit", async (event) => {
      event.preventDefault();
      trouble.textContent = "";
      trouble.textContent = await offer(tokenIn(field.value));
      if (!trouble.textContent) resolve(null);
    }, { signal });
    // There is nothing to do here without one.
    dialog.addEventListener("close", () => dialog.showModal(), { signal });
  });
  asking.abort();
  dialog.close();
}

/** Somebody may bring the whole link. @param {string} text */
function tokenIn(text) {
  return /[?&]token=([^&#]*)/.exec(text)?.[1] ?? text.trim();
}

/** Shows a token to the server. @param {string} wish @returns {Promise<string>} why it is not taken; empty if it is */
async function offer(wish) {
  if (!GRAMMAR.test(wish)) {
    forget(wish);
    return "A token is 16 to 128 of the letters A to Z, digits, and . _ ~ -";
  }
  const answer = await asked({ method: "POST", headers: { Authorization: `Bearer ${wish}` } });
  if (!answer) return "The server cannot be reached.";
  if (!answer.ok) {
    if (answer.status === 401) forget(wish);
    return (await answer.json().catch(() => null))?.detail ?? `The server answers ${answer.status}.`;
  }
  remember(wish);
  const again = await asked({});
  return again?.status === 401 ? "This browser keeps no cookies for this page, and only by one can it be let in." : "";
}

/** @param {RequestInit} how */
function asked(how) {
  return fetch(ADDRESS, { cache: "no-store", signal: AbortSignal.timeout(30_000), ...how }).catch(() => null);
}

/** @param {string} wish */
function remember(wish) {
  token = wish;
  store?.setItem(TOKEN, wish);
}

/** @param {string} wish */
function forget(wish) {
  if (wish === token) remember("");
}
