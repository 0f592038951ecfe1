// A room as a file: all that is kept of it, as text, as a web page that needs nothing else, or as JSON.
//
// What users wrote stays text here too: the web page is made of elements, and the browser writes it down.

import { make, size } from "./dom.js";
import { past } from "./earlier.js";
import { pictureType, tidy } from "./files.js";
import { dayOf, room } from "./log.js";

/** @import { PastMessage } from "./types.js" */

/** The most messages that the server gives at a time. */
const LIMIT = 1_000;

/** Of the saved page: nothing in it runs or is fetched. */
const HEAD = `<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<style>
:root { color-scheme: light dark; font: 1rem/1.45 system-ui, sans-serif; }
body { max-width: 50rem; margin: auto; padding: 1rem; }
p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
img { display: block; max-width: 100%; }
time, .said { opacity: .75; }
</style>`;

const clock = new Intl.DateTimeFormat([], { timeStyle: "short" });

const FORMS = {
  text: { end: "txt", type: "text/plain;charset=utf-8", write: asText },
  page: { end: "html", type: "text/html;charset=utf-8", write: asPage },
  json: { end: "json", type: "application/json", write: (/** @type {PastMessage[]} */ all) => JSON.stringify(all, null, 1) },
};

/** @param {string} form  one of FORMS */
export async function save(form) {
  const { end, type, write } = FORMS[/** @type {keyof typeof FORMS} */ (form)];
  const name = room;
  const url = URL.createObjectURL(new Blob([write(await everything(), name)], { type }));
  const link = make("a");
  link.href = url;
  link.download = `${name}.${end}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may ask first where to save it
}

/** From the first message on; what is said meanwhile comes along. */
async function everything() {
  /** @type {PastMessage[]} */
  const all = [];
  for (let since = 0, goesOn = true; goesOn; ) {
    const { messages, more, next } = await past({ since, limit: LIMIT });
    all.push(...messages);
    since = next ?? since;
    goesOn = more;
  }
  return all;
}

/** @param {PastMessage[]} all @param {string} name */
function asText(all, name) {
  return [`#${name}`, ...lines(all, lineOf)].join("\n") + "\n";
}

/**
 * One after the other, and above the first one of each day its name.
 * @template T
 * @param {PastMessage[]} all
 * @param {(message: PastMessage) => T} write
 * @returns {(T | string)[]}
 */
function lines(all, write) {
  let last = "";
  return all.flatMap((message) => {
    const day = dayOf(message.at);
    const above = day === last ? [] : [day];
    last = day;
    return [...above, write(message)];
  });
}

/** @param {PastMessage} message */
function lineOf(message) {
  const time = clock.format(new Date(message.at));
  if ("said" in message) return `${time} ${message.said}`;
  if ("text" in message) return `${time} ${message.from.name}: ${message.text}`;
  return `${time} ${message.from.name}: [${tidy(message.name)}, ${size(message.size)}]`;
}

/** @param {PastMessage[]} all @param {string} name */
function asPage(all, name) {
  const body = make("body");
  const items = lines(all, paragraph).map((one) => (typeof one === "string" ? make("h2", "", one) : one));
  body.append(make("h1", "", `#${name}`), ...items);
  return `<!doctype html>\n<html>${HEAD}\n${make("title", "", `#${name}`).outerHTML}\n${body.outerHTML}</html>\n`;
}

/** @param {PastMessage} message */
function paragraph(message) {
  const line = make("p");
  line.append(make("time", "", clock.format(new Date(message.at))), " ");
  if ("said" in message) line.append(make("span", "said", message.said));
  else line.append(make("b", "", message.from.name), " ", ...("text" in message ? [message.text] : fileOf(message)));
  return line;
}

/** @param {{ name: string, base64?: string, size: number }} file */
function fileOf({ name, base64 = "", size: bytes }) {
  name = tidy(name);
  const start = Uint8Array.from(atob(base64.slice(0, 16)), (sign) => sign.charCodeAt(0));
  const type = pictureType(start);
  const link = make("a", "", `${name}, ${size(bytes)}`);
  link.href = `data:application/octet-stream;base64,${base64}`;
  link.download = name;
  if (!type) return [link];
  const image = make("img");
  image.alt = name;
  image.src = `data:${type};base64,${base64}`;
  return [link, image];
}
