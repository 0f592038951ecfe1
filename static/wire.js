// The wire: what passes between this page and the server, for those who want to understand WebSocket.
//
// It only watches the room's connection. Pings and the bytes of the handshake are the browser's own business,
// and it shows them to no page; what is told of them here is what the standard says they must be.
//
// It is not: the connection to the echo (echo.js), nor how a payload looks (payload.js).

import { witness } from "./connection.js";
import { element, make, size } from "./dom.js";
import { closeEcho, openEcho } from "./echo.js";
import { payload } from "./payload.js";
import { NO_UPGRADE } from "./refusal.js";
import { split } from "./room.js";

/** @import { Frame, Seen } from "./types.js" */

const panel = element("wire", HTMLElement);
const list = element("frames", HTMLOListElement);
const totals = element("totals", HTMLParagraphElement);
const handshake = element("handshake", HTMLPreElement);
const filter = element("filter", HTMLInputElement);
const pauseButton = element("pause", HTMLButtonElement);
const lastClose = element("last-close", HTMLParagraphElement);
const proxyHelp = element("proxy-help", HTMLDetailsElement);
const slow = element("slow", HTMLSelectElement);
const queue = element("queue", HTMLMeterElement);
const queueWords = element("queue-words", HTMLSpanElement);

/** Frames that are shown. */
const MOST = 200;

let isPaused = false;
let scrolling = 0;

/** Since the panel was opened for the first time: frames and bytes. */
const passed = { "↓": [0, 0], "↑": [0, 0] };

/** @template {keyof Seen} K @param {K} type @param {(detail: Seen[K]) => void} listener */
function on(type, listener) {
  witness.addEventListener(type, (event) => event instanceof CustomEvent && listener(event.detail));
}

on("frame", ({ sign, frame }) => {
  const kind = typeof frame === "string" ? "text" : "binary";
  const bytes = typeof frame === "string" ? new TextEncoder().encode(frame).length : frame.byteLength;
  const [frames = 0, sum = 0] = passed[sign];
  passed[sign] = [frames + 1, sum + bytes];
  if (panel.hidden || isPaused) return;
  showTotals();
  add(`${sign} ${kind}, ${size(bytes)}`, ...parts(frame));
});

/** A binary frame of the room is a line of JSON, and the bytes behind it. @param {Frame} frame */
function parts(frame) {
  const { line, bytes } = split(frame);
  const shown = [make("pre", "text", payload(line))];
  if (bytes.length > 0) shown.push(make("pre", "binary", payload(bytes)));
  return shown;
}

function showTotals() {
  const words = (/** @type {"↓" | "↑"} */ sign, /** @type {string} */ way) =>
    `${sign} ${passed[sign][0]} ${way}, ${size(passed[sign][1] ?? 0)}`;
  totals.textContent = `${words("↓", "in")} · ${words("↑", "out")}`;
}

/**
 * @param {string} what
 * @param {HTMLElement[]} shown
 */
function add(what, ...shown) {
  const item = make("li");
  const now = new Date();
  const time = `${now.toLocaleTimeString([], { hour12: false })}.${String(now.getMilliseconds()).padStart(3, "0")}`;
  item.append(make("div", "what", `${what.slice(0, 1)} ${time}${what.slice(1)}`), ...shown);
  item.hidden = !matches(item);
  list.append(item);
  if (list.childElementCount > MOST) list.firstElementChild?.remove();
  // Once, however many come before the next picture: each time would lay out all of them.
  cancelAnimationFrame(scrolling);
  scrolling = requestAnimationFrame(() => (list.scrollTop = list.scrollHeight));
}

/** @param {HTMLElement} item */
function matches(item) {
  return (item.textContent ?? "").toLowerCase().includes(filter.value.toLowerCase());
}

/** The handshake of this connection, line by line. */
function showHandshake() {
  proxyHelp.hidden = true;
  if (!witness.socket) return;
  const { url, protocol, extensions } = witness.socket;
  const { pathname, search } = new URL(url);
  // The session and a room's key are secrets, and a panel is seen by others.
  handshake.textContent = `→ GET ${pathname}${search.replace(/(\b(?:session|key)=)[^&]*/g, "$1…")} HTTP/1.1
      an ordinary request: so it passes where web pages pass
      the session is a secret of this tab: by it the server knows it again
→ Host: ${location.host}
→ Origin: ${location.origin}
      where this page came from; the server turns strange pages away
→ Connection: Upgrade
→ Upgrade: websocket
      please stop speaking HTTP on this connection
→ Sec-WebSocket-Version: 13
→ Sec-WebSocket-Key: 16 random bytes, which the browser keeps to itself
→ Sec-WebSocket-Protocol: wsroom.v1
      what this page would like to speak inside
← HTTP/1.1 101 Switching Protocols
← Connection: Upgrade
← Upgrade: websocket
← Sec-WebSocket-Accept: SHA-1 of that key and a fixed text
      proof that the answer is from a WebSocket server, for this request
← Sec-WebSocket-Protocol: ${protocol || "(none)"}
← Sec-WebSocket-Extensions: ${extensions || "(none: nothing is compressed)"}
      from here on both sides send frames, whenever they like`;
}

on("opened", showHandshake);

on("closed", ({ code, words }) => {
  lastClose.textContent = witness.lastClose;
  showQueue(0, 0); // the server has let go of it
  add(`× closed, ${code}`, make("pre", "text", words));
});

function offerHelp() {
  proxyHelp.hidden = witness.why !== NO_UPGRADE;
}

on("failed", offerHelp);

filter.addEventListener("input", () => {
  for (const item of list.children) if (item instanceof HTMLElement) item.hidden = !matches(item);
});

pauseButton.addEventListener("click", () => {
  isPaused = !isPaused;
  pauseButton.setAttribute("aria-pressed", String(isPaused));
});

element("clear", HTMLButtonElement).addEventListener("click", () => list.replaceChildren());

element("copy", HTMLButtonElement).addEventListener("click", () => {
  // navigator.clipboard is missing on a page that came over plain http from another machine.
  getSelection()?.selectAllChildren(list);
  document.execCommand("copy");
});

/**
 * Everything here starts and stops with the panel: nobody is asked for nothing.
 * @param {boolean} shown
 * @param {(bytes: string) => void} slowDown  wishes to be sent so many bytes a second
 */
export function show(shown, slowDown) {
  panel.hidden = !shown;
  slow.onchange = () => {
    showQueue(0, 0);
    slowDown(slow.value);
  };
  showTotals();
  showHandshake();
  offerHelp();
  lastClose.textContent = witness.lastClose;
  if (shown) openEcho();
  else closeEcho();
}

// ---- a slow student

on("behind", ({ waiting, limit }) => showQueue(waiting, limit));

/**
 * As the server tells it, about once a second.
 * @param {number} waiting
 * @param {number} limit
 */
function showQueue(waiting, limit) {
  queue.max = limit || 1;
  queue.value = waiting;
  queueWords.textContent = limit ? `${size(waiting)} waiting; beyond ${size(limit)} the server lets go` : "";
}
