// The page of wsroom, from the top: which room, what goes out, and what is where on the page.
//
//   address (#room) ─▶ enterRoom ─▶ Room ─▶ log, people
//   box, button, drag, paste ─▶ Room

import { element, storage } from "./dom.js";
import * as log from "./log.js";
import * as people from "./people.js";
import { NO_ROOM, Room, keyOf, keys, roomNamed } from "./room.js";

const roomsButton = element("rooms-button", HTMLButtonElement);
const compose = element("compose", HTMLFormElement);
const draft = element("text", HTMLTextAreaElement);
const fileField = element("file", HTMLInputElement);
const dropSign = element("drop", HTMLParagraphElement);

let name = "";

/** Null until the first one is entered. @type {Room | null} */
let room = null;

// ---- room

/**
 * Into the room in the address; one that names none leads to where we are, or to the lobby. A key of the room may stand
 * behind it (#physics?key=…), and leaves the address bar at once.
 */
function enterRoom() {
  const given = fragment();
  if (given === "/owner") return location.replace("owner.html");
  const [wish = "", key] = given.split("?key=");
  const wished = roomNamed(wish);
  const next = wished ?? (name || "lobby");
  if (key) keys[keyOf(next)] = key;
  if (given && given !== next) history.replaceState(null, "", `#${next}`);
  if (next !== name) move(next);
  else if (key) room?.connection.retry();
  if (!wished) log.showNotice(`“${wish}” ${NO_ROOM}`);
}

/** @param {string} next */
function move(next) {
  const before = name;
  name = next;
  log.clear(name);
  if (room?.unheard.length) log.showNotice(`Not sent to #${before}: ${room.unheard.join(", ")}`);
  room?.connection.end();
  roomsButton.textContent = `#${name}`;
  room = new Room(name, addressOf);
}

function fragment() {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment; // a stray % is no room either, and will be told so
  }
}

/**
 * Relative to the page, so that it is right below any prefix, and behind a proxy that adds TLS.
 * @param {number | null} since  null: nothing was heard
 */
function addressOf(since) {
  const address = new URL(`ws/${name}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.hash = "";
  if (since === null) address.searchParams.set("last", "100");
  else address.searchParams.set("since", String(since));
  address.searchParams.set("files", "later");
  const key = keys[keyOf(name)];
  if (key) address.searchParams.set("key", key);
  return address;
}

// ---- what the user says

function sendText() {
  const text = draft.value.trimEnd();
  if (!text || !room) return;
  const problem = room.say(text);
  if (problem) log.showNotice(`Not sent: ${problem}`);
  else draft.value = "";
}

/** To the room we are in now, whatever room that is when a slow disk has answered. @param {FileList | undefined | null} list */
function sendFiles(list) {
  const files = [...(list ?? [])];
  const here = room;
  import("./files.js").then((module) => here && module.send(files, here)).catch((error) => log.showNotice(error.message));
}

// ---- keys, buttons, drag and paste

window.addEventListener("hashchange", enterRoom);

compose.addEventListener("submit", (event) => {
  event.preventDefault();
  sendText();
  draft.focus();
});

draft.addEventListener("input", () => room?.type());

draft.addEventListener("keydown", (event) => {
  const picksFromInputMethod = event.isComposing || event.keyCode === 229; // a word of Japanese; 229 is Safari's way
  if (event.key !== "Enter" || event.shiftKey || picksFromInputMethod) return;
  event.preventDefault();
  sendText();
});

fileField.addEventListener("change", () => {
  sendFiles(fileField.files);
  fileField.value = ""; // so that the same file can be chosen again
});

document.addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData ?? {};
  if (!files?.length || types?.includes("text/plain")) return; // a spreadsheet adds a picture of itself
  event.preventDefault();
  sendFiles(files);
});

window.addEventListener("dragover", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault(); // or the browser would open the file
  dropSign.hidden = false;
});

window.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) dropSign.hidden = true; // it has left the window
});

window.addEventListener("drop", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  dropSign.hidden = true;
  sendFiles(event.dataTransfer?.files);
});

/** @param {DragEvent} event */
const bringsFiles = (event) => event.dataTransfer?.types.includes("Files");

/** A button that opens and closes a panel. @param {string} id @param {(shown: boolean) => void} show */
function toggles(id, show) {
  const toggle = element(id, HTMLButtonElement);
  toggle.addEventListener("click", () => {
    const shown = toggle.getAttribute("aria-expanded") !== "true";
    toggle.setAttribute("aria-expanded", String(shown));
    show(shown);
  });
}

toggles("people-button", (shown) => {
  room?.rule(); // so that it is known who leads
  log.fetched((panels) => panels.people(shown));
});
toggles("wire-button", (shown) => log.fetched((panels) => panels.wire(shown)));

toggles("history-button", (shown) => {
  room?.rule();
  log.fetched(async (panels) => (await panels.history()).show(shown));
});

roomsButton.addEventListener("click", () => log.fetched(async (panels) => (await panels.places()).showRooms()));

element("projector-button", HTMLButtonElement).addEventListener("click", () => {
  room?.rule(); // whose hand was up before we came
  log.fetched(async (panels) => (await panels.projector()).project(name));
});

element("retry", HTMLButtonElement).addEventListener("click", () => room?.connection.retry());

element("hand-button", HTMLButtonElement).addEventListener("click", () => room?.rule().then((rules) => rules ? rules.raise() : log.showNotice("There is no connection.")));

// Beside a message there may be something to do about it, and above the log an earlier one.
for (const type of ["pointermove", "pointerdown", "focusin"]) {
  element("scroller", HTMLDivElement).addEventListener(type, () => {
    room?.rule();
    import("./earlier.js").catch(() => {});
  }, { once: true });
}

window.addEventListener("beforeunload", (event) => {
  if (room?.unheard.length) event.preventDefault(); // the browser asks whether to leave
});

if (storage("localStorage")?.getItem("wsroom.alerts")) import("./alerts.js").catch(() => {});

people.start(() => room?.connection.again());
enterRoom();
