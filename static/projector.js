// The projector: the conversation in large letters beside a code to join by phone, or the code alone.
//
// It shows no copy of the conversation: while it is open it has the page's own log, and what stands above that.
//
// It is not: the code itself, which the server draws (GET /invitation).

import { ask, element, make } from "./dom.js";
import * as log from "./log.js";
import { keyOf, keys } from "./room.js";
import { rules } from "./rules.js";
import { inLink } from "./token.js";

const projector = element("projector", HTMLDialogElement);
const stage = element("stage", HTMLDivElement);
const code = element("code", HTMLImageElement);
const address = element("address", HTMLParagraphElement);
const view = element("projector-view", HTMLButtonElement);
const copy = element("copy-link", HTMLButtonElement);

/** @param {string} room */
export async function project(room) {
  /** @type {{ needed: boolean }} */
  const { needed } = await ask("token");
  const query = needed ? inLink() : "";
  const key = (rules.has_key && keys[keyOf(room)]) || "";
  const page = `${location.origin}${location.pathname}${query}`;
  /** @type {{ url: string, also: string[], svg: string }} */
  const { url, also, svg } = await ask(`invitation?page=${page}&room=${room}${key && `&key=${key}`}`);
  note("token-note", needed ? noteOf("server's token", query) : "");
  note("key-note", rules.has_key ? noteOf("key of the room", key) : "");
  note("reach-note", reachOf(url));
  code.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  code.alt = `QR code of ${url}`;
  const [start = "", end = ""] = url.split(/(?=#)/);
  address.replaceChildren(start, make("wbr"), end); // if it needs two lines, the room has its own
  element("addresses", HTMLUListElement).replaceChildren(...also.map((other) => make("li", "", other)));
  element("projected-room", HTMLHeadingElement).textContent = `#${room}`;
  element("projected-count", HTMLParagraphElement).textContent = element("people-button", HTMLButtonElement).textContent;
  copy.textContent = "Copy link";
  lend();
  projector.showModal();
}

// ---- the address

/** @param {string} id @param {string} sentence */
function note(id, sentence) {
  element(id, HTMLParagraphElement).textContent = sentence;
}

/** @param {string} what  is needed @param {string} secret  that the link has; empty: it has none */
function noteOf(what, secret) {
  return secret ? `The ${what} is in this link: whoever sees it can come in.` : `Whoever opens this link is asked for the ${what}.`;
}

/** Whether others can come by this address. @param {string} url */
function reachOf(url) {
  if (isLocal(url)) {
    return "This address works on this computer alone. Start the server with --listen 0.0.0.0:8080, so that others can come.";
  }
  return isLocal(location.href) ? `${location.host} works on this computer alone. This address is the one for others.` : "";
}

/** Each computer takes such an address for its own. @param {string} url */
function isLocal(url) {
  return /^(localhost|127\..*|\[::1\])$/.test(new URL(url).hostname);
}

copy.addEventListener("click", () => {
  // navigator.clipboard is missing on a page that came over plain http from another machine.
  getSelection()?.selectAllChildren(address);
  copy.textContent = document.execCommand("copy") ? "Copied" : "Copy it by hand";
});

// ---- the conversation

const banner = element("banner", HTMLElement);
const scroller = element("scroller", HTMLDivElement);
const latest = element("latest", HTMLButtonElement);

function lend() {
  stage.append(banner, scroller, latest);
  log.goToEnd(); // an element that is moved forgets how far it was scrolled
}

projector.addEventListener("close", () => {
  const main = element("main", HTMLElement);
  main.before(banner);
  main.prepend(scroller, latest);
  log.goToEnd();
});

view.addEventListener("click", () => {
  const isAlone = projector.classList.toggle("code-alone");
  view.textContent = isAlone ? "Conversation" : "Code alone";
});

// The browser's own button leads to another room, which has another code.
window.addEventListener("hashchange", () => projector.close());
