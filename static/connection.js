// The connection: one WebSocket to one room, opened again when it is lost, until end() is called.
//
//   connecting ──▶ open ──▶ waiting ──▶ connecting ──▶ …      ("offline" is waiting without a network)
//                   └──▶ stopped, elsewhere ──button──▶ connecting ──▶ …
//
// The pauses grow and are random, so that a server which restarts is not met by everyone at once; they are long
// while nobody looks.
//
// It is not: what frames mean (room.js), nor what the user sees of it (log.js, wire.js).

import { ask, storage } from "./dom.js";

/** @import { Frame, Owner, Passed, Seen, Sign } from "./types.js" */

const FIRST_PAUSE = 1_000; // milliseconds, as all of these
const LONGEST_PAUSE = 30_000;

/** After a connection that lived this long the pauses start small again. */
const STEADY = 10_000;

/** How long the server may take to answer before the connection counts as lost. */
const PATIENCE = 30_000;

/** An upload gets more time, for a line as slow as this, in bytes a millisecond. */
const SLOWEST = 4;

/** Between two looks whether the line lives. */
const LOOK = 1_000;

/** After such a silence the server is asked for an answer. */
const QUIET = 20_000;

const ELSEWHERE = 4001;

/**
 * After these the page stays away until its button is pressed: codes of a Close (RFC 6455 §7.4.1; from 4000 on, the
 * server's own), and statuses of a refused handshake. After others it comes back: soon, or as Retry-After says.
 */
const FINAL = new Set([ELSEWHERE, 1002, 1007, 1008, 1009, 400, 403, 404, 405, 421, 426]);

/** Close codes in plain words. @type {Record<number, string>} */
const WORDS = {
  1001: "The server is stopping or restarting.",
  1006: "Connection lost.", // no Close frame: the line broke, or too much waited for this page
  1009: "The last message was larger than the server takes.",
  4002: "The server has heard nothing from here for too long.",
  [ELSEWHERE]: "This conversation is open in another tab.",
};

const UNREACHABLE = "The server cannot be reached.";
const SILENT = "The server does not answer.";

export const UNOPENED = "The server did not open a WebSocket.";

const encoder = new TextEncoder();

/** Keeps what there is to see of every connection, and tells it whoever listens: wire.js, once it is opened. */
class Witness extends EventTarget {
  /** The newest one. @type {Connection | null} */
  connection = null;
  /** @type {WebSocket | null} */
  socket = null;
  lastClose = ""; // of a connection that was open
  why = ""; // there is no connection
  limit = 0; // bytes of a message, as the server tells

  /** The last 200; of a long one only its beginning, so that they stay small. @type {Passed[]} */
  past = [];
  frames = { "↓": 0, "↑": 0, "×": 0 };
  bytes = { ...this.frames };

  /** Of a Close, its words are seen. @param {Sign} sign @param {Frame} frame */
  see(sign, frame) {
    const isText = typeof frame === "string";
    const all = isText ? encoder.encode(frame) : new Uint8Array(frame);
    this.frames[sign] += 1;
    this.bytes[sign] += all.length;
    const seen = { sign, isText, length: all.length, bytes: all.slice(0, 4_096), at: new Date() };
    if (this.past.push(seen) > 200) this.past.shift();
    this.tell("frame", seen);
  }

  /** @template {keyof Seen} K @param {K} type @param {Seen[K]} detail */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const witness = new Witness();

/** In hexadecimal. @param {number} count  of bytes */
export function random(count) {
  const bytes = crypto.getRandomValues(new Uint8Array(count));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const SESSION = "wsroom.session";

/** Of this tab alone; it survives a reload. */
const store = storage("sessionStorage");

/** By it the server knows this tab again. A secret: whoever has it can end the connection. A duplicated tab has it. */
let session = store?.getItem(SESSION) ?? newSession();

/** Bytes a second that this tab wishes for; empty: all. */
let pace = "";

function newSession() {
  const fresh = random(16);
  store?.setItem(SESSION, fresh);
  return fresh;
}

export class Connection {
  #owner;

  #ending = new AbortController();

  /** Connecting or connected; null while waiting or stopped. @type {object | null} */
  #attempt = null;

  /** @type {WebSocket | null} */
  #socket = null;

  /** The one before, until the next is open. @type {WebSocket | null} */
  #former = null;

  /** The one timer: patience, a silence, or the next second of a pause. */
  #timer = 0;

  #isWatching = false; // an answer is missing
  #silence = 0; // milliseconds of that in which nothing came and nothing went
  #patience = PATIENCE;
  #left = 0; // what was under way when it was last looked
  #heardAt = 0;
  #openSince = 0; // 0: it has not been open yet
  #failures = 0;
  #unopened = 0; // 426, in a row
  #retryAt = 0;
  #why = "";
  #final = 0; // which of FINAL has stopped it

  /** @param {Owner} owner */
  constructor(owner) {
    this.#owner = owner;
    witness.connection = this;
    const { signal } = this.#ending;
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry(), { signal });
    window.addEventListener("online", () => this.#hurry(), { signal });
    this.#connect();
  }

  /** Bytes that were sent and are still in this browser. */
  get underWay() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  get isOver() {
    return this.#ending.signal.aborted;
  }

  /** @param {Frame} frame @returns {boolean} false: not connected, nothing was sent */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(frame);
    witness.see("↑", frame);
    if (!this.#isWatching) this.#startTimer(LOOK, () => this.#watch());
    this.#isWatching = true;
    return true;
  }

  /** As another user, or at another pace. The connection stays until then: nobody hears that we were gone. */
  again() {
    if (this.#final) return;
    this.#failures = 0;
    const socket = this.#release();
    if (socket?.readyState === WebSocket.OPEN) this.#former = socket;
    else socket?.close();
    this.#connect();
  }

  /** @param {string} bytes  a second; empty: as fast as it goes */
  slowDown(bytes) {
    pace = bytes;
    this.again();
  }

  /** The button was pressed. */
  retry() {
    if (this.#final === ELSEWHERE) session = newSession();
    this.#final = 0;
    this.#hurry();
  }

  /** Nothing is reported after this. What was sent before still leaves. */
  end() {
    this.#ending.abort();
    this.#letGo();
  }

  /** Somebody looks, or there is a network again: the rest of a pause would be wasted. */
  #hurry() {
    if (this.#attempt && this.#openSince > 0 && !this.#isWatching) this.#listen();
    if (this.#attempt || this.#final) return;
    this.#retryAt = 0;
    this.#wait();
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#openSince = 0;
    const attempt = (this.#attempt = {});
    this.#owner.report("connecting");
    const why = await this.#owner.prepare().catch((error) => error.message);
    if (attempt !== this.#attempt) return;
    if (why) return this.#lost(why);
    const socket = new WebSocket(this.#address(), "wsroom.v1");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = ({ data }) => {
      this.#silence = 0;
      this.#heardAt = Date.now();
      witness.see("↓", data);
      this.#owner.hear(data);
    };
    socket.onclose = (event) => this.#closed(event);
    this.#socket = socket;
    this.#startTimer(PATIENCE, () => this.#lost(SILENT));
  }

  #address() {
    const address = this.#owner.address();
    address.searchParams.set("session", session);
    if (pace) address.searchParams.set("slow", pace);
    return address;
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#former?.close();
    this.#former = null;
    this.#openSince = this.#heardAt = Date.now();
    this.#rest();
    witness.socket = socket;
    witness.why = "";
    witness.tell("opened", null);
    this.#owner.report("open");
  }

  /** No answer is missing. */
  #rest() {
    this.#isWatching = false;
    this.#silence = this.#left = 0;
    this.#startTimer(QUIET, () => this.#listen());
  }

  /** Whoever only listens would not notice a dead line: no page sees the pings of the protocol. So it asks. */
  #listen() {
    if (document.hidden || Date.now() - this.#heardAt < QUIET) this.#rest();
    else this.#owner.ask();
  }

  /**
   * Whoever says something hears itself back. Silence then means a dead line, which a browser does not notice for
   * minutes (a laptop that changed its network, say). A line that takes bytes lives.
   */
  #watch() {
    const owed = pace ? 0 : this.#owner.owed(); // whoever wishes to be slow must wait
    this.#silence = this.underWay < this.#left ? 0 : this.#silence + LOOK;
    this.#left = this.underWay;
    if (owed === 0) {
      this.#patience = PATIENCE;
      this.#rest();
    } else if (this.#silence > this.#patience + owed / SLOWEST) {
      this.#patience *= 2; // it may have been a large picture, of which nothing is seen until it is whole
      this.#lost(SILENT);
    } else this.#startTimer(LOOK, () => this.#watch());
  }

  /** @param {CloseEvent} event */
  async #closed({ code, reason }) {
    if (this.#openSince > 0) {
      const said = reason.endsWith(".") && reason; // by a leader, say
      const words = WORDS[code] ?? (said || `The server ended the connection (${code}${reason && `, ${reason}`}).`);
      witness.lastClose = `Last closed with ${code}: ${words}`;
      witness.see("×", `${code}: ${words}`);
      witness.tell("closed", { code, words });
      return FINAL.has(code) ? this.#stop(code, words) : this.#lost(words);
    }
    this.#lost(UNREACHABLE);
    if (document.hidden) return;
    const { status, why, pause, cause } = await refusal(this.#address(), this.#unopened);
    if (status === 401) {
      clearTimeout(this.#timer);
      this.#owner.report("waiting", why);
      await ask("token").catch(() => 0); // the user, too
    }
    this.#unopened = why === UNOPENED ? this.#unopened + 1 : 0;
    if (this.#attempt || this.isOver) return;
    witness.why = why;
    witness.tell("failed", null);
    if (FINAL.has(status)) return this.#stop(status, why, cause);
    this.#why = why;
    this.#retryAt = Math.max(this.#retryAt, Date.now() + pause);
    this.#wait();
  }

  /** @param {number} final @param {string} why @param {string} [cause] */
  #stop(final, why, cause) {
    this.#letGo();
    this.#final = final;
    this.#owner.report(final === ELSEWHERE ? "elsewhere" : cause === "room-key" ? "locked" : "stopped", why);
  }

  /** @param {string} why */
  #lost(why) {
    this.#letGo();
    if (this.#openSince > 0 && Date.now() - this.#openSince > STEADY) this.#failures = 0;
    const pause = document.hidden ? LONGEST_PAUSE : Math.min(FIRST_PAUSE * 2 ** this.#failures, LONGEST_PAUSE);
    this.#failures += 1;
    this.#retryAt = Date.now() + pause * (0.5 + Math.random() / 2);
    this.#why = why;
    this.#wait();
  }

  #wait() {
    const left = this.#retryAt - Date.now();
    // Offline too: a server on this machine is still within reach.
    if (left <= 0) return this.#connect();
    this.#startTimer(Math.min(left, 1_000), () => this.#wait());
    this.#owner.report(navigator.onLine ? "waiting" : "offline", this.#why, Math.ceil(left / 1_000));
  }

  #letGo() {
    this.#release()?.close();
    this.#former?.close();
    this.#former = null;
  }

  /** Whatever the socket still does is of no interest. */
  #release() {
    const socket = this.#socket;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    clearTimeout(this.#timer);
    this.#attempt = this.#socket = null;
    this.#isWatching = false;
    return socket;
  }

  /** @param {number} pause @param {() => void} then */
  #startTimer(pause, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, pause);
  }
}

/**
 * Why a WebSocket could not be opened. A browser does not tell that to a page; a plain request may.
 * @param {URL} address
 * @param {number} unopened
 */
async function refusal(address, unopened) {
  address.protocol = location.protocol;
  const answer = await fetch(address, { cache: "no-store" }).catch(() => null);
  const nothing = { status: 0, why: answer ? UNOPENED : UNREACHABLE, pause: 0, cause: "" };
  if (!answer) return nothing;
  const { status, headers } = answer;
  // A full server would not give the module.
  if (status === 426) return import("./refusal.js").then((module) => module.understand(address, unopened), () => nothing);
  const why = (await answer.text()).trim().slice(0, 200);
  return { ...nothing, status, why, pause: Number(headers.get("Retry-After")) * 1_000 || 0 };
}
