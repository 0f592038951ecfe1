// The members: who is in the room, in the panel of people. A user with two tabs is one person there.
//
// It is not: who they are (people.js, room.js), nor what a leader does to them (lead.js).

import { button, element, make } from "./dom.js";
import { showNotice } from "./log.js";
import { personOf, present } from "./people.js";
import { leads, rules } from "./rules.js";

/** @import { Member } from "./types.js" */

export function list() {
  const { members, count } = present;
  const items = [...Map.groupBy(members, personOf).values()].map(line);
  if (members.length < count) items.push(make("li", "quiet-text", "Too many to name them all."));
  const shown = element("members", HTMLUListElement);
  const focused = shown.contains(document.activeElement) && document.activeElement?.id;
  shown.replaceChildren(...items);
  if (focused) document.getElementById(focused)?.focus();
  const lead = element("lead-button", HTMLButtonElement);
  lead.textContent = leads() ? "Change this room" : "Lead this room";
  lead.onclick = () => opened((module) => module.open());
}

/** @param {(lead: typeof import("./lead.js")) => unknown} use */
const opened = (use) => import("./lead.js").then(use).catch((error) => showNotice(error.message));

/** @param {Member[]} connections  of one person */
function line(connections) {
  const [first] = /** @type {[Member]} */ (connections);
  const { id, name, user } = first;
  const item = make("li", user === undefined ? "quiet-text" : "", name);
  item.dir = "auto";
  const isYou = connections.some((one) => one.id === present.you.id);
  const notes = [
    isYou && "you",
    connections.length > 1 && `${connections.length} connections`,
    rules.leaders.some((leader) => leader.user === user) && "leads",
    first.muted && "muted",
    connections.some(({ hand }) => hand) && "hand raised",
  ];
  item.append(...notes.filter((note) => typeof note === "string").map((note) => make("span", "quiet-text", ` · ${note}`)));
  if (leads() && !isYou) {
    const more = button("⋯", () => opened((lead) => lead.member(first)));
    more.id = `member-${id}`;
    more.ariaLabel = more.title = `Mute ${name}, or put them out`;
    item.append(" ", more);
  }
  return item;
}
