// People: who is in the room, who is writing, and the name of whoever sits here.
//
// A name belongs to whoever has its key, and the key is a cookie that no script can read: so the page asks
// the server who it is, and keeps nothing itself but that it has asked.
//
// It is not: what the members say (room.js, log.js).

import { ask, element, make, people } from "./dom.js";

/** @import { Member } from "./room.js" */

const dialog = element("name-dialog", HTMLDialogElement);
const form = element("name-form", HTMLFormElement);
const field = element("name", HTMLInputElement);
const trouble = element("name-trouble", HTMLParagraphElement);
const guest = element("guest", HTMLButtonElement);
const nameButton = element("name-button", HTMLButtonElement);
const memberList = element("members", HTMLUListElement);
const countSigns = document.querySelectorAll("[data-count]");
const typingLine = element("typing", HTMLParagraphElement);

const ASKED = "wsroom.asked";

/** How long somebody counts as writing, in milliseconds: a bit longer than their notes are apart. */
const WRITES = 5_000;

/** @type {Member | null} */
let you = null;

/** Called when the name has changed hands, so that the room must be entered as somebody else. */
let becameAnother = () => {};

/** @param {() => void} become */
export function start(become) {
  becameAnother = become;
}

/**
 * @param {Member[]} members  empty in a crowd
 * @param {number} count
 * @param {Member} me
 */
export function showMembers(members, count, me) {
  you = me;
  nameButton.textContent = me.name;
  guest.textContent = me.user === undefined ? "Stay a guest" : "Give up this name";
  for (const sign of countSigns) sign.textContent = people(count);
  const items = members.map(({ id, name, user }) => {
    const item = make("li", user === undefined ? "quiet-text" : "", name);
    item.dir = "auto";
    if (id === me.id) item.append(make("span", "you", "you"));
    return item;
  });
  if (members.length < count) items.push(make("li", "quiet-text", "Too many to name them all."));
  memberList.replaceChildren(...items);
  if (me.user === undefined && !dialog.open && !wasAsked()) open();
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

function open() {
  field.value = you?.user === undefined ? "" : you.name;
  trouble.textContent = "";
  dialog.showModal();
}

function wasAsked() {
  try {
    return localStorage.getItem(ASKED) !== null;
  } catch {
    return true; // nothing is kept for this page, and to be asked each time is worse than never
  }
}

dialog.addEventListener("close", () => {
  try {
    localStorage.setItem(ASKED, "yes");
  } catch {
    // As above.
  }
});

nameButton.addEventListener("click", open);

/** @param {() => Promise<void>} change */
async function attempt(change) {
  trouble.textContent = "";
  try {
    await change();
    dialog.close();
  } catch (error) {
    trouble.textContent = error instanceof Error ? error.message : String(error);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const isNew = you?.user === undefined;
    await ask(isNew ? "users" : `users/${you?.user}`, {
      method: isNew ? "POST" : "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: field.value }),
    });
    if (isNew) becameAnother(); // a new name for the same user is told to everyone by the server
  });
});

guest.addEventListener("click", () => {
  attempt(async () => {
    if (you?.user === undefined) return;
    await ask(`users/${you.user}`, { method: "DELETE" });
  });
});
