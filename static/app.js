// The page of wsroom, from the top: which room, what goes out, and what is where on the page.
//
//   address (#room) ──▶ enterRoom ──▶ Room ──▶ log, people
//   box, button, drag, paste ──▶ Room
//
// It is not: any of their work. The other files are best read in this order: room.js (wsroom.v1, resuming),
// connection.js, log.js, people.js, places.js, wire.js.

import { element, size } from "./dom.js";
import * as log from "./log.js";
import * as people from "./people.js";
import { Room } from "./room.js";

const roomsButton = element("rooms-button", HTMLButtonElement);
const projectedRoom = element("projected-room", HTMLHeadingElement);
const compose = element("compose", HTMLFormElement);
const draft = element("text", HTMLTextAreaElement);
const fileField = element("file", HTMLInputElement);
const dropSign = element("drop", HTMLParagraphElement);
const wirePanel = element("wire", HTMLElement);
const slow = element("slow", HTMLSelectElement);

let name = "";

/** Null while the address names no possible room. @type {Room | null} */
let room = null;

// ---------------------------------------------------------------- room

const LOBBY = "lobby";

/** "." and ".." are names to nobody: a browser resolves them as folders before it connects. */
const ROOM_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}$/;

function enterRoom() {
  const unheard = room?.end() ?? [];
  const before = name;
  name = roomInAddress();
  log.clear(name);
  if (unheard.length > 0) log.showNotice(`Not sent to #${before}: ${unheard.join(", ")}`);
  roomsButton.textContent = projectedRoom.textContent = `#${name}`;
  room = ROOM_NAME.test(name) ? new Room(addressOf) : null;
  if (!room) log.showStatus("offline", "This is no name for a room. It takes 1 to 64 of the letters A to Z, digits, and . _ ~ -");
}

function roomInAddress() {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment) || LOBBY;
  } catch {
    return fragment; // a stray % is no room either, and will be told so
  }
}

/**
 * Relative to the page, so that it is right below any prefix, and behind a proxy that adds TLS.
 * @param {number} since
 */
function addressOf(since) {
  const address = new URL(`ws/${name}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.hash = "";
  address.searchParams.set("since", String(since));
  if (slow.value) address.searchParams.set("slow", slow.value);
  return address;
}

// ---------------------------------------------------------------- what the user says

function sendText() {
  const text = draft.value.trimEnd();
  if (!text || !room) return;
  const problem = room.say(text);
  if (problem) log.showNotice(problem);
  else draft.value = "";
}

/** @param {Iterable<File>} files */
async function sendFiles(files) {
  const here = room; // whatever room the user is in when a slow disk has answered
  for (const file of files) {
    const problem = here && (await sendFile(here, file));
    if (problem) log.showNotice(`${file.name} was not sent: ${problem}`);
  }
}

/**
 * @param {Room} here
 * @param {File} file
 */
async function sendFile(here, file) {
  if (file.size > here.limit) return `it has ${size(file.size)}, and a message here has ${size(here.limit)} at most.`;
  const bytes = await file.arrayBuffer().catch(() => null);
  return bytes ? here.show(file.name, file.type, bytes) : "it cannot be read. A folder, perhaps?";
}

// ---------------------------------------------------------------- keys, buttons, drag and paste

window.addEventListener("hashchange", enterRoom);

compose.addEventListener("submit", (event) => {
  event.preventDefault();
  sendText();
  draft.focus();
});

draft.addEventListener("input", () => room?.type());

draft.addEventListener("keydown", (event) => {
  // Enter may also end a word of Japanese, say. 229 is how Safari tells that.
  const picksFromInputMethod = event.isComposing || event.keyCode === 229;
  if (event.key !== "Enter" || event.shiftKey || picksFromInputMethod) return;
  event.preventDefault();
  sendText();
});

fileField.addEventListener("change", () => {
  sendFiles([...(fileField.files ?? [])]);
  fileField.value = ""; // so that the same file can be chosen again
});

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  const hasText = event.clipboardData?.types.includes("text/plain"); // a spreadsheet adds a picture of itself
  if (files.length === 0 || hasText) return;
  event.preventDefault();
  sendFiles(files);
});

window.addEventListener("dragover", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault(); // or the browser would open the file
  dropSign.hidden = false;
});

window.addEventListener("dragleave", (event) => {
  const leftTheWindow = event.relatedTarget === null;
  if (leftTheWindow) dropSign.hidden = true;
});

window.addEventListener("drop", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  dropSign.hidden = true;
  sendFiles([...(event.dataTransfer?.files ?? [])]);
});

/** @param {DragEvent} event */
function bringsFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/**
 * A button that opens a panel beside the log, and closes it.
 * @param {string} id
 * @param {(shown: boolean) => void} show
 */
function toggles(id, show) {
  const toggle = element(id, HTMLButtonElement);
  toggle.addEventListener("click", () => {
    const shown = toggle.getAttribute("aria-expanded") !== "true";
    toggle.setAttribute("aria-expanded", String(shown));
    show(shown);
  });
}

toggles("people-button", (shown) => (element("people", HTMLElement).hidden = !shown));

/** What few ask for is fetched when they do. @param {() => Promise<unknown>} use */
const fetched = (use) => use().catch((error) => log.showNotice(error.message));

toggles("wire-button", (shown) => {
  wirePanel.hidden = !shown;
  fetched(async () => (await import("./wire.js")).show(shown, () => ({ name, last: room?.last ?? 0 })));
});

roomsButton.addEventListener("click", () => fetched(async () => (await import("./places.js")).showRooms()));

element("projector-button", HTMLButtonElement).addEventListener("click", () =>
  fetched(async () => (await import("./places.js")).project(name)));

slow.addEventListener("change", () => room?.again());

window.addEventListener("beforeunload", (event) => {
  if (room?.unheard.length) event.preventDefault(); // the browser asks whether to leave
});

people.start(() => room?.again());
enterRoom();
