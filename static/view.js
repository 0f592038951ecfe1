// The view: everything that is drawn. The log of messages, the connection's state, and the picture on them.
//
// It is not: what a message is (messages.js), or when something happens (app.js).
//
// What users wrote reaches the document through textContent only, never as HTML. Their files reach it as
// blob: addresses with a harmless type: a picture's own, or "application/octet-stream".

import { pictureType } from "./messages.js";

/** @import { Message } from "./messages.js" */

// The log is bounded in messages and in bytes, whichever comes first: a page may stay open for a term.
const MAX_ENTRIES = 500;
const MAX_HELD = 100_000_000;

/** More than this of one text is a download: it takes a browser seconds to lay out a mebibyte. */
const MAX_SHOWN = 5_000;

/** @typedef {{ item: HTMLLIElement, urls: string[], size: number }} Entry */

/** What the log shows, oldest first. @type {Entry[]} */
let entries = [];
let held = 0; // bytes, the sum of their sizes

/** The last message, to see whether the next one goes on from it. @type {{ key: string, time: string } | null} */
let last = null;

/** True while the end of the log is in sight: then it stays in sight. */
let following = true;

/** Where follow() put the log last: a scroll event for that place is not the user's doing. */
let placedAt = 0;

/** The width and height that it had then: a browser moves the log itself when they change. */
let placedIn = "";

const scroller = element("scroller", HTMLDivElement);
const log = element("log", HTMLOListElement);
const latest = element("latest", HTMLButtonElement);
const status = element("status", HTMLParagraphElement);
const words = element("words", HTMLSpanElement);
const countdown = element("countdown", HTMLSpanElement);

/**
 * An element of index.html; that it exists and is of that kind is checked once, here.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} with the id "${id}"`);
  return found;
}

/**
 * @param {string} state
 * @param {string} sentence
 * @param {string} [remaining]
 */
export function showStatus(state, sentence, remaining = "") {
  status.dataset.state = state;
  // Only when it differs: a screen reader says it again each time it is set.
  if (words.textContent !== sentence) words.textContent = sentence;
  countdown.textContent = remaining;
}

/**
 * @param {Message} message
 * @param {boolean} own
 */
export function showMessage(message, own) {
  const now = new Date();
  const time = now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const key = message.tab && JSON.stringify([message.tab, message.from]);

  const item = make("li", "message");
  item.classList.toggle("own", own);
  item.classList.toggle("more", key !== "" && key === last?.key && time === last.time);
  item.style.setProperty("--hue", hue(message.tab || message.from));

  /** @type {Entry} */
  const entry = { item, urls: [], size: 0 };
  item.append(head(message.from, own, now, time), body(message, entry));
  last = { key, time };
  add(entry);
}

/**
 * Something that the page itself has to say.
 * @param {string} sentence
 */
export function showNotice(sentence) {
  last = null;
  add({ item: make("li", "notice", sentence), urls: [], size: 0 });
}

export function clearLog() {
  while (entries.length > 0) removeOldest();
  last = null;
  setFollowing(true);
}

/**
 * @param {string} from
 * @param {boolean} own
 * @param {Date} now
 * @param {string} time
 */
function head(from, own, now, time) {
  const head = make("div", "head");
  const name = make("span", "from", from);
  name.dir = "auto";
  const clock = make("time", "", time);
  clock.dateTime = now.toISOString();
  clock.title = now.toLocaleString();
  head.append(name, ...(own ? [make("span", "you", "you")] : []), clock);
  return head;
}

/**
 * @param {Message} message
 * @param {Entry} entry
 */
function body(message, entry) {
  const body = make("div", "body");
  body.dir = "auto";
  switch (message.kind) {
    case "text":
      body.textContent = message.text.slice(0, MAX_SHOWN);
      if (message.text.length > MAX_SHOWN) body.append("…", wholeText(message.text, entry));
      break;
    case "file":
      body.append(attachment(message.bytes, message.file, `${message.file}, ${size(message.bytes.length)}`, entry));
      break;
    case "binary":
      body.append(attachment(message.bytes, "binary", `${message.bytes.length} bytes of binary`, entry));
      break;
    default:
      throw new Error(`no such kind of message: ${JSON.stringify(message)}`);
  }
  return body;
}

/**
 * @param {string} text
 * @param {Entry} entry
 */
function wholeText(text, entry) {
  const bytes = new TextEncoder().encode(text);
  return attachment(bytes, "message.txt", `the whole text, ${size(bytes.length)}`, entry);
}

/**
 * A link to save the bytes and, when they are a picture, the picture.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} name
 * @param {string} label
 * @param {Entry} entry  which then holds what it has to give back later
 */
function attachment(bytes, name, label, entry) {
  const type = pictureType(bytes);
  const url = URL.createObjectURL(new Blob([bytes], { type: type || "application/octet-stream" }));
  entry.urls.push(url);
  entry.size += bytes.length;

  const link = make("a", "attachment");
  link.href = url;
  link.download = name;
  if (type) link.append(picture(url, name));
  const caption = make("span", "caption", label);
  caption.dir = "auto";
  link.append(caption);
  return link;
}

/**
 * @param {string} url
 * @param {string} name
 */
function picture(url, name) {
  const image = make("img");
  image.alt = name;
  image.decoding = "async";
  image.addEventListener("error", () => image.remove()); // broken: the link to save it remains
  image.src = url;
  return image;
}

/** @param {Entry} entry */
function add(entry) {
  entries.push(entry);
  held += entry.size;
  log.append(entry.item);
  while (entries.length > MAX_ENTRIES || (held > MAX_HELD && entries.length > 1)) removeOldest();
  if (following) follow();
  else latest.hidden = false;
}

function removeOldest() {
  const entry = entries.shift();
  if (!entry) return;
  held -= entry.size;
  entry.item.remove();
  entry.urls.forEach((url) => URL.revokeObjectURL(url));
}

let scheduled = false;

/** Once a frame, however many messages it brings: to scroll is to lay out the whole log. */
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
function setFollowing(on) {
  following = on;
  // A reader's place is held by the browser's scroll anchoring; while following, it would pull the other way.
  scroller.classList.toggle("following", on);
  if (on) latest.hidden = true;
}

scroller.addEventListener("scroll", () => {
  // The event comes late: more messages may have arrived since, and the end be out of sight for this moment.
  if (scroller.scrollTop === placedAt) return;
  // A turned phone, or its keyboard: the observer below follows.
  if (following && sizeOfScroller() !== placedIn) return;
  setFollowing(scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60);
});

latest.addEventListener("click", () => {
  setFollowing(true);
  follow();
  scroller.focus({ preventScroll: true }); // the button is gone, and the focus must be somewhere
});

// A picture that has loaded, or a phone's keyboard, changes heights without a scroll event.
const heights = new ResizeObserver(() => following && follow());
heights.observe(log);
heights.observe(scroller);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/**
 * An angle on the colour wheel, the same one for the same sender.
 * @param {string} key
 */
function hue(key) {
  let sum = 0;
  for (const character of key.slice(0, 64)) sum = (sum * 31 + character.charCodeAt(0)) % 65_521;
  return String(sum % 360);
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
