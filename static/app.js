// The page of wsroom, from the top: which room, one connection to it, what comes in, what goes out.
//
//   address (#room) ──▶ enterRoom ──▶ Connection ──▶ connectionChanged, frameCame ──▶ view
//   box, button, drag, paste ──▶ sendText, sendFiles ──▶ Connection
//
// It is not: keeping a connection alive (connection.js), the form of frames (messages.js), or drawing (view.js).

import { Connection } from "./connection.js";
import { MAX_BYTES, TAB, fileFrame, read, textFrame, tooLarge } from "./messages.js";
import { clearLog, element, showMessage, showNotice, showStatus, size } from "./view.js";

/** @import { Report } from "./connection.js" */

const roomForm = element("room-form", HTMLFormElement);
const roomField = element("room", HTMLInputElement);
const nameField = element("name", HTMLInputElement);
const compose = element("compose", HTMLFormElement);
const draft = element("text", HTMLTextAreaElement);
const sendButton = element("send", HTMLButtonElement);
const fileField = element("file", HTMLInputElement);
const dropSign = element("drop", HTMLParagraphElement);

let room = "";

/** Null while the address names no possible room. @type {Connection | null} */
let connection = null;

let isOpen = false;
let wasLost = false; // in this room, so that the log can say where its gap is

/**
 * What was sent and has not come back yet, oldest first: given back to the user if the connection breaks.
 * @type {{ text?: string, file?: string }[]}
 */
let unheard = [];

let unseen = 0; // messages since the page was last looked at

// ---------------------------------------------------------------- room

const LOBBY = "lobby";

/** "." and ".." are names to the server, but a browser resolves them as folders before it connects. */
const ROOM_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}$/;

function enterRoom() {
  connection?.end();
  connection = null;
  isOpen = wasLost = false;
  unheard = [];
  clearLog();

  room = roomInAddress();
  roomField.value = room;
  showTitle();
  if (ROOM_NAME.test(room)) {
    connection = new Connection(addressOf(room), connectionChanged, frameCame);
  } else {
    allowSending(false);
    showStatus("offline", "This is no name for a room. It takes 1 to 64 of the letters A to Z, digits, and . _ ~ -");
  }
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
 * @param {string} room
 */
function addressOf(room) {
  const address = new URL(room === LOBBY ? "ws" : `ws/${room}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return address;
}

// ---------------------------------------------------------------- what the connection says

/** @param {Report} report */
function connectionChanged({ state, why = "", seconds }) {
  if (isOpen && state !== "open") connectionLost(why);
  allowSending(state === "open");
  switch (state) {
    case "connecting":
      showStatus(state, `Connecting to ${room}…`);
      break;
    case "open":
      showStatus(state, `Connected to ${room}`);
      if (wasLost) showNotice("Connected again. What was said in between is not shown here.");
      wasLost = false;
      break;
    case "waiting":
      showStatus(state, `${why} Trying again`, whenAgain(seconds));
      break;
    case "offline":
      showStatus(state, "This device is offline. Trying again", whenAgain(seconds));
      break;
    default:
      throw new Error(`no such state of a connection: ${state}`);
  }
}

/** @param {number | undefined} seconds */
function whenAgain(seconds) {
  return seconds === undefined ? "when you are back" : `in ${seconds} s`;
}

/** @param {boolean} allowed */
function allowSending(allowed) {
  isOpen = allowed;
  sendButton.disabled = fileField.disabled = !allowed;
  sendButton.title = allowed ? "" : "Not connected: your text stays in the box.";
}

/** @param {string} why */
function connectionLost(why) {
  wasLost = true;
  showNotice(why);
  const texts = unheard.flatMap(({ text }) => text ?? []);
  const files = unheard.flatMap(({ file }) => file ?? []);
  unheard = [];
  if (texts.length > 0) {
    draft.value = [...texts, draft.value].filter(Boolean).join("\n");
    showNotice("Your last words may not have been heard. They are back in the box.");
  }
  if (files.length > 0) showNotice(`May not have arrived: ${files.join(", ")}`);
}

/** @param {string | ArrayBuffer} frame */
function frameCame(frame) {
  const message = read(frame);
  const own = message.tab === TAB;
  if (own) unheard.shift(); // the server keeps the order, so it is the oldest
  showMessage(message, own);
  if (document.hidden) unseen += 1;
  showTitle();
}

function showTitle() {
  document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${room} · wsroom`;
}

// ---------------------------------------------------------------- what the user says

// Nothing is drawn here: a message is shown when it comes back from the server, in its place among the others'.

function sendText() {
  const text = draft.value.trimEnd();
  if (!text) return;
  const frame = textFrame(myName(), text);
  if (tooLarge(frame)) {
    showNotice(`This text is too long: ${size(MAX_BYTES)} is the most that fits in a message.`);
  } else if (connection?.send(frame)) {
    unheard.push({ text });
    draft.value = "";
  }
}

/** @param {Iterable<File>} files */
async function sendFiles(files) {
  const here = connection; // whatever room the user is in when a slow disk has answered
  for (const file of files) {
    const problem = await sendFile(here, file);
    if (problem) showNotice(`${file.name} was not sent: ${problem}`);
  }
}

/**
 * @param {Connection | null} here
 * @param {File} file
 * @returns {Promise<string>} why it was not sent; empty if it was
 */
async function sendFile(here, file) {
  if (file.size > MAX_BYTES) return `it has ${size(file.size)}, and ${size(MAX_BYTES)} is the most that fits in a message.`;
  try {
    const frame = await fileFrame(myName(), file);
    if (!here?.send(frame)) return "there is no connection.";
  } catch {
    return "it cannot be read. A folder, perhaps?";
  }
  unheard.push({ file: file.name });
  return "";
}

function myName() {
  return nameField.value.trim();
}

// ---------------------------------------------------------------- the name, kept for the next visit

const NAME_KEY = "wsroom.name";

function recallName() {
  try {
    nameField.value = localStorage.getItem(NAME_KEY) ?? "";
  } catch {
    // The browser keeps nothing for this page. It is a guest, then.
  }
}

function keepName() {
  try {
    localStorage.setItem(NAME_KEY, myName());
  } catch {
    // As above.
  }
}

// ---------------------------------------------------------------- keys, buttons, drag and paste

window.addEventListener("hashchange", enterRoom);

roomField.addEventListener("change", () => {
  location.hash = roomField.value.trim().replace(/^#/, "");
});

roomForm.addEventListener("submit", (event) => {
  event.preventDefault();
  draft.focus();
});

nameField.addEventListener("input", keepName);

compose.addEventListener("submit", (event) => {
  event.preventDefault();
  sendText();
  draft.focus();
});

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
  event.preventDefault(); // or the browser would open the file in place of the page
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

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  showTitle();
});

recallName();
enterRoom();
