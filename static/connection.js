// The connection: one WebSocket to one room, opened again whenever it is lost, until end() is called.
//
//   connecting ──▶ open ──▶ waiting ──▶ connecting ──▶ …      ("offline" is waiting without a network)
//
// The pauses grow and are random, so that a server which restarts is not met by everyone at once; they are long
// while nobody looks.
//
// It is not: what frames mean (room.js), nor what the user sees of it (log.js, wire.js).

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

/** @import { Frame, Owner, Seen } from "./types.js" */

/** Tells whoever listens what there is to see of every connection; the wire panel does, once it is opened. */
class Witness extends EventTarget {
  /** @type {WebSocket | null} */
  socket = null;
  lastClose = ""; // of a connection that was open
  why = ""; // there is no connection

  /** @template {keyof Seen} K @param {K} type @param {Seen[K]} detail */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @template {keyof Seen} K @param {K} type @param {(detail: Seen[K]) => void} listener */
  on(type, listener) {
    this.addEventListener(type, (event) => event instanceof CustomEvent && listener(event.detail));
  }
}

export const witness = new Witness();

export class Connection {
  #owner;

  /** Takes the listeners away at the end. */
  #ending = new AbortController();

  /** Connecting or connected; null while waiting. @type {object | null} */
  #attempt = null;

  /** @type {WebSocket | null} */
  #socket = null;

  /** The one timer: patience with a connection, or the next second of a pause. @type {number | undefined} */
  #timer = undefined;

  #silence = 0; // milliseconds in which nothing came and nothing went
  #left = 0; // what was under way when it was last looked
  #openSince = 0; // 0: it has not been open yet
  #failures = 0;
  #retryAt = 0;
  #why = "";

  /** @param {Owner} owner */
  constructor(owner) {
    this.#owner = owner;
    const { signal } = this.#ending;
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry(), { signal });
    window.addEventListener("online", () => this.hurry(), { signal });
    this.#connect();
  }

  /** Bytes that were sent and are still in this browser. */
  get underWay() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param {Frame} frame @returns {boolean} false: not connected, nothing was sent */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(frame);
    witness.tell("frame", { sign: "↑", frame });
    if (this.#timer === undefined) this.#startTimer(LOOK, () => this.#watch());
    return true;
  }

  /** Connects anew, as another user or at another pace. */
  again() {
    this.#failures = 0;
    this.#connect();
  }

  /** The rest of a pause would be wasted. */
  hurry() {
    if (this.#attempt) return;
    this.#retryAt = 0;
    this.#wait();
  }

  /** Nothing is reported after this. What was sent before still leaves. */
  end() {
    this.#ending.abort();
    this.#letGo();
  }

  async #connect() {
    this.#letGo();
    this.#openSince = 0;
    const attempt = (this.#attempt = {});
    this.#owner.report("connecting");
    const why = await this.#owner.prepare().catch((error) => error.message);
    if (attempt !== this.#attempt) return;
    if (why) return this.#lost(why);
    const socket = new WebSocket(this.#owner.address(), "wsroom.v1");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = ({ data }) => {
      this.#silence = 0;
      witness.tell("frame", { sign: "↓", frame: data });
      this.#owner.hear(data);
    };
    socket.onclose = (event) => this.#closed(event);
    this.#socket = socket;
    this.#startTimer(PATIENCE, () => this.#lost("The server does not answer."));
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#stopTimer();
    this.#openSince = Date.now();
    witness.socket = socket;
    witness.why = "";
    witness.tell("opened", null);
    this.#owner.report("open");
  }

  /**
   * Whoever says something hears itself back. Silence then means a dead line, which a browser does not notice for
   * minutes (a laptop that changed its network, say). A line that takes bytes lives.
   */
  #watch() {
    const owed = this.#owner.owed();
    const lives = owed === 0 || this.underWay < this.#left;
    this.#silence = lives ? 0 : this.#silence + LOOK;
    this.#left = this.underWay;
    if (this.#silence > PATIENCE + owed / SLOWEST) this.#lost("The server does not answer.");
    else if (owed === 0) this.#stopTimer();
    else this.#startTimer(LOOK, () => this.#watch());
  }

  /** @param {CloseEvent} event */
  async #closed(event) {
    if (this.#openSince > 0) {
      const words = inWords(event);
      witness.lastClose = `Last closed with ${event.code}: ${words}`;
      witness.tell("closed", { code: event.code, words });
      return this.#lost(words);
    }
    this.#lost(UNREACHABLE);
    if (document.hidden) return;
    // A browser does not tell a page why a WebSocket could not be opened. A plain request may.
    const why = await whyNot(this.#owner.address(), this.#failures);
    if (this.#attempt || this.#ending.signal.aborted) return;
    this.#why = witness.why = why;
    this.#wait();
    witness.tell("failed", null);
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

  /** Whatever the old socket still does is of no interest. */
  #letGo() {
    this.#stopTimer();
    this.#attempt = null;
    this.#silence = this.#left = 0;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  /** @param {number} pause @param {() => void} then */
  #startTimer(pause, then) {
    this.#stopTimer();
    this.#timer = setTimeout(then, pause);
  }

  #stopTimer() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

const UNREACHABLE = "The server cannot be reached.";

/** What a proxy that does not pass WebSockets on is told by; see wire.js. */
export const NO_UPGRADE = "The server is there, but WebSockets do not get through to it.";

/**
 * @param {URL} address  of the WebSocket
 * @param {number} failures  so far
 */
async function whyNot(address, failures) {
  const plain = new URL(address);
  plain.protocol = location.protocol;
  const answer = await fetch(plain, { cache: "no-store" }).catch(() => null);
  if (!answer) return UNREACHABLE;
  if (answer.status !== 426) return (await answer.text()).trim().slice(0, 200);
  // 426 Upgrade Required: the server has seen no upgrade. Once is no proof that something takes it out.
  return failures > 1 ? NO_UPGRADE : "The server did not open a WebSocket.";
}

/** Close codes in plain words (RFC 6455 §7.4.1). @type {Record<number, string>} */
const WORDS = {
  1001: "The server is stopping or restarting.",
  1006: "Connection lost.", // no Close frame: the line broke, or too much waited for this page
  1009: "The last message was larger than the server takes.",
};

/** @param {CloseEvent} event */
function inWords({ code, reason }) {
  return WORDS[code] ?? `The server ended the connection (${code}${reason && `, ${reason}`}).`;
}
