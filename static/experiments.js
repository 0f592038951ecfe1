// Experiments: what a rule of RFC 6455 looks like on the wire, and what the server answers. Each has a short connection to
// the echo of its own, one at a time.
//
// What no browser sends (a frame that is not masked, say) the server plays: it reads bytes as if they had come from here.
//
// It is not: what a frame looks like (frame.js), nor which bytes are played (the server tells, by `GET /experiments`).

import { witness } from "./connection.js";
import { ask, button, element, make, size } from "./dom.js";
import { callEcho } from "./echo.js";
import { closeFrame, drawn } from "./frame.js";
import { explain } from "./handshake.js";
import { bytesOf } from "./payload.js";

/** @import { Frame, Handshake, Play, Report } from "./types.js" */

const echoForm = element("echo-form", HTMLFormElement);
const echoText = element("echo-text", HTMLInputElement);
const echoHex = element("echo-hex", HTMLInputElement);
const closeForm = element("close-form", HTMLFormElement);
const closeCode = element("close-code", HTMLSelectElement);
const closeReason = element("close-reason", HTMLInputElement);
const plays = element("plays", HTMLUListElement);
const outcome = element("outcome", HTMLElement);
const title = element("outcome-title", HTMLHeadingElement);
const verdict = element("outcome-words", HTMLParagraphElement);
const steps = element("steps", HTMLOListElement);

/** After this, in milliseconds, an experiment is ended that nothing else has ended. */
const PATIENCE = 20_000;

/** Lines of it that are open at first. */
const MOST_OPEN = 8;

/** More than this is not sent by a page to try a limit. */
const MOST_SENT = 64 << 20;

/** Of a Close: a control frame has 125 bytes, and the code takes 2 of them (§5.5). */
const REASON_BYTES = 123;

/** The one under way. @type {WebSocket | null} */
let socket = null;
let timer = 0;

/**
 * @param {string} name
 * @param {{ play?: string, open?: (socket: WebSocket) => void, end?: (event: CloseEvent) => void }} how
 *   what the server plays, what is done when it is open, and what is to be shown when it has ended
 */
function run(name, { play = "", open = () => {}, end = () => {} }) {
  stop();
  title.textContent = name;
  verdict.textContent = "Connecting…";
  steps.replaceChildren();
  outcome.hidden = false;
  outcome.scrollIntoView();
  const here = callEcho(play, {
    begins: (told) => {
      verdict.textContent = "Connected.";
      showHandshake(told);
      open(here);
    },
    reports: showReport,
    answers: (data) => {
      showEcho(data);
      here.close(1000);
    },
    ends: (event) => {
      clearTimeout(timer);
      end(event);
      verdict.textContent = ending(event);
    },
  });
  socket = here;
  timer = setTimeout(() => here.close(1000), PATIENCE);
  return here;
}

/** The one before is of no interest any more. */
function stop() {
  clearTimeout(timer);
  if (socket) socket.onmessage = socket.onclose = null;
  socket?.close();
}

// ---- what is shown of it

/** @param {HTMLElement[]} shown */
function step(...shown) {
  for (const each of shown) {
    const item = make("li");
    item.append(each);
    // A browser cuts what is large into many fragments.
    if (each instanceof HTMLDetailsElement && steps.childElementCount > MOST_OPEN) each.open = false;
    steps.append(item);
  }
}

/** @param {Handshake} told */
function showHandshake(told) {
  const shown = make("details");
  const lines = make("pre");
  explain(lines, told);
  shown.append(make("summary", "", "The handshake"), lines);
  step(shown);
}

/** @param {Report} report */
function showReport({ received, answers, refused }) {
  if (received) step(drawn("The server received", received));
  if (refused) step(make("p", "", `The server refuses it with ${refused.code}: ${refused.reason}`));
  for (const answer of answers) step(drawn(received ? "The server answers" : "The server sends of its own accord", answer));
}

/** @param {Frame} data */
function showEcho(data) {
  const what = typeof data === "string" ? `a text of ${data.length} characters` : `${data.byteLength} bytes`;
  step(make("p", "", `This page received ${what}, whole, and now closes with 1000. A browser shows nothing of what comes after.`));
}

/** @param {CloseEvent} event */
function ending({ code, reason, wasClean }) {
  const words = reason ? `, reason: ${reason}` : "";
  const clean = wasClean
    ? "cleanly: both sides have sent a Close frame (§7.1.4)"
    : "not cleanly: there was no closing handshake; 1006 is in no frame, the browser says it itself (§7.4.1)";
  return `This page was told: closed with ${code}${words}, ${clean}.`;
}

// ---- from this page

echoForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const bytes = echoHex.checked ? bytesOf(echoText.value) : echoText.value;
  echoText.setCustomValidity(bytes === null ? "Two digits from 0 to f for each byte, such as 48 65 6c 6c 6f" : "");
  if (!echoText.reportValidity() || bytes === null) return;
  run(echoHex.checked ? "Bytes in a frame (§5.6)" : "A text in a frame (§5.6)", { open: (here) => here.send(bytes) });
});

echoText.addEventListener("input", () => echoText.setCustomValidity(""));

element("over-limit", HTMLButtonElement).addEventListener("click", () => {
  const limit = witness.limit || 1 << 20;
  run(`One byte more than the limit of ${limit} (§7.4.1)`, {
    open: (here) => {
      if (limit < MOST_SENT) return here.send(new Uint8Array(limit + 1));
      step(make("p", "", `The limit of this server is ${size(limit)}: too much for a page. Try “too large” below.`));
      here.close(1000);
    },
  });
});

closeForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const code = Number(closeCode.value);
  const reason = closeReason.value;
  const isLong = new TextEncoder().encode(reason).length > REASON_BYTES;
  closeReason.setCustomValidity(isLong ? `A reason has ${REASON_BYTES} bytes at most (§5.5)` : "");
  if (!closeReason.reportValidity()) return;
  run(`Close with ${code} (§5.5.1)`, {
    open: (here) => {
      here.close(code, reason);
      const why = "A browser shows a page nothing that comes after its own Close. So these two frames are reckoned: the first from what the page asked for, the second from what the browser says that it received.";
      step(make("p", "", why), drawn("The browser sends", closeFrame(code, reason, "masked")));
    },
    end: (told) => {
      if (told.wasClean) step(drawn("The server answers", closeFrame(told.code, told.reason, "plain")));
    },
  });
});

closeReason.addEventListener("input", () => closeReason.setCustomValidity(""));

element("drop-line", HTMLButtonElement).addEventListener("click", () => {
  const why = "A page cannot cut an open connection: its close() always sends a Close frame. But while the handshake is under way the browser just drops the line, as a network does that fails: no Close frame goes either way (§7.1.7).";
  const here = run("Drop the line (§7.1.7)", {});
  step(make("p", "", why));
  here.close();
});

// ---- played by the server

let isListed = false;

/** Fetched once. */
export async function listPlays() {
  if (isListed) return;
  isListed = true;
  try {
    /** @type {{ plays: Play[] }} */
    const told = await ask("experiments");
    plays.replaceChildren(...told.plays.map(item));
  } catch (error) {
    isListed = false;
    plays.replaceChildren(make("li", "", `${error instanceof Error ? error.message : error} Close the panel and open it to try again.`));
  }
}

/** @param {Play} play */
function item({ name, section, says }) {
  const label = name.replaceAll("-", " ");
  const shown = make("li");
  shown.append(button(`${label} §${section}`, () => {
    run(`Played by the server: ${label} (§${section})`, { play: name });
    step(make("p", "", says));
  }));
  return shown;
}
