// The echo: a connection of its own, on which everything comes back, for round trips and to try things out.
//
// It is not: the room's connection (connection.js), nor what passes on that one (wire.js).

import { element } from "./dom.js";
import { bytesOf, payload } from "./payload.js";

/** @import { Frame } from "./types.js" */

const echoForm = element("echo-form", HTMLFormElement);
const echoText = element("echo-text", HTMLInputElement);
const echoHex = element("echo-hex", HTMLInputElement);
const echoAnswer = element("echo-answer", HTMLPreElement);
const roundTrip = element("round-trip", HTMLParagraphElement);
const plot = element("plot", SVGPolylineElement);

/** Between two round trips, in milliseconds, and how many the plot shows. */
const PING = 2_000;
const TRIPS = 60;

/** @type {WebSocket | null} */
let echo = null;
let pinged = 0;
let pinging = 0; // the timer, until the next one or the next attempt

/** What comes back from the echo and was sent for its time alone. */
const MARK = "round trip";

/** Milliseconds. @type {number[]} */
let trips = [];

/** How long to wait before the echo is connected again, in milliseconds. */
const ECHO_PAUSE = 2_000;

export function openEcho() {
  closeEcho();
  const address = new URL("echo", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  echo = new WebSocket(address);
  echo.binaryType = "arraybuffer";
  echo.onopen = ping;
  echo.onmessage = ({ data }) => (data === MARK ? pong() : showEcho(data));
  echo.onclose = () => {
    roundTrip.textContent = "There is no connection to /echo.";
    pinging = setTimeout(openEcho, ECHO_PAUSE);
  };
}

export function closeEcho() {
  clearTimeout(pinging);
  if (echo) echo.onclose = null;
  echo?.close();
  echo = null;
}

function ping() {
  if (echo?.readyState !== WebSocket.OPEN) return;
  pinged = performance.now();
  echo.send(MARK);
}

function pong() {
  trips = [...trips, performance.now() - pinged].slice(-TRIPS);
  const most = Math.max(...trips);
  const now = trips[trips.length - 1] ?? 0;
  roundTrip.textContent = `There and back in ${now.toFixed(1)} ms; at least ${Math.min(...trips).toFixed(1)}, at most ${most.toFixed(1)}.`;
  plot.setAttribute("points", trips.map((trip, i) => `${i * 5},${60 - (trip / most) * 56}`).join(" "));
  clearTimeout(pinging);
  pinging = setTimeout(ping, PING);
}

/** @param {Frame} data */
function showEcho(data) {
  const shown = typeof data === "string" ? data : new Uint8Array(data);
  echoAnswer.textContent = `${typeof data === "string" ? "text" : "binary"}, ${(performance.now() - echoed).toFixed(1)} ms\n${payload(shown)}`;
}

let echoed = 0;

echoForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const bytes = echoHex.checked ? bytesOf(echoText.value) : echoText.value;
  echoText.setCustomValidity(bytes === null ? "Two digits from 0 to f for each byte, such as 48 65 6c 6c 6f" : "");
  if (!echoText.reportValidity() || bytes === null) return;
  echoed = performance.now();
  if (echo?.readyState === WebSocket.OPEN) echo.send(bytes);
  else echoAnswer.textContent = "There is no connection to /echo.";
});

echoText.addEventListener("input", () => echoText.setCustomValidity(""));
