// People: the name of whoever sits here, and who is in the room.
//
// A name belongs to whoever has its key, a cookie that no script can read. The page remembers the name alone, to
// take it again from a server that has forgotten all.
//
// It is not: what the members say (room.js, log.js).

import { ask, element, people, storage } from "./dom.js";

/** @import { Member, User } from "./types.js" */

const dialog = element("name-dialog", HTMLDialogElement);
const form = element("name-form", HTMLFormElement);
const field = element("name", HTMLInputElement);
const trouble = element("name-trouble", HTMLParagraphElement);
const guest = element("guest", HTMLButtonElement);
const giveUp = element("give-up", HTMLButtonElement);
const nameButton = element("name-button", HTMLButtonElement);

/** Where the name is remembered; "" is a guest's. */
const NAME = "wsroom.name";
const store = storage("localStorage");

/** Whoever sits here, as the server knows them; a guest has no number here. @type {Partial<User> & { name: string }} */
let you = { name: "" };

let lost = ""; // a name of ours that the server knows us by no more
let hasTaken = false; // a name, since the last welcome

/** A guest has taken a name: the room must be entered anew. */
let becameAnother = () => {};

/** @param {() => void} become */
export function start(become) {
  becameAnother = become;
}

// ---- the name

/** Before a room is entered: a newcomer is asked for a name, so that nobody hears of a guest. It may reject. */
export async function settle() {
  if (location.search.includes("token=")) await (await import("./token.js")).take();
  if (remembered() === null) return ask("token").then(() => asked("", ""));
  if (!lost) return;
  const why = await take(lost).catch(unless(400, 409));
  // Another window of ours may have been quicker, or somebody else.
  if (why && !(await isKnown())) await asked(lost, why);
  lost = "";
}

/**
 * Whether the server knows us by our name no more: it may have begun anew. In a browser that keeps no cookies the name
 * was taken in vain, and we are a guest.
 * @param {Member} me  as we are welcomed
 */
export function isStranger(me) {
  const name = me.user === undefined && !hasTaken && remembered();
  hasTaken = false;
  if (!name) return false;
  lost = name;
  you = { name: "" };
  return true;
}

async function isKnown() {
  const user = await /** @type {Promise<User>} */ (ask("users/me")).catch(unless(401));
  if (typeof user === "object") become(user);
  return typeof user === "object";
}

/** @param {string} name */
async function take(name) {
  become(await ask("users", wish("POST", name)));
  hasTaken = true;
}

/** @param {string} method @param {string} name */
function wish(method, name) {
  return { method, body: new URLSearchParams({ name }) };
}

/** These refusals are a sentence; other trouble may be over next time. @param {number[]} statuses */
const unless = (...statuses) => (/** @type {Error} */ error) => {
  if (statuses.includes(Number(error.cause))) return error.message;
  throw error;
};

/** A user, or a guest. @param {typeof you} whom */
function become(whom) {
  you = whom;
  store?.setItem(NAME, whom.name);
}

/** Null: nobody was asked yet. To be asked each time, where nothing is kept, is worse than never. */
function remembered() {
  return store ? store.getItem(NAME) : you.name;
}

/** It waits for an answer. @type {PromiseWithResolvers<void> | null} */
let question = null;

/** @param {string} name  that we would like @param {string} why  we have not got it */
function asked(name, why) {
  question ??= Promise.withResolvers();
  open(name);
  trouble.textContent = why;
  return question.promise;
}

/** @param {string} name */
function open(name) {
  const isGuest = you.id === undefined;
  field.value = name;
  guest.textContent = isGuest ? "Stay a guest" : "Cancel";
  giveUp.hidden = isGuest;
  giveUp.textContent = "Give up this name";
  if (!dialog.open) dialog.showModal();
}

dialog.addEventListener("close", () => {
  trouble.textContent = "";
  if (question && you.id === undefined) become({ name: "" });
  question?.resolve();
  question = null;
});

nameButton.addEventListener("click", () => open(you.name));

guest.addEventListener("click", () => dialog.close());

/** @param {() => Promise<void>} change */
function attempt(change) {
  trouble.textContent = "";
  change().then(() => dialog.close(), (error) => (trouble.textContent = error.message));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    // A new name for the same user is told to everyone by the server.
    if (you.id !== undefined) return become(await ask(`users/${you.id}`, wish("PUT", field.value)));
    await take(field.value);
    if (!question) becameAnother();
  });
});

giveUp.addEventListener("click", () => {
  const yes = "Yes, give it up";
  if (giveUp.textContent !== yes) {
    trouble.textContent = `Then anybody may be called ${you.name}. Do you mean it?`;
    giveUp.textContent = yes;
    return;
  }
  attempt(async () => {
    await ask(`users/${you.id}`, { method: "DELETE" });
    become({ name: "" });
  });
});

// ---- who is there

/** Who is in the room, in a crowd not all; what shows it is called when it changes. */
export const present = {
  members: /** @type {Member[]} */ ([]),
  count: 0,
  you: /** @type {Member} */ ({ id: 0, name: "" }),
  shows: /** @type {Set<() => void>} */ (new Set()),
};

/** A user with two tabs is one person. @param {Member} member */
export const personOf = ({ user, id }) => user ?? `guest ${id}`;

/** @param {Member[]} members @param {number} count  of connections @param {Member} me */
export function showMembers(members, count, me) {
  if (me.user !== undefined) become({ id: me.user, name: me.name });
  else if (you.id !== undefined) become({ name: "" }); // the name was given up, perhaps in another window
  nameButton.textContent = me.name;
  const persons = members.length < count ? count : new Set(members.map(personOf)).size;
  for (const sign of document.querySelectorAll("[data-count]")) sign.textContent = people(persons);
  Object.assign(present, { members, count, you: me });
  for (const show of present.shows) show();
}

/** They have said it, thought better of it, or gone; without ids: all. Set by writing.js, when somebody writes. */
export const writing = { stop: /** @type {(ids?: Iterable<number>) => void} */ (() => {}) };
