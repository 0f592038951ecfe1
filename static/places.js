// Places: the list of rooms.
//
// It is not: being in a room (room.js), nor showing others the way there (projector.js).

import { ask, button, element, make, people } from "./dom.js";
import { NO_ROOM, roomNamed } from "./room.js";

const rooms = element("rooms-dialog", HTMLDialogElement);
const roomList = element("rooms", HTMLUListElement);
const roomField = element("room", HTMLInputElement);
const roomTrouble = element("room-trouble", HTMLParagraphElement);

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
