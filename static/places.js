// Places: the list of rooms, and the room on a projector with a code to join by phone.
//
// It is not: being in a room (room.js).

import { ask, button, element, make, people } from "./dom.js";
import { NO_ROOM, keyOf, keys, roomNamed } from "./room.js";
import { rules } from "./rules.js";
import { inLink } from "./token.js";

const rooms = element("rooms-dialog", HTMLDialogElement);
const roomList = element("rooms", HTMLUListElement);
const roomField = element("room", HTMLInputElement);
const roomTrouble = element("room-trouble", HTMLParagraphElement);
const projector = element("projector", HTMLDialogElement);
const projectedRoom = element("projected-room", HTMLHeadingElement);
const code = element("code", HTMLImageElement);
const address = element("address", HTMLParagraphElement);
const others = element("addresses", HTMLUListElement);
const tokenNote = element("token-note", HTMLParagraphElement);
const keyNote = element("key-note", HTMLParagraphElement);

/** How often the list of rooms is fetched anew while it is open, in milliseconds. */
const LOOK = 2_000;

/** A room is entered by its address. @param {string} name */
function enter(name) {
  rooms.close();
  location.hash = name;
}

element("room-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const name = roomNamed(roomField.value);
  roomTrouble.textContent = name ? "" : `This ${NO_ROOM}`;
  if (name) enter(name);
});

export function showRooms() {
  roomField.value = roomTrouble.textContent = "";
  rooms.showModal();
  list();
}

async function list() {
  if (!rooms.open) return;
  /** @type {{ rooms: { name: string, members: number, topic?: string, has_key?: boolean }[] }} */
  const { rooms: there } = await ask("rooms").catch(() => ({ rooms: [] }));
  const items = there.map(({ name, members, topic, has_key }) => {
    const item = make("li");
    const notes = [members ? people(members) : "nobody now", has_key && "has a key", topic].filter(Boolean);
    item.append(button(name, () => enter(name)), make("span", "quiet-text", notes.join(" · ")));
    return item;
  });
  // Not while somebody goes through it by keyboard: the button under their fingers would vanish.
  if (!roomList.contains(document.activeElement)) roomList.replaceChildren(...items);
  setTimeout(list, LOOK);
}

/** @param {string} room */
export async function project(room) {
  /** @type {{ needed: boolean }} */
  const { needed } = await ask("token");
  const query = needed ? inLink() : "";
  const key = (rules.has_key && keys[keyOf(room)]) || "";
  const page = `${location.origin}${location.pathname}${query}`;
  /** @type {{ url: string, also: string[], svg: string }} */
  const { url, also, svg } = await ask(`invitation?page=${page}&room=${room}${key && `&key=${key}`}`);
  tokenNote.textContent = needed ? noteOf("server's token", query) : "";
  keyNote.textContent = rules.has_key ? noteOf("key of the room", key) : "";
  code.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  code.alt = `QR code of ${url}`;
  address.textContent = url;
  others.replaceChildren(...also.map((other) => make("li", "", other)));
  projectedRoom.textContent = `#${room}`;
  element("projected-count", HTMLParagraphElement).textContent = element("people-button", HTMLButtonElement).textContent;
  projector.showModal();
}

/** @param {string} what  is needed @param {string} secret  that the link has; empty: it has none */
function noteOf(what, secret) {
  return secret ? `The ${what} is in this link: whoever sees it can come in.` : `Whoever opens this link is asked for the ${what}.`;
}
