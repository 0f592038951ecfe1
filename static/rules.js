// The rules of the room we are in, what its leaders do, and who has raised a hand: what of it everyone sees. It is
// fetched with the first rule, act or hand that the page meets, or when a hand is raised here.
//
//   room.js ──welcome, acts, hands──▶ take ──▶ the log, the lines above it, the box to write in
//
// It is not: what only a leader sees (lead.js), nor the list of members (members.js).

import { button, element, make, tell } from "./dom.js";
import * as log from "./log.js";
import { bring } from "./panels.js";
import { present } from "./people.js";
import { keyOf, keys } from "./room.js";

/** @import { Room } from "./room.js" */
/** @import { Act, Entry, Hand, Rules, Welcome } from "./types.js" */

/** @type {Rules} */
const NONE = { topic: "", mode: "open", has_key: false, history: true, leaders: [] };

/** Characters of a pinned message that are shown above the log. */
const EXCERPT = 200;

/** As they are now. */
export let rules = NONE;

/** @type {Room | null} */
let room = null;

/** The id of the newest message when we were welcomed: acts before that are in the rules already. */
let welcomedAt = 0;

/** Raised hands, by the number of their member. @type {Map<number, { name: string, up: number }>} */
const hands = new Map();

const list = element("log", HTMLDivElement);

/** @param {Room} from @param {(Welcome | Act | Hand)[]} events  in their order; what is taken is gone from there */
export async function take(from, events) {
  await bring();
  if (from.connection.isOver) return;
  room = from;
  for (const event of events.splice(0)) {
    if (event.type === "welcome") enter(event);
    else if (event.type === "hand") raised(event.member, event.up);
    else learn(event);
  }
  for (const showAnew of present.shows) showAnew(); // here, and in the list of members
}

/** Another room is entered. */
list.addEventListener("emptied", () => {
  if (!room) return;
  room = null;
  rules = NONE;
  hands.clear();
  show();
});

/** @param {Welcome} welcome */
function enter(welcome) {
  rules = { ...(welcome.rules ?? NONE) };
  welcomedAt = welcome.last;
  hands.clear();
  meet();
}

/** Whether whoever sits here leads this room. */
export function leads() {
  const { user } = present.you;
  return user !== undefined && rules.leaders.some((leader) => leader.user === user);
}

export function nameOfRoom() {
  return room?.name ?? "";
}

/** Asks the server for an act, or a hand. @param {object} event */
export function ask(event) {
  const isSent = room?.connection.send(JSON.stringify(event)) ?? false;
  if (!isSent) log.showNotice("There is no connection, so nothing was done.");
}

/** The user raises a hand, or lowers it again. */
export function raise() {
  ask({ type: "hand", up: !hands.has(present.you.id) });
}

// ---- what was done

/** @param {Act} act */
function learn(act) {
  if (act.act === "remove") remove(act.message);
  if (act.act === "clear") clear(act.id);
  if (act.id > welcomedAt) change(act);
}

/** What becomes of the rules. @param {Act} act */
function change(act) {
  switch (act.act) {
    case "pin":
      rules.pinned = act.message;
      break;
    case "unpin":
      delete rules.pinned;
      break;
    case "mute":
    case "unmute":
      mute(act, act.act === "mute");
      break;
    case "set":
      rules = { ...rules, topic: act.topic, mode: act.mode, has_key: act.has_key, history: act.history };
      break;
    case "lead":
    case "unlead":
      rules.leaders = rules.leaders.filter(({ user }) => user !== act.user);
      if (act.act === "lead") rules.leaders.push({ user: act.user, name: act.name });
      break;
    case "end":
      rules.mode = "closed";
      break;
    case "lower":
      for (const [id, { name }] of hands) if (id === (act.member ?? id)) raised({ id, name }, 0);
  }
}

/** @param {number} id */
function remove(id) {
  if (rules.pinned === id) delete rules.pinned;
  const entry = log.entries.find((one) => one.id === id);
  if (!entry) return;
  const next = entry.item.nextElementSibling ?? entry.item.parentElement?.nextElementSibling?.firstElementChild;
  next?.classList.remove("more"); // it shows now who says it
  drop(entry);
}

/** @param {Entry} entry */
function drop(entry) {
  if (entry.item.contains(document.activeElement)) element("scroller", HTMLDivElement).focus({ preventScroll: true });
  log.remove(entry);
}

/** All that came before this act. @param {number} id */
function clear(id) {
  if (rules.pinned !== undefined && rules.pinned < id) delete rules.pinned;
  const end = log.entries.findIndex((entry) => entry.id === id);
  for (const entry of log.entries.slice(0, Math.max(end, 0))) drop(entry);
}

/** @param {{ member: number, user?: number }} whom @param {boolean} muted */
function mute({ member, user }, muted) {
  for (const one of [present.you, ...present.members]) {
    if (one.id === member || (user !== undefined && one.user === user)) one.muted = muted;
  }
}

/** @param {{ id: number, name: string }} member @param {number} up */
function raised({ id, name }, up) {
  for (const one of present.members) if (one.id === id) one.hand = up;
  if (up) hands.set(id, { name, up });
  else hands.delete(id);
}

// ---- what is seen of it

present.shows.add(() => {
  meet();
  if (room) show();
});

/** Whoever is here has the hand up or not; whoever is gone has not. In a crowd we know only some of them. */
function meet() {
  const { members, count } = present;
  const isAll = members.length === count;
  for (const id of hands.keys()) if (isAll && !members.some((one) => one.id === id)) hands.delete(id);
  for (const { id, name, hand } of members) if (hand) hands.set(id, { name, up: hand });
}

function show() {
  showTopic();
  showPinned();
  showHands();
  showComposer();
  for (const entry of log.entries) offer(entry);
  if (!inOrder?.isConnected) rove([...list.querySelectorAll(`.${BESIDE}`)].at(-1));
  element("banner", HTMLElement).hidden = !rules.topic && rules.pinned === undefined && hands.size === 0;
}

function showTopic() {
  const topic = element("topic", HTMLParagraphElement);
  tell(topic, rules.topic);
  topic.hidden = !rules.topic;
}

/** The id of the message that is shown above the log. */
let pinned = 0;

async function showPinned() {
  const line = element("pinned", HTMLParagraphElement);
  const id = rules.pinned ?? 0;
  line.hidden = id === 0;
  if (id === pinned) return;
  pinned = id;
  const text = id ? await excerpt(id) : "";
  if (id === pinned) line.replaceChildren(make("span", "quiet-text", "Pinned: "), text);
}

/** From the log, or from the server, for whoever came later. @param {number} id */
async function excerpt(id) {
  const entry = log.entries.find((one) => one.id === id);
  const shown = entry?.item.querySelector(".body")?.textContent;
  if (shown) return shown.slice(0, EXCERPT);
  const key = keys[keyOf(room?.name ?? "")];
  const answer = await fetch(`rooms/${room?.name}/messages/${id}${key ? `?key=${key}` : ""}`).catch(() => null);
  if (!answer?.ok) return answer?.status === 404 ? "a message that is no longer kept" : "a message that cannot be fetched";
  const isText = answer.headers.get("Content-Type")?.startsWith("text/plain");
  return isText ? (await answer.text()).slice(0, EXCERPT) : "a file";
}

/** The hands as they are shown, to leave them alone if nothing has changed: a screen reader would say them again. */
let shownHands = "";

function showHands() {
  const own = element("hand-button", HTMLButtonElement);
  own.ariaPressed = String(hands.has(present.you.id));
  const raisers = [...hands].sort(([, one], [, other]) => one.up - other.up);
  const sign = JSON.stringify([raisers, leads()]);
  if (sign === shownHands) return;
  shownHands = sign;
  const items = raisers.map(([id, { name }]) => {
    const item = make("li", "", name);
    item.dir = "auto";
    if (leads()) item.append(lowers(`Lower the hand of ${name}`, { member: id }));
    return item;
  });
  const all = element("hands", HTMLOListElement);
  const lowerAll = element("lower-all", HTMLButtonElement);
  if (all.contains(document.activeElement)) own.focus(); // what has it goes away
  all.replaceChildren(...items);
  element("hands-line", HTMLDivElement).hidden = items.length === 0;
  lowerAll.hidden = !leads();
  lowerAll.onclick = () => ask({ type: "act", act: "lower" });
}

/** @param {string} label @param {object} whose */
function lowers(label, whose) {
  const press = button("×", () => ask({ type: "act", act: "lower", ...whose }));
  press.ariaLabel = press.title = label;
  return press;
}

/** Whoever may not speak is told why, where they would. */
function showComposer() {
  const isReadOnly = rules.mode === "read-only" && "Only leaders speak in this room.";
  const isMuted = present.you.muted && "A leader has muted you: you can read on.";
  const why = (!leads() && (isMuted || isReadOnly)) || "";
  tell(element("silence", HTMLParagraphElement), why);
  const draft = element("text", HTMLTextAreaElement);
  if (why && document.activeElement === draft) element("scroller", HTMLDivElement).focus();
  for (const one of [draft, element("file", HTMLInputElement), element("send", HTMLButtonElement)]) one.disabled = why !== "";
}

// ---- what may be done to a message: a button beside it, and one of them in the order of the keyboard

const BESIDE = "deeds";

/** The one that the keyboard reaches. @type {Element | undefined} */
let inOrder;

/** A leader may do something about each message, an author about their own. @param {Entry} entry */
function offer(entry) {
  const { item, id } = entry;
  if (!item.classList.contains("message")) return;
  /** @type {HTMLElement | null} */
  const found = item.querySelector(`.${BESIDE}`);
  const isDue = leads() || item.classList.contains("own");
  if (!isDue) found?.remove();
  if (isDue) name(found ?? beside(id, item));
}

/** @param {HTMLElement} press */
function name(press) {
  press.ariaLabel = press.title = leads() ? "Remove or pin this message" : "Remove this message";
}

/** @param {number} id @param {HTMLElement} item */
function beside(id, item) {
  const press = button("⋯", () =>
    import("./lead.js").then((lead) => lead.message(id, item)).catch((error) => log.showNotice(error.message)));
  press.className = BESIDE;
  item.append(press);
  rove(press);
  return press;
}

/** @param {Element | undefined} to */
function rove(to) {
  inOrder?.setAttribute("tabindex", "-1");
  to?.setAttribute("tabindex", "0");
  inOrder = to;
}

list.addEventListener("keydown", ({ key, target }) => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (!step || !(target instanceof HTMLElement) || !target.classList.contains(BESIDE)) return;
  const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(`.${BESIDE}`)]);
  const next = all[all.indexOf(target) + step];
  if (next) rove(next);
  next?.focus();
});

new MutationObserver((changes) => {
  const added = new Set(changes.flatMap(({ addedNodes }) => [...addedNodes]));
  for (const entry of log.entries) if (added.has(entry.item)) offer(entry);
}).observe(list, { childList: true, subtree: true });
