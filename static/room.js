// One room, as wsroom.v1 tells it (see the README): who is there, what was said, and what of ours is kept.
//
// A message of ours waits, in sight, until it comes back with its own `ref`: then it is kept. What waits
// while there is no connection is sent with the next one, once. After a break the room is asked for what
// came since the last id that was heard, so nothing is missed and nothing comes twice.
//
// It is not: keeping a connection (connection.js), nor the looks (log.js, people.js), which it tells.

import { Connection } from "./connection.js";
import { size } from "./dom.js";
import * as log from "./log.js";
import * as people from "./people.js";

/** @import { Frame } from "./connection.js" */

/**
 * @typedef {{ id: number, user?: number, name: string }} Member
 * @typedef {{ id: number, from: { user?: number, name: string }, at: string, own: boolean }} Said
 * @typedef {Said & { text: string }} Text
 * @typedef {Said & { name: string, bytes: ArrayBuffer }} Binary
 *
 * @typedef {object} Waiting
 * @property {string} ref
 * @property {string} label         what is shown of it
 * @property {string} head          its JSON
 * @property {string} [text]
 * @property {ArrayBuffer} [bytes]
 * @property {boolean} sent         it has left this page, so it may be kept without our knowing
 * @property {string} trouble       why it does not go by itself any more; empty: it does
 */

/** What may wait while there is no connection: it is this browser's memory. */
const MOST_WAITING = 100;

/** Milliseconds between two notes that the user is writing. */
const TYPING = 3_000;

/** Marks what this page has said, among all pages of the same user. */
const TAB = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16)).join("");

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

  /** The past is still being told; until it has been, nothing of ours is sent. */
  #inPast = false;

  /** Messages of it that were heard. */
  #replayed = 0;

  /** We were here before, and have heard something. */
  #isBack = false;
  #isOpen = false;

  /** Who we were before the connection broke. @type {Member | null} */
  #before = null;

  /** What was announced: the next frame holds its bytes. @type {any} */
  #announced = null;
  #typedAt = 0;

  /** @param {(since: number) => URL} address */
  constructor(address) {
    this.#connection = new Connection(() => address(this.last), (...report) => this.#changed(...report), (frame) => this.#hear(frame));
  }

  /** Leaves it. @returns {string[]} what of ours nobody has heard */
  end() {
    this.#connection.end();
    return this.unheard;
  }

  get unheard() {
    return this.#waiting.map(({ label }) => label);
  }

  /** As another user, or at another pace. */
  again() {
    this.#isOpen = false;
    this.#connection.again();
  }

  // -------------------------------------------------------------- what the user says

  /**
   * @param {string} text
   * @returns {string} why it is not taken; empty if it is
   */
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
  }

  /** The most bytes that fit in a message. */
  get limit() {
    return this.#limit;
  }

  /**
   * @param {object} event
   * @param {{ label: string, text?: string, bytes?: ArrayBuffer }} message
   */
  #add(event, { label, text, bytes }) {
    const ref = `${TAB}-${(this.#refs += 1)}`;
    const head = JSON.stringify({ ...event, ref });
    const length = bytes ? bytes.byteLength : new TextEncoder().encode(head).length;
    if (length > this.#limit) return `It has ${size(length)}, and a message here has ${size(this.#limit)} at most.`;
    if (this.#waiting.length >= MOST_WAITING) return `${MOST_WAITING} messages wait already.`;
    this.#waiting.push({ ref, label, head, text, bytes, sent: false, trouble: "" });
    this.#sendWaiting();
    return "";
  }

  #sendWaiting() {
    if (this.#isOpen && !this.#inPast) {
      for (const message of this.#waiting) {
        if (message.sent || message.trouble) continue;
        message.sent = this.#connection.send(message.head);
        if (message.bytes) this.#connection.send(message.bytes);
      }
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

  /**
   * @param {string} state
   * @param {string} [why]
   * @param {number} [seconds]
   */
  #changed(state, why, seconds) {
    if (this.#isOpen && why) log.showNotice(why);
    if (state !== "open") this.#isOpen = false;
    log.showState(state, why, seconds);
  }

  /** @param {Frame} frame */
  #hear(frame) {
    if (typeof frame === "string") {
      this.#take(JSON.parse(frame));
    } else if (this.#announced) {
      this.#keep({ ...this.#announced, bytes: frame });
      this.#announced = null;
    }
  }

  /** @param {any} event */
  #take(event) {
    switch (event.type) {
      case "welcome":
        return this.#enter(event);
      case "live":
        return this.#caughtUp(event);
      case "members":
        return this.#meetAll(event);
      case "message":
        return this.#keep(event);
      case "binary":
        this.#announced = event;
        return;
      case "joined":
      case "left":
      case "renamed":
        return this.#meet(event);
      case "typing":
        return people.showTyping(event.from.name);
      case "error":
        return this.#fail(event);
      default: // of a newer server, and nothing to worry about
    }
  }

  /** @param {any} welcome */
  #enter({ you, members, count, last, complete, limit }) {
    this.#before = this.you;
    this.you = you;
    this.#limit = limit ?? this.#limit;
    this.#members = new Map((members ?? []).map((/** @type {Member} */ member) => [member.id, member]));
    this.#count = count;
    this.#isOpen = true;
    this.#inPast = true;
    this.#replayed = 0;
    this.#isBack = this.#before !== null && this.last > 0;
    this.#tellMembers();
    if (!complete && last < this.last) this.last = 0; // the server has forgotten all, and begins anew
  }

  /** When the past has been told, what is still waiting was not heard. @param {{ complete: boolean }} live */
  #caughtUp({ complete }) {
    this.#inPast = false;
    if (this.#isBack) {
      if (this.#replayed > 0) log.showNotice(`Connected again: ${this.#replayed} came in between.`);
      if (!complete) log.showNotice("Some of what was said in between is gone for good.");
    }
    for (const message of this.#waiting.filter((waiting) => waiting.sent)) {
      message.sent = false;
      if (!complete) message.trouble = "It may have been heard.";
    }
    this.#before = null;
    this.#sendWaiting();
  }

  /** @param {any} message */
  #keep({ ref, ...message }) {
    const ours = this.#waiting.find((waiting) => waiting.ref === ref) ?? this.#lostSight(message);
    const own = Boolean(ours) || (message.from.user !== undefined && message.from.user === this.you?.user);
    this.last = message.id;
    log.showMessage({ ...message, own });
    people.stopTyping(message.from.name);
    if (ours) this.discard(ours);
    if (this.#inPast) this.#replayed += 1;
  }

  /**
   * One of ours that was kept when the connection broke: it comes back among the others, without its `ref`.
   * It is known by its author and by what it says.
   * @param {any} message
   */
  #lostSight({ from, text, name, bytes }) {
    const was = this.#before;
    const ours = was && this.#inPast && from.user === was.user && (from.user !== undefined || from.name === was.name);
    return ours
      ? this.#waiting.find((it) => it.sent && (it.bytes
          ? it.bytes.byteLength === bytes?.byteLength && JSON.parse(it.head).name === name
          : it.text === text))
      : undefined;
  }

  /** What was known of who is there does not hold any more. @param {{ members: Member[], count: number }} all */
  #meetAll({ members, count }) {
    this.#members = new Map(members.map((member) => [member.id, member]));
    this.#count = count;
    this.#tellMembers();
  }

  /** @param {any} news */
  #meet({ type, members, count }) {
    this.#count = count ?? this.#count;
    /** @type {string[]} */ const came = [];
    /** @type {string[]} */ const went = [];
    for (const one of members ?? []) {
      const known = this.#members.get(one.id ?? one);
      if (type === "left") {
        if (known) went.push(known.name);
        this.#members.delete(one);
      } else {
        if (type === "joined" && !known) came.push(one.name);
        if (type === "joined" || known) this.#members.set(one.id, one);
        if (one.id === this.you?.id) this.you = one;
      }
    }
    log.showPresence(came, went);
    this.#tellMembers();
  }

  /** @param {any} error */
  #fail({ ref, detail }) {
    const ours = this.#waiting.find((waiting) => waiting.ref === ref);
    if (!ours) return log.showNotice(detail);
    ours.sent = false;
    ours.trouble = detail;
    this.#tellWaiting();
  }

  #tellMembers() {
    if (this.you) people.showMembers([...this.#members.values()], this.#count, this.you);
  }
}

/** The protocol takes 255 bytes; the end of a file's name says what it is. @param {string} name */
function shortened(name) {
  const fits = (/** @type {string} */ text) => new TextEncoder().encode(text).length <= 255;
  while (!fits(name)) name = [...name].slice(1).join("");
  return name;
}
