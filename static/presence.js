// Comings, goings and new names, in quiet lines of the log. It is fetched with the first of them.
//
// It is not: who is there (people.js), nor hearing of it (room.js).

import { make, tell } from "./dom.js";
import { entries, showNotice } from "./log.js";
import { personOf } from "./people.js";

/** @import { Member } from "./types.js" */

/** The last line that tells of comings and goings. */
let line = { item: make("li"), came: /** @type {Member[]} */ ([]), went: /** @type {Member[]} */ ([]) };

/** @param {Member[]} members @param {Member[]} before  who was there already */
export function joined(members, before) {
  show(others(members, before), []);
}

/** @param {Member[]} members @param {Member[]} here  who is still there */
export function left(members, here) {
  show([], others(members, here));
}

/** Who is none of these; each once. @param {Member[]} members @param {Member[]} these */
function others(members, these) {
  const known = new Set(these.map(personOf));
  return members.filter((one) => !known.has(personOf(one)) && known.add(personOf(one)));
}

/** In one line with what came just before. @param {Member[]} came @param {Member[]} went */
function show(came, went) {
  if (came.length + went.length === 0) return;
  if (entries.at(-1)?.item !== line.item) line = { item: showNotice(""), came: [], went: [] };
  line.came.push(...came);
  line.went.push(...went);
  tellLine();
}

/** New names; whoever came just now has come by that name. @param {Member[]} members @param {Map<number, Member>} before */
export function renamed(members, before) {
  const justCame = entries.at(-1)?.item === line.item ? line.came.map(({ id }) => id) : [];
  line.came = line.came.map((one) => members.find(({ id }) => id === one.id) ?? one);
  tellLine();
  for (const { id, name } of members) {
    const former = before.get(id)?.name ?? name;
    const sentence = `${former} is called ${name} now.`;
    const isTold = former === name || justCame.includes(id) || entries.at(-1)?.item.textContent === sentence;
    if (!isTold) showNotice(sentence);
  }
}

function tellLine() {
  tell(line.item, [listed(line.came, "came"), listed(line.went, "left")].filter(Boolean).join(" · "));
}

/** @param {Member[]} members @param {string} did */
function listed(members, did) {
  if (members.length === 0) return "";
  const names = members.map(({ name }) => name);
  const rest = names.length > 4 ? ` and ${names.length - 3} others` : "";
  return `${names.slice(0, rest ? 3 : 4).join(", ")}${rest} ${did}`;
}
