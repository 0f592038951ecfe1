// The log: what was said, drawn; below it what of ours still waits, and how the connection is.
//
// It is not: what a message is (room.js), how a long text (texts.js) or a file (files.js) looks, or when something
// happens (app.js).

import { button, element, make, tell } from "./dom.js";

/** @import { Room } from "./room.js" */
/** @import { Binary, Entry, File, State, Text, Waiting } from "./types.js" */

// The log is bounded in messages and in bytes: a page may stay open for a term. Who reads back may have more.
const MAX_ENTRIES = 2_000;
export const MAX_READ = 10_000;
const MAX_HELD = 100_000_000;

/** Messages on a page of it: the browser draws the pages in sight alone (style.css). */
export const PAGE = 50;

/** To lay out a mebibyte takes seconds: of a longer text this much is shown. */
export const MAX_SHOWN = 20_000;

/** A short line without code is drawn at once, unless it has a web address; see texts.js for all other texts. */
const SHORT_LINE = /^(?!.*:\/\/)[^\n`]{0,400}$/;

/** What the log shows, oldest first. @type {Entry[]} */
export const entries = [];

/** The last message, to see whether the next one goes on from it. */
const NOBODY = { key: "", time: "", day: "" };
let last = NOBODY;

// Made once: making them takes longer than drawing a message.
const clockTime = new Intl.DateTimeFormat([], { timeStyle: "short" });
const day = new Intl.DateTimeFormat([], { dateStyle: "full" });
const fullTime = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "medium" });

/** True while the end of the log is in sight: then it stays in sight. */
let following = true;

/** Where follow() put the log last, and its size: a scroll event for that is not the user's doing. */
let placedAt = 0;
let placedIn = "";

const scroller = element("scroller", HTMLDivElement);
const log = element("log", HTMLDivElement);
const waitingList = element("waiting", HTMLOListElement);
const latest = element("latest", HTMLButtonElement);
const status = element("status", HTMLParagraphElement);
const words = element("words", HTMLSpanElement);
const countdown = element("countdown", HTMLSpanElement);
const retry = element("retry", HTMLButtonElement);

export let room = ""; // its name
let unseen = 0; // messages since the page was last looked at

/**
 * @param {State} state
 * @param {string} [why]  there is no connection
 * @param {number} [seconds]  until the next attempt; 0: there is no pause
 */
export function showState(state, why = "", seconds = 0) {
  const pause = `${state === "offline" ? "This device is offline." : why} Trying again`;
  const here = state === "open" ? `Connected to ${room}` : `Connecting to ${room}…`;
  const sentence = seconds ? pause : why || here;
  status.dataset.state = state;
  tell(words, sentence);
  countdown.textContent = seconds ? `in ${seconds} s` : "";
  retry.hidden = !why;
  retry.textContent = seconds ? "Try now" : state === "elsewhere" ? "Go on here" : "Try again";
}

function showTitle() {
  document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${room} · wsroom`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  showTitle();
});

/** @param {Text | Binary | File} message @param {boolean} own */
export function showMessage(message, own) {
  last = draw(message, own, last, add);
  if (document.hidden) unseen += 1;
  showTitle();
}

/**
 * A message, and the day above the first one of another day; today needs no name.
 * @param {Text | Binary | File} message
 * @param {boolean} own
 * @param {typeof last} before  what stands above it
 * @param {(entry: Entry) => void} put
 */
export function draw(message, own, before, put) {
  const at = new Date(message.at);
  const today = dayOf(message.at);
  const isOther = today !== (before.day || day.format(new Date()));
  if (isOther) put(notice(today, "notice day"));
  const time = clockTime.format(at);
  const { from } = message;
  const key = `${from.user ?? ""} ${from.name}`;

  const item = make("li", "message");
  item.classList.toggle("own", own);
  item.classList.toggle("more", !isOther && key === before.key && time === before.time);
  item.style.setProperty("--hue", hue(key));

  /** @type {Entry} */
  const entry = { item, urls: [], size: 0, id: message.id };
  const head = make("div", "head");
  const name = make("span", "from", from.name);
  name.dir = "auto";
  const clock = make("time", "", time);
  clock.dateTime = message.at;
  clock.title = fullTime.format(at);
  head.append(name, clock, ...(own ? [make("span", "kept", "✓ kept")] : []));
  const body = make("div", "body");
  body.dir = "auto";
  item.append(head, body);
  if ("text" in message) say(message.text, body, entry);
  else if ("size" in message) fetchFor(body, () => import("./files.js"), (files) => files.later(message, body, entry));
  else attach(message.bytes, message.name, body, entry);
  put(entry);
  return { key, time, day: today };
}

/** @param {string} at */
export const dayOf = (at) => day.format(new Date(at));

/** What few ask for is fetched then. @param {(panels: typeof import("./panels.js")) => Promise<unknown>} use */
export const fetched = (use) => import("./panels.js").then(use).catch((error) => showNotice(error.message));

/** What the page itself has to say, or of an act. @param {string} sentence @param {number} [id]  of the act */
export function showNotice(sentence, id = 0) {
  const entry = notice(sentence, "notice", id);
  last = { ...last, key: "" };
  add(entry);
  return entry.item;
}

/** @param {string} sentence @param {string} looks @param {number} [id] @returns {Entry} */
export const notice = (sentence, looks, id = 0) => ({ item: make("li", looks, sentence), urls: [], size: 0, id });

/** @param {Waiting[]} waiting @param {Room} room */
export function showWaiting(waiting, room) {
  const items = waiting.map((message) => {
    const item = make("li", "message own");
    const tooLarge = room.tooLarge(message.length);
    const trouble = tooLarge ? `Not sent: ${tooLarge}` : message.trouble;
    const state = make("div", "head", trouble || (message.sent ? "on its way" : "waits for the connection"));
    const body = make("div", "body", message.label.slice(0, 1_000));
    body.dir = "auto";
    if (message.sent && typeof message.frame !== "string") body.append(make("progress"));
    if (message.trouble && message.mayRetry && !tooLarge) state.append(button("Send again", () => room.sendAgain(message)));
    if (!message.sent) state.append(button("Discard", () => room.discard(message)));
    item.append(state, body);
    return item;
  });
  waitingList.replaceChildren(...items);
  if (following) follow();
}

/** For another room. @param {string} name */
export function clear(name) {
  room = name;
  showTitle();
  while (entries.length > 0) removeOldest();
  log.dispatchEvent(new Event("emptied"));
  waitingList.replaceChildren();
  last = NOBODY;
  setFollowing(true);
}

// ---- what a message says

/** @param {string} text @param {HTMLElement} body @param {Entry} entry */
function say(text, body, entry) {
  entry.size = text.length;
  body.append(text.slice(0, MAX_SHOWN));
  if (!SHORT_LINE.test(text)) fetchFor(body, () => import("./texts.js"), (texts) => texts.draw(text, body, entry));
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {string} name @param {HTMLElement} body @param {Entry} entry */
export function attach(bytes, name, body, entry) {
  entry.size = bytes.byteLength;
  fetchFor(body, () => import("./files.js"), (files) => body.append(...files.attachment(bytes, name, entry)));
}

/**
 * What few messages need; a button tries again where it cannot be fetched.
 * @template T
 * @param {HTMLElement} body
 * @param {() => Promise<T>} load
 * @param {(module: T) => void} use
 */
function fetchFor(body, load, use) {
  load().then(
    (module) => body.isConnected && use(module),
    () => {
      const again = button("Show all of it", () => fetchFor(body, load, use));
      again.onclick = () => again.remove();
      body.append(again);
    },
  );
}

/** The same colour for the same sender. @param {string} key */
function hue(key) {
  let sum = 0;
  for (const character of key) sum = (sum * 31 + character.charCodeAt(0)) % 65_521;
  return String(sum % 360);
}

// ---- the place in the log

/** @param {Entry} entry */
function add(entry) {
  entries.push(entry);
  let page = log.lastElementChild;
  if (!page || page.childElementCount === PAGE) log.append((page = make("ol", "page")));
  page.append(entry.item);
  while (isFull(following ? MAX_ENTRIES : MAX_READ) && entries.length > 1) removeOldest();
  if (following) follow();
  else latest.hidden = false;
}

/** @param {number} most @param {number} [more]  messages that are to come */
export const isFull = (most, more = 0) =>
  entries.length + more > most || entries.reduce((sum, { size }) => sum + size, 0) > MAX_HELD;

function removeOldest() {
  const [oldest] = entries;
  if (oldest) remove(oldest);
}

/** @param {Entry} entry */
export function remove(entry) {
  entries.splice(entries.indexOf(entry), 1);
  const page = entry.item.parentElement;
  entry.item.remove();
  if (!page?.hasChildNodes()) page?.remove();
  entry.urls.forEach((url) => URL.revokeObjectURL(url));
}

let scheduled = false;

/** Once a frame: to scroll is to lay out the log. */
function follow() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    if (!following) return;
    scroller.scrollTop = scroller.scrollHeight;
    placedAt = scroller.scrollTop;
    placedIn = sizeOfScroller();
  });
}

function sizeOfScroller() {
  return `${scroller.clientWidth} × ${scroller.clientHeight}`;
}

/** @param {boolean} on */
export function setFollowing(on) {
  following = on;
  // A reader's place is held by the browser's scroll anchoring; while following, it would pull the other way.
  scroller.classList.toggle("following", on);
  if (on) latest.hidden = true;
}

scroller.addEventListener("scroll", () => {
  // The event comes late: the end may be out of sight for this moment.
  if (scroller.scrollTop === placedAt) return;
  // A turned phone, or its keyboard: the observer below follows.
  if (following && sizeOfScroller() !== placedIn) return;
  setFollowing(scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60);
});

/** Whoever says something wants to see it, wherever they have read. */
export function goToEnd() {
  setFollowing(true);
  follow();
}

latest.addEventListener("click", () => {
  goToEnd();
  scroller.focus({ preventScroll: true }); // the button is gone, and the focus must be somewhere
});

// A picture that has loaded, or a phone's keyboard, changes heights.
const heights = new ResizeObserver(() => following && follow());
heights.observe(log);
heights.observe(scroller);
