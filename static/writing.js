// Who is writing, in a line above the box. It is fetched with the first note of that.
//
// It is not: telling others that the user writes (room.js).

import { element, people, tell } from "./dom.js";
import { writing as told } from "./people.js";

/** @import { Member } from "./types.js" */

/** How long somebody counts as writing after a note of it, in milliseconds. */
const WRITES = 4_000;

const line = element("typing", HTMLParagraphElement);

/** By their id: two tabs may have one name. @type {Map<number, { name: string, timer: number }>} */
const writing = new Map();

/** @param {Member} member */
export function show({ id, name }) {
  clearTimeout(writing.get(id)?.timer);
  writing.set(id, { name, timer: setTimeout(() => stop([id]), WRITES) });
  showAll();
}

/** @param {Iterable<number>} ids */
function stop(ids = [...writing.keys()]) {
  for (const id of ids) {
    clearTimeout(writing.get(id)?.timer);
    writing.delete(id);
  }
  showAll();
}

function showAll() {
  const names = [...new Set([...writing.values()].map(({ name }) => name))];
  const who = names.length > 2 ? people(names.length) : names.join(" and ");
  tell(line, who && `${who} ${names.length > 1 ? "are" : "is"} writing…`);
}

told.stop = stop;
