// A slow student: this tab asks the server to be sent only so many bytes a second, and shows what happens then: what
// waits on the server, when and why that lets go, and what came back afterwards.
//
// It is not: being slow. That is the server's (`slow=N`), and coming back is the connection's (connection.js).

import { witness } from "./connection.js";
import { element, make, size } from "./dom.js";
import { textOf } from "./payload.js";

/** @import { Passed, Seen } from "./types.js" */

const pace = element("slow", HTMLSelectElement);
const queue = element("queue", HTMLMeterElement);
const queueWords = element("queue-words", HTMLSpanElement);
const story = element("slow-story", HTMLOListElement);

/** Lines of the story. */
const MOST = 50;

/** As the server told last. */
let told = { waiting: 0, limit: 0 };

/** Messages since the connection was opened again; null: it has caught up. @type {number | null} */
let missed = null;

/** @template {keyof Seen} K @param {K} type @param {(detail: Seen[K]) => void} listener */
function on(type, listener) {
  witness.addEventListener(type, (event) => event instanceof CustomEvent && listener(event.detail));
}

/** @param {string} sentence */
function tells(sentence) {
  story.append(make("li", "", `${new Date().toLocaleTimeString([], { hour12: false })} ${sentence}`));
  if (story.childElementCount > MOST) story.firstElementChild?.remove();
  story.scrollTop = story.scrollHeight;
}

/** @param {typeof told} now */
function showQueue(now) {
  const { waiting, limit } = (told = now);
  queue.max = limit || 1;
  queue.value = waiting;
  queueWords.textContent = limit ? `${size(waiting)} waiting; beyond ${size(limit)} the server lets go` : "";
}

pace.addEventListener("change", () => {
  showQueue({ waiting: 0, limit: 0 });
  tells(pace.value ? `This tab asks for ${pace.value} bytes a second (?slow=${pace.value}).` : "This tab reads as fast as it can again.");
  witness.connection?.slowDown(pace.value);
});

// As the server tells it, about once a second.
on("behind", (now) => {
  if (told.waiting === 0 && now.waiting > 0) tells(`Behind: ${size(now.waiting)} wait on the server for this tab.`);
  if (told.waiting > 0 && now.waiting === 0) tells("Caught up: nothing waits any more.");
  showQueue(now);
});

on("closed", ({ code, words }) => {
  if (pace.value) {
    const before = told.limit ? ` The server told last that ${size(told.waiting)} waited; beyond ${size(told.limit)} it lets go.` : "";
    const how = code === 1006 ? " No Close frame came: the server resets a tab for which too much waits, and a Close would have to wait, too." : "";
    tells(`Closed with ${code}: ${words}${before}${how}`);
  }
  showQueue({ waiting: 0, limit: 0 }); // the server has let go of it
});

on("opened", () => {
  if (!story.hasChildNodes()) return;
  missed = 0;
  tells("Connected again: it asks for all since the last message it had (?since=ID).");
});

// What was missed comes between `welcome` and `live`.
on("frame", ({ sign, isText, bytes }) => {
  if (missed === null || sign !== "↓") return;
  const line = textOf(bytes);
  if (/^\{"type":"(message|binary)"/.test(line)) missed += 1;
  if (!isText || !line.startsWith('{"type":"live"')) return;
  const { complete } = JSON.parse(line);
  const came = missed === 1 ? "1 message that it had missed came" : `${missed} messages that it had missed came`;
  tells(`${came} afterwards; ${complete ? "nothing is missing" : "the server has no more of what came before"}.`);
  missed = null;
});
