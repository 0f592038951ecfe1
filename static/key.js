// The key of a room: whoever comes without it, or with another one, is asked for it. The tab keeps it (see app.js).
//
// It is not: who may enter (the server knows), nor anybody's own key (people.js).

import { element } from "./dom.js";
import { bring } from "./panels.js";
import { roomNamed } from "./room.js";

/** The room that is asked about. */
let asked = "";

/** @param {string} room @param {string} why  we are not let in */
export async function askFor(room, why) {
  await bring();
  if (isElsewhere(room)) return;
  asked = room;
  const dialog = element("key-dialog", HTMLDialogElement);
  const field = element("room-key", HTMLInputElement);
  element("key-trouble", HTMLParagraphElement).textContent = why;
  element("keyed-room", HTMLElement).textContent = `#${room}`;
  element("key-form", HTMLFormElement).onsubmit = () => {
    // As if a link had brought it; it stays in no history of the browser.
    history.replaceState(null, "", `#${room}?key=${keyIn(field.value)}`);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
    field.value = "";
  };
  if (!dialog.open) dialog.showModal();
}

/** Somebody may bring the whole link. @param {string} text */
function keyIn(text) {
  return encodeURIComponent(/[?&]key=([^&#]*)/.exec(text)?.[1] ?? text.trim());
}

/** Whether the browser's own button has led to another room meanwhile. @param {string} room */
const isElsewhere = (room) => roomNamed(location.hash.slice(1)) !== room;

window.addEventListener("hashchange", () => {
  if (isElsewhere(asked)) element("key-dialog", HTMLDialogElement).close();
});
