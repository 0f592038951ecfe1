// Files: what was picked, pasted or dropped is sent, and what came is shown. It is loaded with the first file of either.
//
// Files reach the document as blob: addresses with a harmless type: a picture's own, or "application/octet-stream".
//
// It is not: where in the log they stand (log.js), nor that they arrive (room.js).

import { button, element, make, size } from "./dom.js";
import * as log from "./log.js";
import { looks } from "./looks.js";
import { keyOf, keys } from "./room.js";

/** @import { Connection } from "./connection.js" */
/** @import { Room } from "./room.js" */
/** @import { Entry, File as Later } from "./types.js" */

const encoder = new TextEncoder();

// Without its looks a file can still be had.
await looks("messages.css").catch(() => {});

// ---- sent

/** The connection that the last file goes over. @type {Connection | null} */
let connection = null;

/** @param {File[]} files @param {Room} room */
export async function send(files, room) {
  connection = room.connection;
  for (const file of files) {
    const problem = await sendOne(file, room);
    if (problem) log.showNotice(`${file.name} was not sent: ${problem}`);
  }
}

/** @param {File} file @param {Room} room @returns {Promise<string>} why it is not sent; empty if it is */
async function sendOne(file, room) {
  const problem = room.tooLarge(file.size);
  if (problem) return sendSmaller(file, room, problem);
  const bytes = await file.arrayBuffer().catch(() => null);
  if (!bytes) return "it cannot be read. A folder, perhaps?";
  const event = { type: "binary", name: shortened(file.name), media_type: file.type.slice(0, 255) };
  return room.add(event, `${file.name}, ${size(file.size)}`, file.size, (line) => packed(line, bytes));
}

/** Pictures alone can be. @param {File} file @param {Room} room @param {string} problem  it is too large */
async function sendSmaller(file, room, problem) {
  const { smaller } = await import("./photos.js");
  const photo = await smaller(file, room.limit);
  if (typeof photo === "string") return `${problem} ${photo}`.trim();
  log.showNotice(`${file.name} was made smaller: ${size(file.size)} → ${size(photo.size)}`);
  return sendOne(photo, room);
}

/** The protocol takes 255 bytes; the end of a file's name says what it is. @param {string} name */
function shortened(name) {
  name = name.toWellFormed();
  while (encoder.encode(name).length > 255) name = [...name].slice(1).join("");
  return name;
}

/** A binary frame: a line of JSON, and the bytes. @param {string} line @param {ArrayBuffer} bytes */
function packed(line, bytes) {
  const head = encoder.encode(`${line}\n`);
  const frame = new Uint8Array(head.length + bytes.byteLength);
  frame.set(head);
  frame.set(new Uint8Array(bytes), head.length);
  return frame.buffer;
}

const waiting = element("waiting", HTMLOListElement);

/** How much of it has left this browser; each time that what waits is shown anew. */
function showProgress() {
  const underWay = connection?.underWay ?? 0;
  for (const bar of waiting.querySelectorAll("progress")) {
    bar.max = Math.max(bar.max, underWay);
    bar.value = bar.max - underWay;
  }
  if (underWay > 0) setTimeout(showProgress, 50);
}

new MutationObserver(showProgress).observe(waiting, { childList: true });

// ---- shown

/**
 * A link to save the bytes, and the picture if they are one.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {string} name
 * @param {Entry} entry
 */
export function attachment(bytes, name, entry) {
  name = tidy(name);
  const type = pictureType(bytes);
  const url = URL.createObjectURL(new Blob([bytes], { type: type || "application/octet-stream" }));
  entry.urls.push(url);

  const link = make("a", "attachment", `${name}, ${size(bytes.byteLength)}`);
  link.href = url;
  link.download = name;
  return type ? [thumbnail(url, name), link] : [link];
}

/**
 * A large file of the past: a picture is fetched when it comes into sight, any other file when its link is pressed.
 * @param {Later} message
 * @param {HTMLElement} body
 * @param {Entry} entry
 */
export function later(message, body, entry) {
  entry.size = message.size;
  const name = tidy(message.name);
  const link = make("a", "attachment", `${name}, ${size(message.size)}`);
  link.href = addressOf(message.id);
  link.download = name;
  body.append(link);
  if (message.media_type.startsWith("image/")) inSight(body, () => bring(link, name, entry));
}

/** @param {number} id  of a message in this room */
function addressOf(id) {
  const key = keys[keyOf(log.room)];
  return `rooms/${log.room}/messages/${id}${key ? `?key=${encodeURIComponent(key)}` : ""}`;
}

/** In place of the link to it. @param {HTMLAnchorElement} link @param {string} name @param {Entry} entry */
async function bring(link, name, entry) {
  const answer = await fetch(link.href).catch(() => null);
  if (!link.isConnected) return;
  if (answer?.ok) return link.replaceWith(...attachment(new Uint8Array(await answer.arrayBuffer()), name, entry));
  if (answer?.status === 404) return link.replaceWith(`${name} is no longer kept.`);
  const again = button("Show the picture", () => bring(link, name, entry));
  again.onclick = () => again.remove();
  link.after(again);
}

/** @type {WeakMap<Element, () => void>} */
const awaited = new WeakMap();

/** A little before they are in sight. */
const watch = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (!isIntersecting) continue;
    watch.unobserve(target);
    awaited.get(target)?.();
  }
}, { root: element("scroller", HTMLDivElement), rootMargin: "300px" });

/** @param {Element} place @param {() => void} then */
function inSight(place, then) {
  awaited.set(place, then);
  watch.observe(place);
}

/** @param {string} url @param {string} name */
function thumbnail(url, name) {
  const image = make("img");
  image.alt = name;
  image.decoding = "async";
  image.src = url;
  const enlarge = button("", () => log.fetched((panels) => panels.enlarge(url, name)));
  enlarge.className = "thumbnail";
  enlarge.title = "Enlarge";
  enlarge.append(image);
  image.addEventListener("error", () => enlarge.remove()); // broken: the link to save it remains
  return enlarge;
}

/** By its first bytes, never by what the sender claims. No SVG: it can hold scripts. @param {Uint8Array} bytes */
export function pictureType(bytes) {
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (/^GIF8[79]a/.test(start)) return "image/gif";
  if (/^RIFF[^]{4}WEBP/.test(start)) return "image/webp";
  if (/^[^]{4}ftypavi[fs]/.test(start)) return "image/avif";
  return "";
}

/** No name of a file breaks the line or turns it round: "cat\u202egnp.exe" looks like "catexe.png". @param {string} name */
export function tidy(name) {
  return name.replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/gu, "").trim() || "unnamed";
}
