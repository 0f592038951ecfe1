// Messages: what travels in the room, as frames of the WebSocket.
//
//   text   one JSON text frame       {"name":"Ada","tab":"1f…","text":"hello"}
//   file   one binary frame          wsr1 | length of the JSON, 4 bytes, big-endian
//                                    | {"name":"Ada","tab":"1f…","file":"cat.png","type":"image/png"}
//                                    | the bytes of the file
//
// Anyone may send anything: curl and websocat send bare text, scripts send bare bytes, and some people
// try to break the page. So read() has an answer for every frame, and what it returns is plain data.
//
// It is not: the connection that carries the frames (connection.js), nor the looks (view.js).

/**
 * @typedef {object} Sender
 * @property {string} from   the name to show
 * @property {string} tab    which page sent it; empty when it was not a page
 *
 * @typedef {Sender & { kind: "text", text: string }} TextMessage
 * @typedef {Sender & { kind: "file", file: string, bytes: Uint8Array<ArrayBuffer> }} FileMessage
 * @typedef {Sender & { kind: "binary", bytes: Uint8Array<ArrayBuffer> }} BinaryMessage
 * @typedef {TextMessage | FileMessage | BinaryMessage} Message
 */

/** The server closes a connection that sends more than 1 MiB at once; this leaves room for the JSON. */
export const MAX_BYTES = 1_000_000;

/**
 * Which page this is, so that it knows its own messages when they come back. Everyone in the room can
 * read it and copy it: good enough to choose a colour, not to prove anything.
 * (Not crypto.randomUUID: that is missing on a page that came over plain http.)
 */
export const TAB = hex(crypto.getRandomValues(new Uint8Array(8)));

const MAGIC = "wsr1";
const HEAD = 8; // MAGIC and the length

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * @param {string} name
 * @param {string} text
 * @returns {string} a text frame
 */
export function textFrame(name, text) {
  return JSON.stringify({ name, tab: TAB, text });
}

/**
 * @param {string} name
 * @param {File} file
 * @returns {Promise<Uint8Array<ArrayBuffer>>} a binary frame
 */
export async function fileFrame(name, file) {
  const about = encoder.encode(JSON.stringify({ name, tab: TAB, file: file.name, type: file.type }));
  const bytes = new Uint8Array(await file.arrayBuffer());

  const frame = new Uint8Array(HEAD + about.length + bytes.length);
  frame.set(encoder.encode(MAGIC));
  new DataView(frame.buffer).setUint32(MAGIC.length, about.length);
  frame.set(about, HEAD);
  frame.set(bytes, HEAD + about.length);
  return frame;
}

/** @param {string} frame */
export function tooLarge(frame) {
  return encoder.encode(frame).length > MAX_BYTES;
}

/**
 * @param {string | ArrayBuffer} frame
 * @returns {Message}
 */
export function read(frame) {
  return typeof frame === "string" ? readText(frame) : readBinary(new Uint8Array(frame));
}

/**
 * @param {string} frame
 * @returns {Message}
 */
function readText(frame) {
  const said = parse(frame);
  return typeof said?.text === "string"
    ? { kind: "text", ...sender(said), text: said.text }
    : { kind: "text", from: "someone", tab: "", text: frame };
}

/**
 * @param {Uint8Array<ArrayBuffer>} frame
 * @returns {Message}
 */
function readBinary(frame) {
  const about = readHead(frame);
  return about
    ? { kind: "file", ...sender(about.json), file: tidy(about.json.file) || "unnamed", bytes: about.rest }
    : { kind: "binary", from: "someone", tab: "", bytes: frame };
}

/**
 * @param {Uint8Array<ArrayBuffer>} frame
 * @returns {{ json: Record<string, unknown>, rest: Uint8Array<ArrayBuffer> } | null} null when it is not a file of ours
 */
function readHead(frame) {
  if (!startsWith(frame, 0, MAGIC) || frame.length < HEAD) return null;
  const end = HEAD + new DataView(frame.buffer).getUint32(MAGIC.length);
  if (end > frame.length) return null;
  const json = parse(frame.subarray(HEAD, end));
  return json && { json, rest: frame.subarray(end) };
}

/**
 * The type of a picture, told by its first bytes and never by what the sender claims. SVG is not in the
 * list: it is a document that can hold links and scripts, so it is offered for download like any file.
 * @param {Uint8Array} bytes
 * @returns {string} empty when it is not a picture that the page shows
 */
export function pictureType(bytes) {
  if (startsWith(bytes, 0, "\x89PNG\r\n\x1a\n")) return "image/png";
  if (startsWith(bytes, 0, "\xff\xd8\xff")) return "image/jpeg";
  if (startsWith(bytes, 0, "GIF87a") || startsWith(bytes, 0, "GIF89a")) return "image/gif";
  if (startsWith(bytes, 0, "RIFF") && startsWith(bytes, 8, "WEBP")) return "image/webp";
  if (startsWith(bytes, 4, "ftypavif") || startsWith(bytes, 4, "ftypavis")) return "image/avif";
  return "";
}

/**
 * @param {Record<string, unknown>} said
 * @returns {Sender}
 */
function sender(said) {
  return { from: tidy(said.name).slice(0, 40) || "guest", tab: typeof said.tab === "string" ? said.tab : "" };
}

/**
 * Names stand next to text of the page, so they may not break its line or turn its direction:
 * the program "cat\u202egnp.exe" would look like "catexe.png".
 * @param {unknown} name
 */
function tidy(name) {
  if (typeof name !== "string") return "";
  return name.slice(0, 255).replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/gu, "").trim();
}

/**
 * @param {string | Uint8Array} json
 * @returns {Record<string, unknown> | null} null when it is not a JSON object
 */
function parse(json) {
  try {
    const value = JSON.parse(typeof json === "string" ? json : decoder.decode(json));
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {string} expected  one character for each byte
 */
function startsWith(bytes, at, expected) {
  return [...expected].every((character, i) => bytes[at + i] === character.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
