// One room, as wsroom.v1 tells it (see the README): who is there, what was said, and what of ours is kept.
//
// A message of ours waits, in sight, until it comes back with its own `ref`: then it is kept. A new connection asks for
// what came since the last id that was heard. What still waits then is sent again: by its `ref` the server knows what
// it has kept already, so it is said once.
//
// It is not: keeping a connection (connection.js), nor the looks (log.js, people.js), which it tells.

import { Connection, random, witness } from "./connection.js";
import { size, storage } from "./dom.js";
import * as log from "./log.js";
import * as people from "./people.js";

/** @import { Act, Binary, File, Frame, Hand, Member, ServerEvent, Text, Waiting, Welcome } from "./types.js" */

const MOST_WAITING = 100;

/** Milliseconds between two notes that the user is writing. */
const TYPING = 3_000;

/** Each `ref` begins so: a tab that is reloaded keeps its session, in which none may come twice. */
const PAGE = random(6);
let refs = 0;

const encoder = new TextEncoder();

/** Not "." and "..": a browser takes them for folders. */
const ROOM_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}$/;

/** The name of the room that somebody means; null if it names none. @param {string} wish */
export function roomNamed(wish) {
  const name = wish.trim().replace(/^#/, "").replace(/\s+/g, "-") || "lobby";
  return ROOM_NAME.test(name) ? name : null;
}

export const NO_ROOM = "is no name for a room: it takes 1 to 64 of the letters A to Z, digits, and . _ ~ -";

/** This tab's keys of rooms. @type {Record<string, string>} */
export const keys = storage("sessionStorage") ?? {};

/** @param {string} room */
export const keyOf = (room) => `wsroom.key.${room}`;

/** Whether this page has met a room with rules. */
let hasRules = false;

export class Room {
  /** @type {Member | null} */
  #you = null;

  /** The newest message that was heard; null: the past was not told yet. @type {number | null} */
  #since = null;

  /** It may be told to end, to try again, or to connect anew. */
  connection;

  limit = 1 << 20; // bytes of a message, as the server tells; until then, its default
  #history = 0; // how many messages it keeps

  /** By their id. @type {Map<number, Member>} */
  #members = new Map();
  #count = 0;

  /** Of ours, oldest first. @type {Waiting[]} */
  #waiting = [];

  /** Whose session it is: only a guest's goes over to a user. @type {number | undefined} */
  #key;

  /** The past has been told. Before, nothing of ours is sent. */
  #isLive = false;

  /** We were here before. */
  #isBack = false;
  #missed = 0; // messages of others since then
  /** It tells how many. @type {HTMLLIElement | null} */
  #missedLine = null;

  #isAsked = false; // the server, whether it is there
  #typedAt = 0;

  #told = Promise.resolve(); // by presence.js, so far

  /** What rules.js has not heard yet. @type {(Welcome | Act | Hand)[]} */
  #rulings = [];

  /** @param {string} name @param {(since: number | null) => URL} address */
  constructor(name, address) {
    this.name = name;
    this.connection = new Connection({
      address: () => address(this.#since),
      prepare: people.settle,
      owed: () => this.#owed(),
      ask: () => (this.#isAsked = this.connection.send('{"type":"ping"}')),
      report: (state, why, seconds) => {
        if (this.#isLive && why) log.showNotice(why);
        if (state !== "open") this.#isLive = false;
        if (state === "stopped" || state === "elsewhere") this.#doubt();
        log.showState(state, why, seconds);
        if (state === "locked") import("./key.js").then((key) => key.askFor(name, why ?? "")).catch(() => {});
      },
      hear: (frame) => {
        const { line, bytes } = split(frame);
        this.#take({ ...JSON.parse(line), bytes });
      },
    });
  }

  #owed() {
    const ours = this.#waiting.reduce((sum, { sent, length }) => sum + (sent ? length : 0), 0);
    return ours || Number(this.#isAsked);
  }

  get unheard() {
    return this.#waiting.map(({ label }) => label);
  }

  // ---- what the user says

  /** @param {string} text @returns {string} why it is not taken; empty if it is */
  say(text) {
    text = text.toWellFormed(); // half a character is no JSON
    return this.add({ type: "message", text }, text, encoder.encode(text).length);
  }

  type() {
    if (!this.#isLive || Date.now() - this.#typedAt < TYPING) return;
    this.#typedAt = Date.now();
    this.connection.send('{"type":"typing"}');
  }

  /** @param {Waiting} message */
  sendAgain(message) {
    message.trouble = "";
    this.#sendWaiting();
  }

  /** @param {Waiting} message */
  discard(message) {
    this.#waiting = this.#waiting.filter((other) => other !== message);
    this.#tellWaiting();
  }

  /** Why something so long cannot be said here; empty if it can. @param {number} length  in bytes */
  tooLarge(length) {
    return length > this.limit ? `it has ${size(length)}, and a message here has ${size(this.limit)} at most.` : "";
  }

  /** Likewise. @param {object} event @param {string} label @param {number} length @param {(line: string) => Frame} [packed] */
  add(event, label, length, packed = (line) => line) {
    const problem = this.tooLarge(length);
    if (problem) return problem;
    if (this.#waiting.length >= MOST_WAITING) return `${MOST_WAITING} messages wait already.`;
    const ref = `${PAGE}-${(refs += 1)}`;
    const frame = packed(JSON.stringify({ ...event, ref }));
    this.#waiting.push({ ref, label, frame, length, sent: false, trouble: "", mayRetry: true });
    log.goToEnd();
    this.#sendWaiting();
    return "";
  }

  #sendWaiting() {
    for (const message of this.#isLive ? this.#waiting : []) {
      if (message.sent || message.trouble || this.tooLarge(message.length)) continue;
      message.sent = this.connection.send(message.frame);
    }
    this.#tellWaiting();
  }

  #tellWaiting() {
    log.showWaiting(this.#waiting, this);
  }

  // ---- what the server says

  /** @param {ServerEvent} event */
  #take(event) {
    switch (event.type) {
      case "welcome":
        return this.#enter(event);
      case "live":
        return this.#caughtUp(event);
      case "message":
      case "binary":
      case "file":
        return this.#keep(event);
      case "act":
        this.#since = event.id;
        log.showNotice(event.said, event.id);
        return this.rule(event);
      case "hand":
        return this.rule(event);
      case "kept":
        return this.#settle(event.ref);
      case "pong":
        this.#isAsked = false;
        return;
      case "joined":
        return this.#joined(event);
      case "left":
        return this.#left(event);
      case "renamed":
        return this.#renamed(event.members);
      case "members":
        return this.#tellMembers(event.members, event.count);
      case "typing":
        return this.#showTyping(event.from);
      case "behind":
        return witness.tell("behind", event);
      case "error":
        return this.#fail(event);
      default: // of a newer server, and nothing to worry about
    }
  }

  /** Unless they have said it meanwhile. @param {Member} from */
  #showTyping(from) {
    const since = this.#since;
    import("./writing.js").then((writing) => since === this.#since && writing.show(from)).catch(() => {});
  }

  /** @param {Welcome} welcome */
  #enter(welcome) {
    const { you, members, count, limit, history, rules } = welcome;
    // Before anything is said in the name of a guest.
    if (people.isStranger(you)) return this.connection.again();
    if (this.#key !== undefined && this.#key !== you.user) this.#doubt();
    this.#key = you.user;
    this.#you = you;
    this.#isBack = this.#since !== null;
    witness.limit = this.limit = limit;
    this.#history = history;
    this.#isAsked = false;
    this.#missed = 0;
    this.#missedLine = null;
    people.writing.stop();
    if (this.#rulings.at(-1)?.type === "welcome") this.#rulings.pop();
    this.#rulings.push(welcome);
    if (hasRules || rules) this.rule();
    this.#tellMembers(members ?? [], count);
  }

  /** Rules, acts and hands: what handles them is fetched with the first one. @param {Act | Hand} [event] */
  async rule(event) {
    hasRules = true;
    if (event) this.#rulings.push(event);
    try {
      const rules = await import("./rules.js");
      await rules.take(this, this.#rulings);
      return rules;
    } catch {
      if (event) log.showNotice("The rules of this room cannot be shown yet.");
    }
  }

  /** All of the past has been told: what still waits is sent again. @param {{ last: number, complete: boolean }} live */
  #caughtUp({ last, complete }) {
    if (!complete && this.#isBack) log.showNotice("Some of what was said in between is gone for good.");
    if (!complete || this.#history === 0) this.#doubt();
    for (const message of this.#waiting) message.sent = false;
    if (!complete || this.#since === null) this.#since = last; // a server that has forgotten all begins anew
    this.#isLive = true;
    this.#sendWaiting();
  }

  /** What was sent may have been heard, and the server cannot tell. */
  #doubt() {
    for (const message of this.#waiting) {
      if (message.sent) Object.assign(message, { sent: false, trouble: "It may have been heard.", mayRetry: true });
    }
    this.#tellWaiting();
  }

  /** @param {Text | Binary | File} message */
  #keep(message) {
    const { id, ref, from } = message;
    const isOurs = ref !== undefined; // it is told to its own session alone
    if (!this.#isLive && this.#isBack && !isOurs) {
      this.#missedLine ??= log.showNotice("");
      this.#missedLine.textContent = `Connected again: ${(this.#missed += 1)} came in between.`;
    }
    this.#since = id;
    const isOwn = isOurs || (from.user !== undefined && from.user === this.#you?.user);
    log.showMessage(message, isOwn);
    if (!isOwn && (this.#isLive || this.#isBack)) witness.tell("news", { room: this.name, message });
    if (from.id !== undefined) people.writing.stop([from.id]);
    this.#settle(ref);
  }

  /** It is kept. @param {string | undefined} ref */
  #settle(ref) {
    const ours = this.#waiting.find((waiting) => waiting.ref === ref);
    if (ours) this.discard(ours);
  }

  /** In a crowd nobody is named. @param {{ members?: Member[], count: number }} event */
  #joined({ members, count }) {
    if (!members) return this.#tellMembers([], count);
    const before = [...this.#members.values()];
    this.#tell((presence) => presence.joined(members, before));
    this.#tellMembers([...this.#members.values(), ...members], count);
  }

  /** @param {{ members?: number[], count: number }} event */
  #left({ members, count }) {
    if (!members) return this.#tellMembers([], count);
    const { here, gone } = Object.groupBy(this.#members.values(), ({ id }) => (members.includes(id) ? "gone" : "here"));
    this.#tell((presence) => presence.left(gone ?? [], here ?? []));
    people.writing.stop(members);
    this.#tellMembers(here ?? [], count);
  }

  /** @param {Member[]} members */
  #renamed(members) {
    this.#you = members.find(({ id }) => id === this.#you?.id) ?? this.#you;
    const before = this.#members;
    this.#tell((presence) => presence.renamed(members, before));
    this.#tellMembers([...this.#members.values()].map((one) => members.find(({ id }) => id === one.id) ?? one), this.#count);
  }

  /** Comings, goings and new names, in their order. @param {(presence: typeof import("./presence.js")) => void} use */
  #tell(use) {
    const told = this.#told.then(() => import("./presence.js"));
    this.#told = told.then((presence) => void (this.connection.isOver || use(presence))).catch(() => {});
  }

  /** @param {{ ref?: string, detail: string, retry: boolean }} error */
  #fail({ ref, detail, retry }) {
    const ours = this.#waiting.find((waiting) => waiting.ref === ref);
    if (!ours) return log.showNotice(detail);
    Object.assign(ours, { sent: false, trouble: `Not sent: ${detail}`, mayRetry: retry });
    this.#tellWaiting();
  }

  /** @param {Member[]} members  whom we know: in a crowd, not all @param {number} count */
  #tellMembers(members, count) {
    this.#members = new Map(members.map((member) => [member.id, member]));
    this.#count = count;
    if (this.#you) people.showMembers([...this.#members.values()], count, this.#you);
  }
}

/** A binary frame is a line of JSON, and bytes; a text frame such a line alone. @param {Frame} frame */
export function split(frame) {
  if (typeof frame === "string") return { line: frame, bytes: new Uint8Array() };
  const all = new Uint8Array(frame);
  const end = all.indexOf(10);
  return { line: new TextDecoder().decode(all.subarray(0, end)), bytes: all.subarray(end + 1) };
}
