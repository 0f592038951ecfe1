// One frame, drawn bit by bit as in the diagram of RFC 6455 §5.2, in words, and with its masking byte by byte.
//
// It is not: where frames come from (echo.js), nor a payload by itself (payload.js).

import { make } from "./dom.js";
import { bytesOf, character, hexDump, hexOf } from "./payload.js";

/** @import { WireFrame } from "./types.js" */

/** Bits in a row of the diagram. */
const ROW = 32;

/** Bytes of the payload in the diagram: two rows of it. */
const DRAWN = 8;

/** @param {string} hex */
const bytes = (hex) => bytesOf(hex) ?? new Uint8Array();

/** @param {number} number @param {number} count */
const bits = (number, count) => number.toString(2).padStart(count, "0");

/** @param {string} what  is done with it @param {WireFrame} frame */
export function drawn(what, frame) {
  const shown = make("details", "frame");
  shown.open = true;
  const words = make("ul");
  words.append(...sentences(frame).map((sentence) => make("li", "", sentence)));
  shown.append(make("summary", "", `${what}: ${inShort(frame)}`), diagram(frame), words, ...payloadOf(frame));
  return shown;
}

/** @param {WireFrame} frame */
function inShort({ name, fin, header, length, complete }) {
  const head = header.split(" ").length;
  const whole = complete ? `, ${head + length} bytes on the wire, ${length} of them payload` : ", not read to its end";
  return `${name}${fin ? "" : ", more fragments follow"}${whole}`;
}

// ---- bit by bit

/** The fields in their order: a name, and bits. @param {WireFrame} frame @returns {[string, string][]} */
function fields({ fin, rsv, opcode, masked, length, length_bits, header, key, masked_bytes }) {
  const short = { 7: length, 16: 126, 64: 127 }[length_bits];
  const head = bytes(header);
  const extended = [...head.subarray(2, 2 + (length_bits === 7 ? 0 : length_bits / 8))];
  const each = (/** @type {string} */ name, /** @type {number} */ byte) =>
    /** @type {[string, string]} */ ([`${name} ${hexOf(Uint8Array.of(byte))}`, bits(byte, 8)]);
  return [
    ["FIN", String(Number(fin))],
    ...rsv.map((bit, i) => /** @type {[string, string]} */ ([`RSV${i + 1}`, String(Number(bit))])),
    ["opcode", bits(opcode, 4)],
    ["MASK", String(Number(masked))],
    ["length", bits(short, 7)],
    ...(extended.length > 0 ? [/** @type {[string, string]} */ (["extended length", extended.map((byte) => bits(byte, 8)).join("")])] : []),
    ...(masked && key === null ? [/** @type {[string, string]} */ (["masking key, kept by the browser", "?".repeat(32)])] : []),
    ...[...bytes(key ?? "")].map((byte) => each("key", byte)),
    ...[...bytes(masked_bytes).subarray(0, DRAWN)].map((byte) => each("data", byte)),
  ];
}

/** @param {WireFrame} frame */
function diagram(frame) {
  const table = make("table", "bits");
  table.ariaLabel = "The bits of the frame, 32 in a row";
  table.append(ruler());
  let row = table.insertRow();
  let used = 0;
  for (let [name, left] of fields(frame)) {
    while (left) {
      if (used === ROW) [row, used] = [table.insertRow(), 0];
      const here = left.slice(0, ROW - used);
      row.append(field(name, here));
      used += here.length;
      left = left.slice(here.length);
      name = name.replace(/(, continued)?$/, ", continued");
    }
  }
  if (used < ROW) row.append(rest(ROW - used));
  return table;
}

/** The numbers of the bits, above. */
function ruler() {
  const row = make("tr");
  row.ariaHidden = "true";
  for (let bit = 0; bit < ROW; bit += 1) row.append(make("td", "", String(bit % 10)));
  return row;
}

/** @param {string} name @param {string} value */
function field(name, value) {
  const cell = make("td", value.length === 1 ? "one" : "");
  cell.colSpan = value.length;
  cell.append(make("b", "", value), make("span", "", name));
  return cell;
}

/** @param {number} width */
function rest(width) {
  const cell = make("td", "none");
  cell.colSpan = width;
  return cell;
}

// ---- in words

/** @param {WireFrame} frame */
function sentences(frame) {
  return [
    frame.fin ? "FIN 1: the last, or the only, fragment of its message" : "FIN 0: more fragments of this message follow",
    ...(frame.rsv.some(Boolean) ? ["RSV: a bit is set, though no extension was agreed on"] : []),
    `opcode ${frame.opcode}: ${frame.name}`,
    `MASK ${Number(frame.masked)}: ${frame.masked ? "masked" : "not masked"}; each frame from a client must be, and none from a server (§5.1)`,
    ofLength(frame),
    ...ofClose(frame),
    `header ${frame.header}`,
  ];
}

/** @param {WireFrame} frame */
function ofLength({ length, length_bits }) {
  if (length_bits === 7) return `length ${length}: in the 7 bits`;
  return `length ${length}: too large for 7 bits, so they hold ${length_bits === 16 ? 126 : 127}, and ${length_bits} more bits hold it`;
}

/** A Close may have a code and a reason. @param {WireFrame} frame */
function ofClose({ opcode, close }) {
  if (opcode !== 8 || close === undefined) return [];
  return [close ? `code ${close.code}, reason: ${close.reason || "(none)"}` : "no code and no reason"];
}

// ---- the payload

/** @param {WireFrame} frame */
function payloadOf(frame) {
  const plain = bytes(frame.bytes);
  if (plain.length === 0) return [];
  const left = frame.length - plain.length;
  const text = frame.masked && frame.key !== null ? unmasking(frame, plain) : hexDump(plain);
  const pre = make("pre", "binary", `${text}${left > 0 ? `\n… of ${frame.length} bytes` : ""}`);
  const title = frame.masked && frame.key !== null ? "Unmasked: each byte ⊕ its byte of the key (⊕ is XOR)" : "Payload";
  return [make("p", "", title), pre];
}

/** Eight bytes at a time. @param {WireFrame} frame @param {Uint8Array} plain */
function unmasking(frame, plain) {
  const masked = bytes(frame.masked_bytes);
  const key = bytes(frame.key ?? "");
  const blocks = [];
  for (let at = 0; at < plain.length; at += DRAWN) {
    const row = plain.subarray(at, at + DRAWN);
    blocks.push([
      `masked ${hexOf(masked.subarray(at, at + DRAWN))}`,
      `⊕ key  ${hexOf(row.map((_, i) => key[(at + i) % 4] ?? 0))}`,
      `= byte ${hexOf(row)}`,
      `       ${[...row].map((byte) => ` ${character(byte)}`).join(" ")}`,
    ].join("\n"));
  }
  return blocks.join("\n\n");
}

// ---- a Close that no server tells of

/**
 * The Close that belongs to a code and a reason. A browser tells a page nothing that comes after its own Close.
 * @param {number} code
 * @param {string} reason
 * @param {"masked" | "plain"} how  a client masks with a key that the page does not know
 * @returns {WireFrame}
 */
export function closeFrame(code, reason, how) {
  const words = new TextEncoder().encode(reason);
  const payload = Uint8Array.of(code >> 8, code & 255, ...words);
  const masked = how === "masked";
  const header = Uint8Array.of(0x88, (masked ? 0x80 : 0) | payload.length);
  return {
    header: `${hexOf(header)}${masked ? " ?? ?? ?? ??" : ""}`,
    fin: true,
    rsv: [false, false, false],
    opcode: 8,
    name: "close",
    masked,
    length: payload.length,
    length_bits: 7,
    key: null,
    masked_bytes: masked ? "" : hexOf(payload),
    bytes: hexOf(payload),
    complete: true,
    close: { code, reason },
  };
}
