// A payload as people read it, shortened: a text as it is, bytes as a hex dump; and bytes as people write them.
//
// It is not: where it is shown (wire.js, echo.js).

/** How much of a frame is shown. */
const SHOWN_CHARACTERS = 2_000;
const SHOWN_BYTES = 256;

/** Bytes in a line of the hex dump. */
const ROW = 8;

/** @param {string | Uint8Array} content */
export function payload(content) {
  if (typeof content !== "string") {
    const dump = hexDump(content.subarray(0, SHOWN_BYTES));
    return content.length > SHOWN_BYTES ? `${dump}\n… of ${content.length} bytes` : dump;
  }
  const isLong = content.length > SHOWN_CHARACTERS;
  return isLong ? `${content.slice(0, SHOWN_CHARACTERS)}… of ${content.length} characters` : content;
}

/** In a line: where, in hexadecimal, and as characters. It fits beside the log, and on a phone. @param {Uint8Array} bytes */
function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = [...bytes.subarray(at, at + ROW)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const characters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(3 * ROW - 1)}  ${characters}`);
  }
  return lines.join("\n");
}

/** @param {string} hex */
export function bytesOf(hex) {
  const digits = hex.replace(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
