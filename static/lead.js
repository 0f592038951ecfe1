// Leading a room: what opens for its leaders, and how the owner of the server names and dismisses them. Of an own
// message its author may open the same. It is fetched with the first of these buttons.
//
// Acts go over the connection of the room, which tells a refusal in the log. The settings are answered by the REST API,
// so that a refusal stands beside them.
//
// It is not: what everyone sees of the acts (rules.js).

import { ask as request, element } from "./dom.js";
import { bring } from "./panels.js";
import { present } from "./people.js";
import { keyOf, keys } from "./room.js";
import { ask, leads, nameOfRoom, rules } from "./rules.js";

/** @import { Member } from "./types.js" */

/** Of a message in its dialog. */
const EXCERPT = 200;

/** @param {string} name @param {object} [what] */
const act = (name, what) => ask({ type: "act", act: name, ...what });

/** @param {string} id */
const dialogOf = (id) => element(id, HTMLDialogElement);

/** @param {string} id */
const buttonOf = (id) => element(id, HTMLButtonElement);

/** @param {string} id */
const fieldOf = (id) => element(id, HTMLInputElement);

/** @param {unknown} error */
const inWords = (error) => (error instanceof Error ? error.message : String(error));

// Nobody finds the token in the page afterwards.
dialogOf("lead-dialog").addEventListener("close", () => (fieldOf("admin-token").value = ""));

// ---- who leads: the owner of the server says it, by the admin token

/** The dialog for whoever leads the room, or wants to. */
export async function open() {
  await bring();
  if (leads()) return openRoom();
  if (present.you.user === undefined) return askForAName();
  openLeaders();
}

/** A leader is a user, and does this again by that name. */
function askForAName() {
  buttonOf("name-button").click();
  element("name-trouble", HTMLParagraphElement).textContent = "A leader needs a name. Then press the button again.";
}

const who = element("lead-who", HTMLSelectElement);

function openLeaders() {
  const options = [...candidates()].map(([user, name]) => new Option(name, String(user)));
  who.replaceChildren(...options);
  who.value = String(present.you.user);
  element("lead-trouble", HTMLParagraphElement).textContent = "";
  nameTheDeed();
  dialogOf("lead-dialog").showModal();
}

/** Leaders, and the users who are here: guests have no number by which they could lead. @returns {Map<number, string>} */
function candidates() {
  const here = [present.you, ...present.members].flatMap(({ user, name }) => (user === undefined ? [] : [{ user, name }]));
  return new Map([...rules.leaders, ...here].map(({ user, name }) => [user, name]));
}

/** What the button says: it holds even if somebody else does the same meanwhile. */
let dismisses = false;

function nameTheDeed() {
  dismisses = rules.leaders.some(({ user }) => String(user) === who.value);
  buttonOf("lead-them").textContent = dismisses ? "Dismiss as leader" : "Make a leader";
}

who.addEventListener("change", nameTheDeed);

element("lead-form", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = fieldOf("admin-token").value;
  const trouble = element("lead-trouble", HTMLParagraphElement);
  trouble.textContent = "";
  const path = `rooms/${nameOfRoom()}/leaders/${who.value}`;
  const how = { method: dismisses ? "DELETE" : "PUT", headers: { Authorization: `Bearer ${token}` } };
  try {
    await request(path, how);
    dialogOf("lead-dialog").close();
  } catch (error) {
    trouble.textContent = inWords(error);
  }
});

buttonOf("leaders").addEventListener("click", () => {
  dialogOf("room-dialog").close();
  openLeaders();
});

// ---- the room

/** The key that this tab knows. */
const knownKey = () => (rules.has_key && keys[keyOf(nameOfRoom())]) || "";

function openRoom() {
  fieldOf("set-topic").value = rules.topic;
  element("set-mode", HTMLSelectElement).value = rules.mode;
  fieldOf("set-key").value = knownKey();
  fieldOf("set-history").checked = rules.history;
  const isUnknown = rules.has_key && !knownKey();
  element("set-key-help", HTMLParagraphElement).textContent = isUnknown
    ? "There is a key that this tab does not know. It stays if this is empty; a single - takes it away."
    : "Whoever has it may enter; empty: nobody needs one.";
  element("set-trouble", HTMLParagraphElement).textContent = "";
  buttonOf("unpin").hidden = rules.pinned === undefined;
  for (const [id, label] of Object.entries(GRAVE)) buttonOf(id).textContent = label;
  dialogOf("room-dialog").showModal();
}

/** What the form says of the key: undefined if it stays. */
function wishedKey() {
  const wish = fieldOf("set-key").value.trim();
  if (wish === knownKey()) return undefined;
  return wish === "-" ? "" : wish;
}

element("set-form", HTMLFormElement).addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = wishedKey();
  const wish = {
    topic: fieldOf("set-topic").value,
    mode: element("set-mode", HTMLSelectElement).value,
    history: fieldOf("set-history").checked,
    ...(key !== undefined && { key }),
  };
  const room = nameOfRoom();
  const how = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wish) };
  try {
    await request(`rooms/${room}`, how);
    if (key !== undefined) keys[keyOf(room)] = key;
    dialogOf("room-dialog").close();
  } catch (error) {
    element("set-trouble", HTMLParagraphElement).textContent = inWords(error);
  }
});

/** What cannot be taken back is pressed twice. @type {Record<string, string>} */
const GRAVE = { "clear-room": "Remove all messages", "end-class": "End of class" };

/** @param {string} id @param {string} name  of the act */
function does(id, name) {
  const press = buttonOf(id);
  press.addEventListener("click", () => {
    const sure = `Yes: ${GRAVE[id]?.toLowerCase()}`;
    if (id in GRAVE && press.textContent !== sure) {
      press.textContent = sure;
      return;
    }
    dialogOf("room-dialog").close();
    act(name);
  });
}

does("lower-hands", "lower");
does("unpin", "unpin");
does("clear-room", "clear");
does("end-class", "end");

// ---- a message, a member

/** @param {number} id @param {HTMLElement} item  where it stands */
export function message(id, item) {
  const isPinned = rules.pinned === id;
  const pin = buttonOf("pin-message");
  element("message-excerpt", HTMLParagraphElement).textContent =
    item.querySelector(".body")?.textContent?.slice(0, EXCERPT) ?? "";
  pin.hidden = !leads();
  pin.textContent = isPinned ? "Unpin" : "Pin";
  pin.onclick = () => (isPinned ? act("unpin") : act("pin", { message: id }));
  buttonOf("remove-message").onclick = () => act("remove", { message: id });
  dialogOf("message-dialog").showModal();
}

/** @param {Member} who */
export function member({ id, name, muted, hand }) {
  const mute = buttonOf("mute-member");
  const lower = buttonOf("lower-hand");
  element("member-title", HTMLHeadingElement).textContent = name;
  mute.textContent = muted ? "Let speak again" : "Mute";
  mute.onclick = () => act(muted ? "unmute" : "mute", { member: id });
  lower.hidden = !hand;
  lower.onclick = () => act("lower", { member: id });
  fieldOf("out-reason").value = "";
  element("out-form", HTMLFormElement).onsubmit = () => {
    const minutes = fieldOf("out-minutes").valueAsNumber;
    act("put-out", { member: id, minutes, reason: fieldOf("out-reason").value.trim() });
  };
  dialogOf("member-dialog").showModal();
}
