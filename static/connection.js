// The connection: one WebSocket to one room, opened again whenever it is lost, until end() is called.
// Another room is another Connection.
//
//   connecting ──▶ open ──▶ waiting ──▶ connecting ──▶ …      ("offline" is waiting without a network)
//
// The pauses grow and are random, so that a server which restarts is not met by everyone at once, and
// nothing is tried while nobody looks at the page.
//
// It is not: what frames mean (messages.js), nor what the user sees of it (app.js, view.js).

const FIRST_PAUSE = 1_000; // milliseconds, as all of these
const LONGEST_PAUSE = 30_000;

/** A connection that lived this long was a good one: the pauses start small again. */
const STEADY = 10_000;

/** How long to wait for the server's answer before the connection counts as lost. */
const PATIENCE = 30_000;

/**
 * @typedef {object} Report
 * @property {"connecting" | "open" | "waiting" | "offline"} state
 * @property {string} [why]      what happened, as a sentence
 * @property {number} [seconds]  until the next attempt; missing while the page is hidden
 */

export class Connection {
  #address;
  #report;
  #hear;

  /** Takes the listeners off the document and the window at the end. */
  #ending = new AbortController();

  /** Null while waiting. @type {WebSocket | null} */
  #socket = null;

  /** The one timer there is: the patience of a connection, or the next second of a pause. @type {number | undefined} */
  #timer = undefined;

  #openSince = 0; // 0: it has not been open yet
  #failures = 0;
  #retryAt = 0;
  #why = "";

  /**
   * @param {URL} address
   * @param {(report: Report) => void} report               called at every change, and every second of a pause
   * @param {(frame: string | ArrayBuffer) => void} hear    called with every frame, in order
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

  /**
   * @param {string | Uint8Array<ArrayBuffer>} frame
   * @returns {boolean} false: not connected, nothing was sent
   */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(frame);
    // Whoever speaks hears itself back from the server. Silence means a dead line, which a browser
    // does not notice by itself for minutes (a laptop that changed its network, say).
    if (this.#timer === undefined) this.#loseAfterPatience();
    return true;
  }

  /** Nothing is reported after this. What was sent before still leaves. */
  end() {
    this.#ending.abort();
    this.#letGo();
  }

  #connect() {
    this.#letGo();
    this.#openSince = 0;
    const socket = new WebSocket(this.#address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#heard(event.data);
    socket.onclose = (event) => this.#lost(inWords(event, this.#openSince > 0));
    this.#socket = socket;
    this.#loseAfterPatience();
    this.#report({ state: "connecting" });
  }

  #opened() {
    this.#stopTimer();
    this.#openSince = Date.now();
    this.#report({ state: "open" });
  }

  /** @param {string | ArrayBuffer} frame */
  #heard(frame) {
    this.#stopTimer();
    this.#hear(frame);
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
      this.#report({ state, why: this.#why });
    } else if (left > 0) {
      this.#startTimer(Math.min(left, 1_000), () => this.#wait());
      this.#report({ state, why: this.#why, seconds: Math.ceil(left / 1_000) });
    } else {
      // Also when the browser says that it is offline: a server on this machine is still within reach.
      this.#connect();
    }
  }

  /** Something changed for the better, so the rest of the pause would be wasted. */
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
 * @param {CloseEvent} event
 * @param {boolean} wasOpen
 */
function inWords({ code, reason }, wasOpen) {
  switch (code) {
    case 1001:
      return "The server is stopping or restarting.";
    case 1008:
      return `The server ended the connection${reason ? `: ${reason}.` : ", because this page was too slow or broke a rule."}`;
    case 1009:
      return "The last message was larger than the server takes.";
    case 1011:
      return "The server had a fault.";
    case 1000:
    case 1005:
      return "The server ended the connection.";
    case 1006: // no Close frame: the line broke, or a refusal, which a browser does not let a page see
      return wasOpen ? "Connection lost." : "The server cannot be reached.";
    default:
      return `The server ended the connection (${code}${reason && `, ${reason}`}).`;
  }
}
