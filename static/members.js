// The members: who is in the room, in the panel of people. A user with two tabs is one person there.
//
// It is not: who they are (people.js, room.js), nor what a leader does to them (lead.js).

import { element, make } from "./dom.js";
import { personOf, present } from "./people.js";

/** @import { Member } from "./types.js" */

export function list() {
  const { members, count } = present;
  const items = [...Map.groupBy(members, personOf).values()].map(line);
  if (members.length < count) items.push(make("li", "quiet-text", "Too many to name them all."));
  element("members", HTMLUListElement).replaceChildren(...items);
}

/** @param {Member[]} connections  of one person */
function line(connections) {
  const [{ name, user }] = /** @type {[Member]} */ (connections);
  const item = make("li", user === undefined ? "quiet-text" : "", name);
  item.dir = "auto";
  const isYou = connections.some(({ id }) => id === present.you);
  const notes = [isYou && "you", connections.length > 1 && `${connections.length} connections`];
  item.append(...notes.filter((note) => note !== false).map((note) => make("span", "quiet-text", ` · ${note}`)));
  return item;
}
