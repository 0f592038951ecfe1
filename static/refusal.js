// 426 Upgrade Required: the server answers a plain request, and has opened no WebSocket. Why not? The rules of the room
// may say so; or something on the way takes the upgrade out.
//
// It is not: whether the page comes back (connection.js), nor asking for what is missing (key.js).

import { UNOPENED } from "./connection.js";

/** What a proxy that does not pass WebSockets on is told by; see wire.js. */
export const NO_UPGRADE = "The server is there, but WebSockets do not get through to it.";

/**
 * The status (0: nothing final), why in words, for how many milliseconds to stay away, and the cause in a word of the
 * server's.
 * @param {URL} address  of the WebSocket
 * @param {number} unopened  how often this was so before, in a row; once is no proof that something takes it out
 */
export async function understand(address, unopened) {
  const told = await ofRules(address);
  if (told) return told;
  const isProven = unopened > 1;
  return { status: isProven ? 426 : 0, why: isProven ? NO_UPGRADE : UNOPENED, pause: 0, cause: "" };
}

/** Whether the rules of the room keep us out; they are told to any request about it. @param {URL} address */
async function ofRules(address) {
  address.pathname = address.pathname.replace(/ws(?=\/[^/]*$)/, "rooms");
  const answer = await fetch(address, { cache: "no-store" }).catch(() => null);
  if (answer?.status !== 403 && answer?.status !== 429) return null;
  /** @type {{ detail: string, reason?: string }} */
  const { detail, reason = "" } = await answer.json();
  return { status: answer.status, why: detail, pause: Number(answer.headers.get("Retry-After")) * 1_000 || 0, cause: reason };
}
