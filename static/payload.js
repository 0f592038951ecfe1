// A payload as people read it, shortened: a text as it is, bytes as a hex dump; and bytes as people write them.
//
// It is not: where it is shown (wire.js, frame.js).

/** How much of the bytes is shown. */
const SHOWN_BYTES = 256;

/** Bytes in a line of the hex dump. */
const ROW = 8;

/**
 * Where, in hexadecimal, and as characters: narrow enough to stand beside the log, and on a phone.
 * @param {Uint8Array} bytes
 * @param {number} [length]  of all of them, if these are the first ones
 */
export function hexDump(bytes, length = bytes.length) {
  const lines = [];
  const end = Math.min(bytes.length, SHOWN_BYTES);
  for (let at = 0; at < end; at += ROW) {
    const row = bytes.subarray(at, Math.min(at + ROW, end));
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hexOf(row).padEnd(3 * ROW - 1)}  ${[...row].map(character).join("")}`);
  }
  return lines.join("\n") + (length > end ? `\n… of ${length} bytes` : "");
}

/** @param {Uint8Array} bytes */
export function hexOf(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** A byte as a letter, if it is one of ASCII. @param {number} byte */
export function character(byte) {
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".";
}

/** Null where it is not hex. @param {string} hex */
export function bytesOf(hex) {
  const digits = hex.replace(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** A text, perhaps only its first bytes: half a character at their end is left out. @param {Uint8Array} bytes */
export const textOf = (bytes) => new TextDecoder().decode(bytes, { stream: true });
