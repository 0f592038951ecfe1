// What was said before: a button above the log brings it page by page, and whoever has searched is led to it. It is
// fetched with the first touch of the log.
//
// The place of the reader stays: what comes goes above it.
//
// It is not: what is searched or saved (history.js), nor how messages look (log.js).

import { ask, button, element, make } from "./dom.js";
import * as log from "./log.js";
import { looks } from "./looks.js";
import { present } from "./people.js";
import { keyOf, keys } from "./room.js";

/** @import { Binary, Entry, File, Past, PastMessage, Text } from "./types.js" */

/** Messages that are brought at a time on the way to one that was found; the button brings a page. */
const LEAP = 500;

/** The page has asked for so many when it came: with fewer there is nothing before. */
const TOLD = 100;

/** How often a page is fetched anew because something was removed meanwhile. */
const ATTEMPTS = 5;

// Without its looks the button can still be pressed.
await looks("messages.css").catch(() => {});

const list = element("log", HTMLDivElement);
const scroller = element("scroller", HTMLDivElement);

const press = button("Earlier messages", () => older(log.PAGE).catch((error) => log.showNotice(error.message)));
press.id = "earlier";
const beginning = make("p", "notice", "This is the beginning of what is kept.");
const above = make("div");
above.id = "above";
above.append(press, beginning);
list.before(above);

/** The id of the room's first message, once it was reached; 0: it was not. */
let first = 0;

/** The oldest message that the log shows; 0: it shows none. */
const oldest = () => log.entries.find(({ id }) => id > 0)?.id ?? 0;

function offer() {
  const isReached = first > 0 && oldest() === first;
  beginning.hidden = !isReached;
  if (isReached && document.activeElement === press) scroller.focus({ preventScroll: true });
  press.hidden = isReached || log.entries.filter(({ id }) => id > 0).length < TOLD;
}

new MutationObserver(offer).observe(list, { childList: true, subtree: true });
list.addEventListener("emptied", () => (first = 0));
offer();

/**
 * What is kept of this room.
 * @param {Record<string, string | number>} query
 * @returns {Promise<Past>}
 */
export function past(query) {
  const key = keys[keyOf(log.room)];
  const all = new URLSearchParams(Object.entries({ ...query, ...(key && { key }) }).map(([name, value]) => [name, String(value)]));
  return ask(`rooms/${log.room}/messages?${all}`);
}

/** Brings what is before the oldest message. Resolved with false when there is nothing more. @param {number} limit */
async function older(limit) {
  const { room } = log;
  const before = oldest();
  const { messages, more } = await unchanged(() => past({ before, limit, files: "later" }));
  if (room !== log.room || before !== oldest()) return true; // another one was quicker
  if (log.isFull(log.MAX_READ, messages.length)) throw new Error("This page cannot hold more. Save the history to read all of it.");
  if (!more) first = messages[0]?.id ?? before;
  if (messages.length > 0) place(messages);
  offer();
  return messages.length > 0;
}

/** What a leader removes while it is under way would be shown: then it is fetched again. @param {() => Promise<Past>} get */
async function unchanged(get) {
  const newestAct = () => log.entries.findLast(({ id, item }) => id > 0 && item.classList.contains("notice"));
  for (let attempt = 1; ; attempt += 1) {
    const known = newestAct();
    const page = await get();
    if (known === newestAct() || attempt === ATTEMPTS) return page;
  }
}

/** Above all others, with the reader's place where it was. @param {PastMessage[]} messages */
function place(messages) {
  const anchor = list.querySelector("li.message") ?? list;
  const top = anchor.getBoundingClientRect().top;
  // A screen reader would read all of it aloud.
  scroller.ariaLive = "off";
  addAbove(drawn(messages));
  scroller.scrollTop += anchor.getBoundingClientRect().top - top;
  setTimeout(() => (scroller.ariaLive = null), 1_000);
}

/** Each day stands above its first message, so what was the top of the log may lose or need its day. @param {PastMessage[]} messages */
function drawn(messages) {
  /** @type {Entry[]} */
  const entries = [];
  let last = { key: "", time: "", day: "" };
  for (const message of messages) {
    if ("act" in message) entries.push(log.notice(message.said, "notice", message.id));
    else last = log.draw(shown(message), isOwn(message), last, (entry) => entries.push(entry));
  }
  const [top] = list.querySelectorAll(".day, .message");
  const line = log.entries.find(({ item }) => item === top && item.classList.contains("day"));
  if (line && last.day) log.remove(line);
  const next = list.querySelector("time")?.dateTime;
  if (next && last.day && log.dayOf(next) !== last.day) entries.push(log.notice(log.dayOf(next), "notice day"));
  return entries;
}

/** @param {PastMessage} message */
const isOwn = ({ from: { user } }) => user !== undefined && user === present.you.user;

/** @param {Entry[]} earlier */
function addAbove(earlier) {
  log.setFollowing(false);
  log.entries.unshift(...earlier);
  for (let end = earlier.length; end > 0; end -= log.PAGE) {
    const page = make("ol", "page");
    page.append(...earlier.slice(Math.max(end - log.PAGE, 0), end).map(({ item }) => item));
    list.prepend(page);
  }
}

/** @param {Exclude<PastMessage, { act: string }>} message @returns {Text | Binary | File} */
function shown(message) {
  if ("text" in message || message.base64 === undefined) return message;
  const { id, from, at, name, base64 } = message;
  return { id, from, at, name, bytes: Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0)) };
}

/** Leads the reader to a message. @param {number} id @returns {Promise<string>} why it is not shown; empty if it is */
export async function goTo(id) {
  while (oldest() > id && (await older(LEAP)));
  const entry = log.entries.find((one) => one.id === id);
  if (!entry) return "This message is no longer there.";
  list.querySelector(".found")?.classList.remove("found");
  entry.item.classList.add("found");
  entry.item.scrollIntoView({ block: "center" });
  return "";
}
