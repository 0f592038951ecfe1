// A handshake, as the server read and sent it, line by line, with what each line is for (RFC 6455 §4).
//
// It is not: where it comes from (echo.js).

import { make } from "./dom.js";

/** @import { Handshake } from "./types.js" */

/** By the field, in lower case. @type {Record<string, string>} */
const REQUEST = {
  host: "whom the browser wants to speak to",
  origin: "where this page came from; the server turns strange pages away (§10.2)",
  connection: "the next field is about this connection",
  upgrade: "please stop speaking HTTP on this connection",
  "sec-websocket-version": "the version of RFC 6455; there is no other",
  "sec-websocket-key": "16 random bytes in Base64, new for each connection",
  "sec-websocket-protocol": "what this page would like to speak inside",
  "sec-websocket-extensions": "what the browser could do besides, such as compress",
  cookie: "a secret, so it is not shown",
};

/** @type {Record<string, string>} */
const RESPONSE = {
  connection: "the next field is about this connection",
  upgrade: "from here on it is no HTTP",
  "sec-websocket-accept":
    "the proof that a WebSocket server answers this request: SHA-1 of the key above and of 258EAFA5-E914-47DA-95CA-C5AB0DC85B11, in Base64 (§4.2.2)",
  "sec-websocket-protocol": "what is spoken inside",
  "sec-websocket-extensions": "what the server agrees to",
};

/** Into an element, in place of what is there. @param {Element} where @param {Handshake} told */
export function explain(where, { request, response }) {
  const asked = lines(request, "→", REQUEST, "an ordinary request: so it passes where web pages pass");
  const answered = lines(response, "←", RESPONSE, "agreed: both sides send frames from here on, whenever they like");
  const bare = /^sec-websocket-extensions:/im.test(response) ? [] : [make("div", "note", "no extension: nothing is compressed")];
  where.replaceChildren(...asked, ...answered, ...bare);
}

/** @param {string} head @param {string} sign @param {Record<string, string>} notes @param {string} first */
function lines(head, sign, notes, first) {
  return head.trimEnd().split("\r\n").flatMap((line, i) => {
    const note = i === 0 ? first : notes[line.split(":", 1)[0]?.toLowerCase() ?? ""];
    const shown = make("div", "", `${sign} ${line}`);
    return note ? [shown, make("div", "note", note)] : [shown];
  });
}
