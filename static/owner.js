// The owner's page: what is so in the server, second by second, and what its owner can do about it.
//
//   WebSocket (owner) ─▶ show ─▶ counts, rates, rooms, clients, warnings
//   a button ─▶ its dialog ─▶ the REST API
//
// The token is in the memory of this page alone: it is the first message of the WebSocket, a field of the requests, and
// forgotten with a reload.
//
// It is not: what the leaders of a room do on the room's page (lead.js).

import { ask, button, element, make, size, tell } from "./dom.js";

/** @import { ClientRow, RoomRow, Snapshot, Traffic } from "./types.js" */

/** Seconds that the plots go back. */
const SPAN = 120;

/** A snapshot comes each second. After so many milliseconds without one, the line is dead. */
const PATIENCE = 10_000;

/** Milliseconds before the next attempt. */
const PAUSE = 2_000;

/** The Close for whoever is not the owner (RFC 6455 §7.4.1: a policy is violated). */
const NOT_THE_OWNER = 1008;

const form = element("token-form", HTMLFormElement);
const field = element("token", HTMLInputElement);
const state = element("state", HTMLParagraphElement);
const view = element("view", HTMLDivElement);

let token = "";

/** Oldest first. @type {Traffic[]} */
let past = [];

// ---- the connection

form.addEventListener("submit", (event) => {
  event.preventDefault();
  token = field.value.trim();
  field.value = ""; // nobody finds it in the page afterwards
  form.hidden = true;
  watch();
});

function watch() {
  const address = new URL("owner", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  tell(state, "Connecting…");
  const socket = new WebSocket(address);
  let patience = 0;
  const wait = () => {
    clearTimeout(patience);
    patience = setTimeout(() => end("Nothing is heard from the server."), PATIENCE);
  };
  /** @param {string} why */
  const end = (why) => {
    clearTimeout(patience);
    socket.onmessage = socket.onclose = null;
    socket.close();
    lost(why);
  };
  socket.onopen = () => {
    past = [];
    socket.send(JSON.stringify({ type: "token", token }));
  };
  socket.onmessage = ({ data }) => {
    wait();
    show(JSON.parse(data));
  };
  socket.onclose = ({ code, reason }) => {
    if (code !== NOT_THE_OWNER) return end(reason ? `The server says: ${reason}.` : "There is no connection.");
    clearTimeout(patience);
    refused(reason);
  };
  wait();
}

/** @param {string} why */
function lost(why) {
  tell(state, `${why} Trying again…`);
  setTimeout(watch, PAUSE);
}

/** @param {string} why */
function refused(why) {
  token = "";
  view.hidden = true;
  form.hidden = false;
  tell(state, `The server says: ${why}.`);
  field.focus();
}

// ---- what is so

/** @param {Snapshot} snapshot */
function show(snapshot) {
  const { clients, roomless, rooms, users, warnings } = snapshot;
  tell(state, "Watching.");
  view.hidden = false;
  element("counts", HTMLParagraphElement).textContent =
    `In rooms: ${clients.count.toLocaleString()} · Different users: ${users.toLocaleString()} · Elsewhere (the echo, this page): ${roomless.toLocaleString()}`;
  showRates(snapshot);
  tellLength("rooms", rooms, "the largest are shown");
  fill("rooms", rooms.list, ({ room }) => room, roomCells, endRoom);
  tellLength("clients", clients, "those who are most behind are shown");
  fill("clients", clients.list, ({ room, member }) => `${room} ${member}`, clientCells, putOut);
  showWarnings(warnings);
}

/** @param {string} id  of a table's body @param {{ count: number, list: unknown[] }} all @param {string} which */
function tellLength(id, { count, list }, which) {
  const all = count.toLocaleString();
  const note = list.length < count ? `${list.length} of ${all}: ${which}` : `All: ${all}`;
  element(`${id}-note`, HTMLParagraphElement).textContent = note;
}

/** @param {Traffic} now */
function showRates(now) {
  past = [...past, now].slice(-SPAN - 1);
  plot("messages", "Messages in", round);
  plot("deliveries", "Deliveries", round);
  plot("bytes", "Bytes out", (count) => size(Math.round(count)));
}

/** @param {number} count */
const round = (count) => Math.round(count).toLocaleString();

/** @param {"messages" | "deliveries" | "bytes"} what  the id of its line, too @param {string} title @param {(rate: number) => string} words */
function plot(what, title, words) {
  const rates = past.slice(1).map((now, n) => {
    const before = /** @type {Traffic} */ (past[n]);
    return ((now[what] - before[what]) * 1_000) / Math.max(1, now.at - before.at);
  });
  const top = Math.max(1, ...rates);
  const points = rates.map((rate, n) => `${(SPAN - rates.length + n + 1) * 2},${46 - (44 * rate) / top}`);
  const line = element(what, SVGPolylineElement);
  line.setAttribute("points", points.join(" "));
  const caption = line.closest("figure")?.querySelector("figcaption");
  if (caption) caption.textContent = `${title}: ${words(rates.at(-1) ?? 0)} a second, at most ${words(Math.max(0, ...rates))}`;
}

/** @param {RoomRow} row */
const roomCells = ({ room, members }) => ({ texts: [room, members.toLocaleString()], deed: "Close", whose: room });

/** @param {ClientRow} row */
function clientCells({ name, user, room, address, seconds, waiting }) {
  const shown = user === undefined ? name : `${name} (user ${user})`;
  return { texts: [shown, room, address, duration(seconds), waiting ? size(waiting) : "–"], deed: "Put out", whose: name };
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/**
 * Rows stay the same elements while they are about the same, so that a button keeps the focus and can be pressed.
 * @template T
 * @param {string} id  of the table's body
 * @param {T[]} list
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => { texts: string[], deed: string, whose: string }} cellsOf
 * @param {(item: T) => void} act
 */
function fill(id, list, keyOf, cellsOf, act) {
  const body = element(id, HTMLTableSectionElement);
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const { activeElement } = document;
  list.forEach((item, place) => {
    const { texts, deed, whose } = cellsOf(item);
    const row = rows.get(keyOf(item)) ?? fresh(keyOf(item), texts.length, deed);
    texts.forEach((text, n) => tell(/** @type {Element} */ (row.cells[n]), text));
    const press = /** @type {HTMLButtonElement} */ (row.querySelector("button"));
    press.ariaLabel = `${deed}: ${whose}`;
    press.onclick = () => act(item);
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  while (body.rows.length > list.length) body.deleteRow(-1);
  // A row that has moved has lost it.
  const isLost = activeElement !== document.activeElement;
  if (isLost && activeElement instanceof HTMLElement) activeElement.focus({ preventScroll: true });
}

/** @param {string} key @param {number} cells  before that of the button @param {string} deed */
function fresh(key, cells, deed) {
  const row = make("tr");
  row.dataset.key = key;
  for (let n = 0; n < cells; n += 1) row.append(make("td"));
  const last = make("td");
  last.append(button(deed, () => {}));
  row.append(last);
  return row;
}

/** The lines that are shown. */
let shown = "";

/** @param {string[]} lines  oldest first */
function showWarnings(lines) {
  element("no-warnings", HTMLParagraphElement).hidden = lines.length > 0;
  const all = lines.join("\n");
  if (all === shown) return; // somebody may be copying from it
  shown = all;
  element("warnings", HTMLOListElement).replaceChildren(...lines.toReversed().map((line) => make("li", "", line)));
}

// ---- what the owner does

/** @param {ClientRow} row */
function putOut({ room, member, name }) {
  element("out-reason", HTMLInputElement).value = "";
  open("out", `Put ${name} out of ${room}?`, async () => {
    const minutes = element("out-minutes", HTMLInputElement).valueAsNumber;
    const reason = element("out-reason", HTMLInputElement).value.trim();
    await request("POST", `rooms/${room}/acts`, { act: "put-out", member, minutes, reason });
    done(`${name} is put out of ${room}.`);
  });
}

/** @param {RoomRow} row */
function endRoom({ room }) {
  open("end", `Close ${room}?`, async () => {
    await request("POST", `rooms/${room}/acts`, { act: "end" });
    done(`${room} is closed.`, button("Open it again", () => reopen(room)));
  });
}

/** @param {string} room */
function reopen(room) {
  request("PUT", `rooms/${room}`, { mode: "open" }).then(() => done(`${room} is open.`), (error) => done(error.message));
}

/** @param {string} words @param {HTMLElement[]} more */
function done(words, ...more) {
  element("done", HTMLParagraphElement).replaceChildren(`${words} `, ...more);
}

/** @param {string} method @param {string} path @param {object} what */
function request(method, path, what) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return ask(path, { method, headers, body: JSON.stringify(what) });
}

/** Asks before a deed. @param {string} id  of the dialog, without its end @param {string} title @param {() => Promise<void>} deed */
function open(id, title, deed) {
  const dialog = element(`${id}-dialog`, HTMLDialogElement);
  const question = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  const trouble = /** @type {Element} */ (dialog.querySelector(".trouble"));
  element(`${id}-title`, HTMLHeadingElement).textContent = title;
  trouble.textContent = "";
  question.onsubmit = (event) => {
    event.preventDefault();
    deed().then(() => dialog.close(), (error) => (trouble.textContent = error.message));
  };
  dialog.showModal();
}

for (const close of document.querySelectorAll("[data-close]")) {
  close.addEventListener("click", () => close.closest("dialog")?.close());
}
