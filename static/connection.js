// The connection: one WebSocket to one room, opened again whenever it is lost, until end() is called.
// Another room is another Connection.
//
//   connecting ──▶ open ──▶ waiting ──▶ connecting ──▶ …      ("offline" is waiting without a network)
//
// The pauses grow and are random, so that a server which restarts is not met by everyone at once, and
// nothing is tried while nobody looks at the page.
//
// It is not: what frames mean (room.js), nor what the user sees of it (log.js, wire.js).

const FIRST_PAUSE = 1_000; // milliseconds, as all of these
const LONGEST_PAUSE = 30_000;

/** A connection that lived this long was a good one: the pauses start small again. */
const STEADY = 10_000;

/** How long the server may take to answer before the connection counts as lost. */
const PATIENCE = 30_000;

/** @typedef {string | ArrayBuffer} Frame */

/** What there is to see of every connection. The functions are the wire panel's, once it has been opened. */
export const witness = {
  /** @type {WebSocket | null} */ socket: null,
  in: { frames: 0, bytes: 0 },
  out: { frames: 0, bytes: 0 },
  frame: (/** @type {"in" | "out"} */ direction, /** @type {Frame} */ frame, /** @type {number} */ bytes) => {},
  opened: () => {},
  closed: (/** @type {number} */ code, /** @type {string} */ words) => {},
  why: "", // there is no connection
  failed: (/** @type {string} */ why) => {},
};

export class Connection {
  #address;
  #report;
  #hear;

  /** Takes the listeners away at the end. */
  #ending = new AbortController();

  /** Null while waiting. @type {WebSocket | null} */
  #socket = null;

  /** The one timer: patience with a connection, or the next second of a pause. @type {number | undefined} */
  #timer = undefined;

  #openSince = 0; // 0: it has not been open yet
  #failures = 0;
  #retryAt = 0;
  #why = "";

  /**
   * @param {() => URL} address   asked for each attempt anew
   * @param {(state: string, why?: string, seconds?: number) => void} report  told every change, and every
   *   second of a pause until the next attempt; while the page is hidden there is none
   * @param {(frame: Frame) => void} hear  told every frame, in order
   */
  constructor(address, report, hear) {
    this.#address = address;
    this.#report = report;
    this.#hear = hear;
    const { signal } = this.#ending;
    document.addEventListener("visibilitychange", () => this.#hurry(), { signal });
    window.addEventListener("online", () => this.#hurry(), { signal });
    this.#connect();
  }

  /** Bytes that were sent and are still in this browser. */
  get underWay() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /**
   * @param {Frame} frame
   * @returns {boolean} false: not connected, nothing was sent
   */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(frame);
    testify("out", frame);
    // Whoever speaks hears itself back from the server. Silence means a dead line, which a browser
    // does not notice by itself for minutes (a laptop that changed its network, say).
    if (this.#timer === undefined) this.#loseAfterPatience();
    return true;
  }

  /** Connects anew, as another user or at another pace. */
  again() {
    this.#failures = 0;
    this.#connect();
  }

  /** Nothing is reported after this. What was sent before still leaves. */
  end() {
    this.#ending.abort();
    this.#letGo();
  }

  #connect() {
    this.#letGo();
    this.#openSince = 0;
    const socket = new WebSocket(this.#address(), "wsroom.v1");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event) => this.#heard(event.data);
    socket.onclose = (event) => this.#closed(event);
    this.#socket = socket;
    this.#loseAfterPatience();
    this.#report("connecting");
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#stopTimer();
    this.#openSince = Date.now();
    witness.socket = socket;
    witness.opened();
    this.#report("open");
  }

  /** @param {Frame} frame */
  #heard(frame) {
    this.#stopTimer();
    testify("in", frame);
    this.#hear(frame);
  }

  /** @param {CloseEvent} event */
  async #closed({ code, reason }) {
    const wasOpen = this.#openSince > 0;
    const words = wasOpen ? inWords(code, reason) : "The server cannot be reached.";
    witness.closed(code, words);
    this.#lost(words);
    if (wasOpen || document.hidden) return;
    // A browser does not tell a page why a WebSocket could not be opened. A plain request may.
    const why = await whyNot(this.#address());
    if (this.#socket || this.#ending.signal.aborted) return;
    this.#why = witness.why = why;
    witness.failed(why);
    this.#wait();
  }

  /** @param {string} why */
  #lost(why) {
    this.#letGo();
    const wasSteady = this.#openSince > 0 && Date.now() - this.#openSince > STEADY;
    if (wasSteady) this.#failures = 0;
    const pause = Math.min(FIRST_PAUSE * 2 ** this.#failures, LONGEST_PAUSE);
    this.#failures += 1;
    this.#retryAt = Date.now() + pause * (0.5 + Math.random() / 2);
    this.#why = why;
    this.#wait();
  }

  #wait() {
    const left = this.#retryAt - Date.now();
    const state = navigator.onLine ? "waiting" : "offline";
    if (document.hidden) {
      this.#stopTimer();
      this.#report(state, this.#why);
    } else if (left > 0) {
      this.#startTimer(Math.min(left, 1_000), () => this.#wait());
      this.#report(state, this.#why, Math.ceil(left / 1_000));
    } else {
      // Offline too: a server on this machine is still within reach.
      this.#connect();
    }
  }

  /** Things look better: the rest of the pause would be wasted. */
  #hurry() {
    if (this.#socket) return;
    this.#retryAt = 0;
    this.#wait();
  }

  /** From here on, whatever the old socket still does is of no interest. */
  #letGo() {
    this.#stopTimer();
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #loseAfterPatience() {
    this.#startTimer(PATIENCE, () => this.#lost("The server does not answer."));
  }

  /**
   * @param {number} pause
   * @param {() => void} then
   */
  #startTimer(pause, then) {
    this.#stopTimer();
    this.#timer = setTimeout(then, pause);
  }

  #stopTimer() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * @param {"in" | "out"} direction
 * @param {Frame} frame
 */
function testify(direction, frame) {
  const bytes = typeof frame === "string" ? new TextEncoder().encode(frame).length : frame.byteLength;
  witness[direction].frames += 1;
  witness[direction].bytes += bytes;
  witness.frame(direction, frame, bytes);
}

/** What a proxy that does not pass WebSockets on is told by; see wire.js. */
export const NO_UPGRADE = "The server is there, but WebSockets do not get through to it.";

/** @param {URL} address  of the WebSocket */
async function whyNot(address) {
  const plain = new URL(address);
  plain.protocol = location.protocol;
  try {
    const answer = await fetch(plain, { cache: "no-store" });
    // 426 Upgrade Required: the server has seen no upgrade, so something on the way has taken it out.
    return answer.status === 426 ? NO_UPGRADE : (await answer.text()).trim().slice(0, 200);
  } catch {
    return "The server cannot be reached.";
  }
}

/**
 * Close codes in plain words (RFC 6455 §7.4.1).
 * @param {number} code
 * @param {string} reason
 */
function inWords(code, reason) {
  switch (code) {
    case 1001:
      return "The server is stopping or restarting.";
    case 1008:
      return `The server ended the connection${reason ? `: ${reason}.` : ", because this page broke a rule."}`;
    case 1009:
      return "The last message was larger than the server takes.";
    case 1000:
    case 1005: // a Close frame without a code
      return "The server ended the connection.";
    case 1006: // no Close frame: the line broke, or too much waited for this page
      return "Connection lost.";
    default:
      return `The server ended the connection (${code}${reason && `, ${reason}`}).`;
  }
}
