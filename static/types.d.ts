// The shapes of what the page handles, for the type checker alone (see tests/run): no browser reads this file.

export type Frame = string | ArrayBuffer;

/** Whom a connection serves. */
export interface Owner {
  /** Asked for each attempt anew. */
  address(): URL;
  /** Comes before each attempt; rejected with the reason why none can be made. */
  prepare(): Promise<void>;
  /** Bytes that are under way before the server can answer us; 0: nothing of ours waits for an answer. */
  owed(): number;
  /** To send something that the server answers. */
  ask(): void;
  /** Told every change, and every second of a pause until the next attempt. */
  report(state: State, why?: string, seconds?: number): void;
  /** Told every frame, in order. */
  hear(frame: Frame): void;
}

/**
 * "elsewhere": another tab has gone on with the session; "locked": the room's key is missing. Then, and when it is
 * stopped, only a button goes on.
 */
export type State = "connecting" | "open" | "waiting" | "offline" | "stopped" | "locked" | "elsewhere";

/** Which way a frame went; "×": the connection was closed. */
export type Sign = "↓" | "↑" | "×";

/** What is kept of a frame that passed. */
export interface Passed {
  sign: Sign;
  isText: boolean;
  /** Bytes of the whole payload. */
  length: number;
  /** Its beginning. */
  bytes: Uint8Array<ArrayBuffer>;
  at: Date;
}

/** A frame on the wire, as the server reads or sends it (`/echo?frames`). Bytes are in hex: "48 65". */
export interface WireFrame {
  /** All bytes before the payload. */
  header: string;
  fin: boolean;
  rsv: [boolean, boolean, boolean];
  opcode: number;
  name: string;
  masked: boolean;
  length: number;
  /** In how many bits the length is written. */
  length_bits: 7 | 16 | 64;
  /** The masking key; null: there is none, or the browser keeps it to itself. */
  key: string | null;
  /** The beginning of the payload, on the wire and unmasked. */
  masked_bytes: string;
  bytes: string;
  /** False: the connection ended before all of it was read. */
  complete: boolean;
  close?: { code: number; reason: string } | null;
}

/** What the server tells of a frame before it answers; without `received` it sends of its own accord. */
export interface Report {
  type: "frame";
  received: WireFrame | null;
  answers: WireFrame[];
  refused: { code: number; reason: string } | null;
}

export interface Handshake {
  type: "handshake";
  request: string;
  response: string;
}

/** Bytes that the server reads as if a client had sent them, and the section of RFC 6455 that they show. */
export interface Play {
  name: string;
  section: string;
  says: string;
}

/** What there is to see of a connection, by the name of its event. */
export interface Seen {
  frame: Passed;
  opened: null;
  closed: { code: number; words: string };
  failed: null;
  news: News;
  /** What waits on the server for a slow student, and how much may, in bytes. */
  behind: { waiting: number; limit: number };
}

/** Somebody else has said something new: no message of the past that we found when we came. */
export interface News {
  room: string;
  message: Text | Binary | File;
}

/** Somebody in a room. */
export interface Member {
  id: number;
  /** Their number in the directory; guests have none. */
  user?: number;
  name: string;
  /** A leader has muted them. */
  muted?: boolean;
  /** When they have raised a hand, in microseconds since 1970; 0 or missing: it is down. */
  hand?: number;
}

/** What every message has. */
export interface Said {
  id: number;
  /** Its `id` is that of a member, while they are here. */
  from: { id?: number; user?: number; name: string };
  at: string;
  /** In what this session has said. */
  ref?: string;
}

export interface Text extends Said {
  text: string;
}

export interface Binary extends Said {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** A large one of the past: its bytes are fetched later. */
export interface File extends Said {
  name: string;
  media_type: string;
  size: number;
}

/** A message of the past, as the REST API tells it. */
export type PastMessage =
  | Text
  | (File & { base64?: string })
  | (Said & { act: string; said: string });

/** A page of the past. */
export interface Past {
  /** In order of their ids. */
  messages: PastMessage[];
  /** There are others in the direction in which one reads on. */
  more: boolean;
  /** Then: where one goes on. */
  next?: number;
  last: number;
}

/** A message of ours that has not come back yet. */
export interface Waiting {
  ref: string;
  /** What is shown of it. */
  label: string;
  frame: Frame;
  /** Bytes, as the limit counts them. */
  length: number;
  /** It has left this page, so it may be kept without our knowing. */
  sent: boolean;
  /** Why it does not go by itself any more; empty: it does. */
  trouble: string;
  /** Then the user may send it again. */
  mayRetry: boolean;
}

/** A line of the log. */
export interface Entry {
  item: HTMLLIElement;
  /** Blobs that it shows or offers. */
  urls: string[];
  /** The length of its text, or its bytes. */
  size: number;
  /** Of the message or the act; 0: the page itself says it. */
  id: number;
}

/** What the server says in wsroom.v1; in a crowd there are no `members`. */
export type ServerEvent =
  | Welcome
  | ({ type: "message" } & Text)
  | ({ type: "binary" } & Binary)
  | ({ type: "file" } & File)
  | Act
  | Hand
  | { type: "kept"; ref: string; id: number }
  | { type: "pong" }
  | { type: "joined"; members?: Member[]; count: number }
  | { type: "left"; members?: number[]; count: number }
  | { type: "members"; members: Member[]; count: number }
  | { type: "renamed"; members: Member[] }
  | { type: "typing"; from: Member }
  | { type: "live"; last: number; complete: boolean }
  | { type: "behind"; waiting: number; limit: number }
  | { type: "error"; code: string; detail: string; retry: boolean; ref?: string };

export interface Welcome {
  type: "welcome";
  you: Member;
  members?: Member[];
  count: number;
  last: number;
  complete: boolean;
  limit: number;
  history: number;
  /** Missing: everybody may enter and speak, and nobody leads. */
  rules?: Rules;
}

/** The rules of a room. */
export interface Rules {
  topic: string;
  mode: "open" | "read-only" | "closed";
  has_key: boolean;
  history: boolean;
  /** The id of the message that is pinned. */
  pinned?: number;
  leaders: { user: number; name: string }[];
}

/** Somebody whom an act is about. */
interface Person {
  member: number;
  name: string;
  user?: number;
}

/** What was done to the room, or to a message of it. */
export type Deed =
  | { act: "remove"; message: number }
  | { act: "clear" }
  | { act: "pin"; message: number }
  | { act: "unpin" }
  | ({ act: "mute" } & Person)
  | ({ act: "unmute" } & Person)
  | ({ act: "put-out"; minutes: number; reason: string } & Person)
  | ({ act: "set" } & Pick<Rules, "topic" | "mode" | "has_key" | "history">)
  | { act: "lead"; user: number; name: string }
  | { act: "unlead"; user: number; name: string }
  | { act: "end" }
  | { act: "lower"; member?: number };

/** `said` tells of the deed in a sentence. */
export type Act = Said & { type: "act"; said: string } & Deed;

export interface Hand {
  type: "hand";
  member: { id: number; name: string };
  /** When it was raised, in microseconds since 1970; 0: it is down. */
  up: number;
}

/** Whoever has this browser's key. */
export interface User {
  id: number;
  name: string;
}

/** What passed the server since its start; `at` is in milliseconds. */
export interface Traffic {
  at: number;
  messages: number;
  deliveries: number;
  bytes: number;
}

export interface RoomRow {
  room: string;
  members: number;
}

export interface ClientRow {
  room: string;
  member: number;
  name: string;
  /** Undefined: a guest. */
  user?: number;
  address: string;
  seconds: number;
  /** Bytes that wait for it. */
  waiting: number;
}

/** What is so in the server, for its owner; a list may be shorter than the count. */
export interface Snapshot extends Traffic {
  type: "snapshot";
  users: number;
  rooms: { count: number; list: RoomRow[] };
  /** Those who are in rooms. */
  clients: { count: number; list: ClientRow[] };
  /** All others. */
  roomless: number;
  warnings: string[];
}
