// People: the name of whoever sits here, who is in the room, and who is writing.
//
// A name belongs to whoever has its key, a cookie that no script can read. The page remembers the name alone, to
// take it again from a server that has forgotten all.
//
// It is not: what the members say (room.js, log.js).

import { ask, element, people } from "./dom.js";

/** @import { Member } from "./types.js" */

const dialog = element("name-dialog", HTMLDialogElement);
const form = element("name-form", HTMLFormElement);
const field = element("name", HTMLInputElement);
const trouble = element("name-trouble", HTMLParagraphElement);
const guest = element("guest", HTMLButtonElement);
const giveUp = element("give-up", HTMLButtonElement);
const nameButton = element("name-button", HTMLButtonElement);
const typingLine = element("typing", HTMLParagraphElement);

/** Where the name is remembered; "" is a guest's. */
const NAME = "wsroom.name";

/** How long somebody counts as writing after a note of it, in milliseconds. */
const WRITES = 5_000;

/** Whoever sits here, as the server knows them; a guest has no number here. @type {{ id?: number, name: string }} */
let you = { name: "" };

/** A guest has taken a name: the room must be entered anew. */
let becameAnother = () => {};

/** @param {() => void} become */
export function start(become) {
  becameAnother = become;
}

// ---------------------------------------------------------------- the name

/**
 * Sees to it that the server knows us by our name, before a room is entered. A newcomer is asked for one first, so
 * that nobody hears of a guest who was there for a moment.
 * @returns {Promise<void>} rejected if the server cannot tell at the moment
 */
export async function settle() {
  const name = remembered();
  if (name === null) return asked("", "");
  if (name === "" || (await isKnown())) return;
  // The server has begun anew. Another window of ours may have been quicker, or somebody else.
  const why = await take(name).catch(unless(400, 409));
  if (why && !(await isKnown())) return asked(name, why);
}

/** Whether the server knows our key. */
async function isKnown() {
  const user = await ask("users/me").catch(unless(401));
  const isUser = typeof user === "object";
  if (isUser) become(user);
  else you = { name: "" };
  return isUser;
}

/** @param {string} name */
async function take(name) {
  become(await ask("users", wish("POST", name)));
}

/**
 * @param {string} method
 * @param {string} name
 */
function wish(method, name) {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name }) };
}

/** These refusals are told in a sentence; any other trouble may be over next time. @param {number[]} statuses */
const unless = (...statuses) => (/** @type {Error} */ error) => {
  if (statuses.includes(Number(error.cause))) return error.message;
  throw error;
};

/** A user, or a guest. @param {{ id?: number, name: string }} whom */
function become(whom) {
  you = whom;
  try {
    localStorage.setItem(NAME, whom.name);
  } catch {
    // Nothing is kept for this page; see below.
  }
}

/** @returns {string | null} null: nobody was asked yet */
function remembered() {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return you.name; // to be asked each time is worse than never
  }
}

/** It waits for an answer. @type {PromiseWithResolvers<void> | null} */
let question = null;

/**
 * @param {string} name  that we would like
 * @param {string} why  we have not got it
 */
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

// ---------------------------------------------------------------- who is there

/** Who is in the room, in a crowd not all; the panel shows it while it is open. */
export const present = { members: /** @type {Member[]} */ ([]), count: 0, you: 0, show: () => {} };

/**
 * @param {Member[]} members
 * @param {number} count
 * @param {Member} me
 */
export function showMembers(members, count, me) {
  if (me.user !== undefined) become({ id: me.user, name: me.name });
  else if (you.id !== undefined) become({ name: "" }); // the name was given up, perhaps in another window
  nameButton.textContent = me.name;
  for (const sign of document.querySelectorAll("[data-count]")) sign.textContent = people(count);
  Object.assign(present, { members, count, you: me.id });
  present.show();
}

/** @type {Map<string, number>} */
const writing = new Map();

/** @param {string} name */
export function showTyping(name) {
  clearTimeout(writing.get(name));
  writing.set(name, setTimeout(() => stopTyping(name), WRITES));
  tellTyping();
}

/** They have said it, or thought better of it. @param {string} name */
export function stopTyping(name) {
  clearTimeout(writing.get(name));
  if (writing.delete(name)) tellTyping();
}

function tellTyping() {
  const names = [...writing.keys()];
  const who = names.length > 2 ? people(names.length) : names.join(" and ");
  typingLine.textContent = who && `${who} ${names.length > 1 ? "are" : "is"} writing…`;
}
