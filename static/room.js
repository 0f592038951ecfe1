// One room, as wsroom.v1 tells it (see the README): who is there, what was said, and what of ours is kept.
//
// A message of ours waits, in sight, until it comes back with its own `ref`: then it is kept. What waits is sent
// with the next connection, once, and that asks for what came since the last id that was heard.
//
// It is not: keeping a connection (connection.js), nor the looks (log.js, people.js), which it tells.

import { Connection, witness } from "./connection.js";
import { size } from "./dom.js";
import * as log from "./log.js";
import * as people from "./people.js";

/** @import { Announced, Frame, Member, ServerEvent, Text, Binary, Waiting, Welcome } from "./types.js" */

/** What may wait while there is no connection. */
const MOST_WAITING = 100;

/** Milliseconds between two notes that the user is writing. */
const TYPING = 3_000;

/** Marks what this page has said, among all pages of the same user. */
const TAB = String(crypto.getRandomValues(new Uint32Array(1)));

/** Not "." and "..": a browser takes them for folders. */
const ROOM_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}$/;

/** The name of the room that somebody means; null if it names none. @param {string} wish */
export function roomNamed(wish) {
  const name = wish.trim().replace(/^#/, "").replace(/\s+/g, "-") || "lobby";
  return ROOM_NAME.test(name) ? name : null;
}

export const NO_ROOM = "is no name for a room: it takes 1 to 64 of the letters A to Z, digits, and . _ ~ -";

export class Room {
  /** @type {Member | null} */
  you = null;

  /** The newest message that was heard; 0 asks for all that is kept. */
  last = 0;

  /** Bytes that the server takes in a message. It tells so itself; until then, its default. */
  #limit = 1 << 20;

  #connection;

  /** By the number of their connection. @type {Map<number, Member>} */
  #members = new Map();
  #count = 0;

  /** Of ours, oldest first. @type {Waiting[]} */
  #waiting = [];
  #refs = 0;

  #isOpen = false;

  /** The past is being told; meanwhile nothing of ours is sent. */
  #isPast = false;

  /** We were here before, and have heard something. */
  #isBack = false;
  #missed = 0; // messages of others since then
  /** It tells how many. @type {HTMLLIElement | null} */
  #missedLine = null;

  /** Who we were before the connection broke. @type {Member | null} */
  #before = null;

  /** To be entered once more, as soon as nothing of ours is under way. */
  #anew = false;

  /** What was announced: the next frame holds its bytes. @type {Announced | null} */
  #announced = null;
  #typedAt = 0;

  /** @param {(since: number) => URL} address */
  constructor(address) {
    this.#connection = new Connection({
      address: () => address(this.last),
      prepare: people.settle,
      // Whoever wishes to be slow must wait.
      owed: () => address(0).searchParams.has("slow") ? 0 : this.#owed(),
      report: (state, why, seconds) => {
        if (this.#isOpen && why) log.showNotice(why);
        if (state !== "open") this.#isOpen = false;
        log.showState(state, why, seconds);
      },
      hear: (frame) => this.#hear(frame),
    });
  }

  end() {
    this.#connection.end();
  }

  /** A file that was announced comes before any answer. */
  #owed() {
    const ours = this.#waiting.reduce((sum, { sent, length }) => sum + (sent ? length : 0), 0);
    return ours && ours + (this.#announced?.size ?? 0);
  }

  /** What of ours nobody has heard. */
  get unheard() {
    return this.#waiting.map(({ label }) => label);
  }

  /** As another user, or at another pace. */
  again() {
    this.#anew = true;
    this.#enterAnew();
  }

  /** To close a connection does not stop an upload: it would be heard twice. */
  #enterAnew() {
    if (!this.#anew || this.#waiting.some(({ sent }) => sent)) return;
    this.#anew = this.#isOpen = false;
    this.#connection.again();
  }

  hurry() {
    this.#connection.hurry();
  }

  // -------------------------------------------------------------- what the user says

  /** @param {string} text @returns {string} why it is not taken; empty if it is */
  say(text) {
    return this.#add({ type: "message", text }, { label: text, text });
  }

  /**
   * @param {string} name
   * @param {string} media_type
   * @param {ArrayBuffer} bytes
   * @returns {string} why it is not taken; empty if it is
   */
  show(name, media_type, bytes) {
    const label = `${name}, ${size(bytes.byteLength)}`;
    return this.#add({ type: "binary", name: shortened(name), media_type }, { label, bytes });
  }

  /** The user is writing. */
  type() {
    if (!this.#isOpen || Date.now() - this.#typedAt < TYPING) return;
    this.#typedAt = Date.now();
    this.#connection.send('{"type":"typing"}');
  }

  /** @param {Waiting} message */
  sendAgain(message) {
    message.sent = false;
    message.trouble = "";
    this.#sendWaiting();
  }

  /** @param {Waiting} message */
  discard(message) {
    this.#waiting = this.#waiting.filter((other) => other !== message);
    this.#tellWaiting();
    this.#enterAnew();
  }

  /**
   * Why something so long cannot be said here; empty if it can.
   * @param {number} length  in bytes
   */
  tooLarge(length) {
    return length > this.#limit ? `it has ${size(length)}, and a message here has ${size(this.#limit)} at most.` : "";
  }

  /**
   * @param {object} event
   * @param {{ label: string, text?: string, bytes?: ArrayBuffer }} message
   */
  #add(event, { label, text, bytes }) {
    const ref = `${TAB}-${(this.#refs += 1)}`;
    const head = JSON.stringify({ ...event, ref });
    const length = bytes ? bytes.byteLength : new TextEncoder().encode(head).length;
    const problem = this.tooLarge(length);
    if (problem) return problem;
    if (this.#waiting.length >= MOST_WAITING) return `${MOST_WAITING} messages wait already.`;
    this.#waiting.push({ ref, label, head, text, bytes, length, sent: false, trouble: "" });
    log.goToEnd();
    this.#sendWaiting();
    return "";
  }

  #sendWaiting() {
    const mayGo = this.#isOpen && !this.#isPast && !this.#anew;
    for (const message of mayGo ? this.#waiting : []) {
      if (message.sent || message.trouble || this.tooLarge(message.length)) continue;
      message.sent = this.#connection.send(message.head);
      if (message.bytes) this.#connection.send(message.bytes);
    }
    this.#tellWaiting();
  }

  #tellWaiting() {
    log.showWaiting(this.#waiting, this);
    this.#tellProgress();
  }

  #tellProgress() {
    log.showProgress(this.#connection.underWay);
    if (this.#connection.underWay > 0) setTimeout(() => this.#tellProgress(), 50);
  }

  // -------------------------------------------------------------- what the server says

  /** @param {Frame} frame */
  #hear(frame) {
    if (typeof frame === "string") {
      this.#take(JSON.parse(frame));
    } else if (this.#announced) {
      this.#keep({ ...this.#announced, bytes: frame });
      this.#announced = null;
    }
  }

  /** @param {ServerEvent} event */
  #take(event) {
    switch (event.type) {
      case "welcome":
        return this.#enter(event);
      case "live":
        return this.#caughtUp(event);
      case "message":
        return this.#keep(event);
      case "binary":
        this.#announced = event;
        return;
      case "joined":
        return event.members ? this.#joined(event.members, event.count) : this.#tellMembers([], event.count);
      case "left":
        return event.members ? this.#left(event.members, event.count) : this.#tellMembers([], event.count);
      case "renamed":
        return this.#renamed(event.members);
      case "members":
        return this.#tellMembers(event.members, event.count);
      case "typing":
        return people.showTyping(event.from.name);
      case "behind":
        return witness.tell("behind", event);
      case "error":
        return this.#fail(event);
      default: // of a newer server, and nothing to worry about
    }
  }

  /** @param {Welcome} welcome */
  #enter({ you, members, count, last, limit }) {
    this.#before = this.you;
    this.#isBack = this.last > 0;
    this.you = you;
    this.last = Math.min(this.last, last); // a server that has forgotten all begins anew
    this.#limit = limit ?? this.#limit;
    this.#isOpen = this.#isPast = true;
    this.#anew = false;
    this.#missed = 0;
    this.#missedLine = null;
    this.#tellMembers(members ?? [], count);
  }

  /**
   * All of the past has been told. What is still waiting was not heard.
   * @param {{ complete: boolean }} live
   */
  #caughtUp({ complete }) {
    if (!complete && this.#isBack) log.showNotice("Some of what was said in between is gone for good.");
    for (const message of this.#waiting.filter((waiting) => waiting.sent)) {
      message.sent = false;
      if (!complete) message.trouble = "It may have been heard.";
    }
    this.#isPast = false;
    this.#before = null;
    this.#sendWaiting();
  }

  /** @param {Text | Binary} message */
  #keep(message) {
    const { id, ref, from } = message;
    const ours = this.#waiting.find((waiting) => waiting.ref === ref) ?? this.#lostSight(message);
    if (this.#isPast && this.#isBack && !ours) {
      this.#missedLine ??= log.showNotice("");
      this.#missedLine.textContent = `Connected again: ${(this.#missed += 1)} came in between.`;
    }
    this.last = id;
    log.showMessage(message, Boolean(ours) || (from.user !== undefined && from.user === this.you?.user));
    people.stopTyping(from.name);
    if (ours) this.discard(ours);
  }

  /**
   * One of ours that was kept when the connection broke: it comes back without its `ref`, and is known by its author
   * and by what it says.
   * @param {Text | Binary} message
   */
  #lostSight(message) {
    const { from } = message;
    const was = this.#before;
    const ours = was && this.#isPast && from.user === was.user && (from.user !== undefined || from.name === was.name);
    if (!ours) return undefined;
    return this.#waiting.find((it) => it.sent && ("text" in message
      ? it.text === message.text
      : it.bytes?.byteLength === message.bytes.byteLength && JSON.parse(it.head).name === message.name));
  }

  /**
   * @param {Member[]} members
   * @param {number} count
   */
  #joined(members, count) {
    const came = members.filter(({ id }) => !this.#members.has(id));
    log.showPresence(came.map(({ name }) => name), []);
    this.#tellMembers([...this.#members.values(), ...members], count);
  }

  /**
   * @param {number[]} ids
   * @param {number} count
   */
  #left(ids, count) {
    log.showPresence([], ids.flatMap((id) => this.#members.get(id)?.name ?? []));
    this.#tellMembers([...this.#members.values()].filter(({ id }) => !ids.includes(id)), count);
  }

  /** @param {Member[]} members */
  #renamed(members) {
    this.you = members.find(({ id }) => id === this.you?.id) ?? this.you;
    this.#tellMembers([...this.#members.values()].map((one) => members.find(({ id }) => id === one.id) ?? one), this.#count);
  }

  /** @param {{ ref?: string, detail: string }} error */
  #fail({ ref, detail }) {
    const ours = this.#waiting.find((waiting) => waiting.ref === ref);
    if (!ours) return log.showNotice(detail);
    ours.sent = false;
    ours.trouble = detail;
    this.#tellWaiting();
    this.#enterAnew();
  }

  /**
   * @param {Member[]} members  whom we know: in a crowd, not all
   * @param {number} count
   */
  #tellMembers(members, count) {
    this.#members = new Map(members.map((member) => [member.id, member]));
    this.#count = count;
    if (this.you) people.showMembers([...this.#members.values()], count, this.you);
  }
}

/** The protocol takes 255 bytes; the end of a file's name says what it is. @param {string} name */
function shortened(name) {
  while (new TextEncoder().encode(name).length > 255) name = [...name].slice(1).join("");
  return name;
}
