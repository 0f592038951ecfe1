// The panel of what is kept of this room: searching it, and saving it as a file. The server searches, so that the page
// need not fetch all of it.
//
// It is not: reading back in the log (earlier.js), nor how a file is made (save.js).

import { button, element, make } from "./dom.js";
import { goTo, past } from "./earlier.js";
import { fetched, showNotice } from "./log.js";

/** @import { PastMessage } from "./types.js" */

/** Hits that are looked for at a time, and messages that the server looks at in one request. */
const ENOUGH = 20;
const LOOK = 1_000;

/** Characters of a hit that are shown, and how many of them are before what was sought. */
const EXCERPT = 120;
const BEFORE = 40;

const panel = element("history", HTMLElement);
const toggle = element("history-button", HTMLButtonElement);
const field = element("search", HTMLInputElement);
const state = element("search-state", HTMLParagraphElement);
const hits = element("hits", HTMLOListElement);
const further = element("further", HTMLButtonElement);

const when = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });

let sought = "";

/** The id before which the search goes on; 0: it begins at the end. */
let before = 0;

/** @param {boolean} shown */
export function show(shown) {
  panel.hidden = !shown;
  if (shown) field.focus();
}

/** Another search makes an older one stop. */
let search = 0;

function forget() {
  search += 1;
  before = 0;
  hits.replaceChildren();
  state.textContent = "";
  further.hidden = true;
}

element("log", HTMLDivElement).addEventListener("emptied", forget); // another room

element("search-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  forget();
  sought = field.value.trim();
  if (sought) lookBack();
});

further.addEventListener("click", () => lookBack());

/** Until there are enough hits, or the beginning is reached; the newest ones come first. */
async function lookBack() {
  const own = search;
  further.hidden = true;
  state.textContent = "Searching…";
  let more = true;
  try {
    for (const most = hits.childElementCount + ENOUGH; more && hits.childElementCount < most; ) {
      const page = await past({ q: sought, limit: LOOK, files: "later", ...(before && { before }) });
      if (own !== search) return;
      hits.append(...page.messages.reverse().map(hit));
      ({ more } = page);
      before = page.next ?? before;
    }
  } catch (error) {
    more = true;
    if (own === search) showNotice(error instanceof Error ? error.message : String(error));
  }
  if (own !== search) return;
  const count = hits.childElementCount;
  state.textContent = `${count === 1 ? "1 message" : `${count} messages`} found${more ? " so far" : ""}.`;
  further.hidden = !more;
}

/** @param {PastMessage} message */
function hit(message) {
  const item = make("li");
  const head = make("span", "quiet-text", `${message.from.name}, ${when.format(new Date(message.at))}`);
  const lead = button("", () => follow(message.id));
  lead.dir = "auto";
  lead.append(make("span", "", excerpt(textOf(message))));
  item.append(head, lead);
  return item;
}

/** @param {PastMessage} message */
function textOf(message) {
  if ("text" in message) return message.text;
  return "said" in message ? message.said : message.name;
}

/** @param {string} text */
function excerpt(text) {
  const at = text.toLowerCase().indexOf(sought.toLowerCase());
  const start = Math.max(at - BEFORE, 0);
  const end = start + EXCERPT;
  return `${start > 0 ? "…" : ""}${text.slice(start, end).toWellFormed()}${text.length > end ? "…" : ""}`;
}

/** @param {number} id */
async function follow(id) {
  const why = await goTo(id).catch((error) => error.message);
  if (why) state.textContent = why;
  // On a phone the panel takes the place of the log.
  else if (matchMedia("(max-width: 50rem)").matches) toggle.click();
}

for (const press of panel.querySelectorAll("button[data-save]")) {
  press.addEventListener("click", () => {
    const form = press.getAttribute("data-save") ?? "";
    fetched(async () => (await import("./save.js")).save(form));
  });
}
