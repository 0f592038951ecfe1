// The wire: the frames between this page and the server, for those who want to understand WebSocket.
//
// It only watches the room's connection. What a browser hides of every connection (headers, masking, fragments, pings,
// the handshake) is shown of another one, where the server tells it: the echo.
//
// It is not: what is kept of a frame (connection.js), the echo (echo.js) and what is tried out on it (experiments.js),
// nor the slow student (slow.js).

import { witness } from "./connection.js";
import { element, make, size } from "./dom.js";
import { closeEcho, openEcho } from "./echo.js";
import { listPlays } from "./experiments.js";
import { explain } from "./handshake.js";
import { hexDump, textOf } from "./payload.js";
import { NO_UPGRADE } from "./refusal.js";
import { split } from "./room.js";
import "./slow.js";

/** @import { Passed } from "./types.js" */

const panel = element("wire", HTMLElement);
const list = element("frames", HTMLOListElement);
const totals = element("totals", HTMLParagraphElement);
const compression = element("compression", HTMLParagraphElement);
const handshake = element("handshake", HTMLPreElement);
const filter = element("filter", HTMLInputElement);
const direction = element("direction", HTMLSelectElement);
const type = element("type", HTMLSelectElement);
const pauseButton = element("pause", HTMLButtonElement);
const note = element("wire-note", HTMLSpanElement);
const lastClose = element("last-close", HTMLParagraphElement);
const proxyHelp = element("proxy-help", HTMLDetailsElement);

/** Frames that are shown: as many as are kept. */
const MOST = 200;

let isPaused = false;
let scrolling = 0;

/** The newest frame that is shown, or was cleared away. @type {Passed | undefined} */
let newest;

// ---- the frames of the room

/** What has passed and is not shown yet: while it is paused, or the panel is closed, it waits. */
function unshown() {
  const at = newest ? witness.past.indexOf(newest) : -1;
  return witness.past.slice(at + 1);
}

function catchUp() {
  if (panel.hidden) return;
  const { frames, bytes } = witness;
  totals.textContent = `↓ ${frames["↓"]} in, payload ${size(bytes["↓"])} · ↑ ${frames["↑"]} out, payload ${size(bytes["↑"])}`;
  const waiting = unshown();
  if (isPaused) {
    pauseButton.textContent = waiting.length > 0 ? `Resume, ${waiting.length} new` : "Resume";
    return;
  }
  pauseButton.textContent = "Pause";
  list.append(...waiting.map(item));
  newest = witness.past.at(-1);
  while (list.childElementCount > MOST) list.firstElementChild?.remove();
  // Once, however many come before the next picture: each time would lay out all of them.
  cancelAnimationFrame(scrolling);
  scrolling = requestAnimationFrame(() => (list.scrollTop = list.scrollHeight));
}

/** @param {Passed} seen */
function item(seen) {
  const { sign, isText, length, at } = seen;
  const { line, bytes } = split(isText ? textOf(seen.bytes) : seen.bytes.buffer);
  const kind = sign === "×" ? "close" : isText ? "text" : "binary";
  const name = /^\{"type":"([\w-]+)"/.exec(line)?.[1] ?? "";
  const time = `${at.toLocaleTimeString([], { hour12: false })}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const shown = make("li");
  shown.dataset.sign = sign;
  shown.dataset.types = `${kind} ${name}`;
  shown.append(make("div", "what", `${sign} ${time} ${kind}${sign === "×" ? "" : `, ${sizes(seen)}`}`));
  shown.append(name ? folded(line) : make("pre", "line", line));
  const missing = length - seen.bytes.length;
  if (!isText) shown.append(make("pre", "binary", hexDump(bytes, bytes.length + missing)));
  else if (missing > 0) shown.append(make("div", "what", `… of ${length} bytes`));
  offer(kind, name);
  shown.hidden = !matches(shown);
  return shown;
}

/** As one frame, not compressed; a client's has a masking key (RFC 6455 §5.2). @param {Passed} seen */
function sizes({ sign, length }) {
  const header = 2 + (length > 65_535 ? 8 : length > 125 ? 2 : 0) + (sign === "↑" ? 4 : 0);
  return `payload ${length} ${length === 1 ? "byte" : "bytes"}, wire ${header + length}`;
}

/** JSON in one line, and when that is opened in many. @param {string} line */
function folded(line) {
  const shown = make("details");
  shown.append(make("summary", "line", line));
  shown.addEventListener("toggle", () => shown.append(make("pre", "", pretty(line))), { once: true });
  return shown;
}

/** @param {string} line */
function pretty(line) {
  try {
    return JSON.stringify(JSON.parse(line), null, 2);
  } catch {
    return line; // a long one, of which the end is missing
  }
}

// ---- which of them

/** So that what passes can be chosen. @param {string[]} names */
function offer(...names) {
  const known = [...type.options].map(({ value }) => value);
  for (const name of names) if (name && !known.includes(name)) type.add(new Option(name));
}

/** @param {HTMLElement} shown */
function matches(shown) {
  const { sign = "", types = "" } = shown.dataset;
  const hasType = !type.value || types.split(" ").includes(type.value);
  const hasSign = !direction.value || sign === direction.value;
  return hasType && hasSign && (shown.textContent ?? "").toLowerCase().includes(filter.value.toLowerCase());
}

for (const choice of [filter, direction, type]) {
  choice.addEventListener("input", () => {
    for (const shown of list.children) if (shown instanceof HTMLElement) shown.hidden = !matches(shown);
  });
}

pauseButton.addEventListener("click", () => {
  isPaused = !isPaused;
  catchUp();
});

element("clear", HTMLButtonElement).addEventListener("click", () => {
  list.replaceChildren();
  newest = witness.past.at(-1);
  catchUp();
});

element("copy", HTMLButtonElement).addEventListener("click", () => {
  const count = list.querySelectorAll(":scope > :not([hidden])").length;
  // navigator.clipboard is missing on a page that came over plain http from another machine.
  getSelection()?.selectAllChildren(list);
  const words = document.execCommand("copy") ? "Copied" : "The browser does not copy. Press Ctrl+C for these";
  note.textContent = `${words} ${count} ${count === 1 ? "frame" : "frames"}`;
});

// ---- the connection

function showConnection() {
  proxyHelp.hidden = witness.why !== NO_UPGRADE;
  lastClose.textContent = witness.lastClose;
  const { extensions = "" } = witness.socket ?? {};
  compression.textContent = extensions && `Extensions: ${extensions}. What is on the wire may be compressed, and smaller.`;
}

witness.addEventListener("frame", catchUp);
for (const change of ["opened", "closed", "failed"]) witness.addEventListener(change, showConnection);

/**
 * Everything here starts and stops with the panel: nobody is asked for nothing.
 * @param {boolean} shown
 */
export function show(shown) {
  panel.hidden = !shown;
  note.textContent = "";
  showConnection();
  catchUp();
  if (!shown) return closeEcho();
  openEcho((told) => explain(handshake, told));
  listPlays();
}
