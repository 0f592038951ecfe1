// The echo: connections on which everything comes back, and on which the server tells what it read from the wire.
//
// A page sees no frames: a browser takes off the masking, joins fragments, answers pings and keeps its handshake to
// itself. So the server tells of them (`/echo?frames`): a text of JSON for each frame, then what it answers.
//
// It is not: the room's connection (connection.js), nor what is tried out here (experiments.js).

import { element } from "./dom.js";

/** @import { Frame, Handshake, Report } from "./types.js" */

const roundTrip = element("round-trip", HTMLParagraphElement);
const plot = element("plot", SVGPolylineElement);

/**
 * @param {string} play  which bytes the server is to read as if they came from here; empty: none
 * @param {{
 *   begins: (told: Handshake) => void,
 *   reports: (told: Report) => void,
 *   answers: (data: Frame) => void,
 *   ends: (event: CloseEvent) => void,
 * }} hears  what it says
 */
export function callEcho(play, hears) {
  const address = new URL(`echo?frames${play && `&play=${play}`}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  let echoes = 0; // that the last report has announced: they come right behind it
  socket.onmessage = ({ data }) => {
    if (echoes > 0) {
      echoes -= 1;
      return hears.answers(data);
    }
    /** @type {Handshake | Report} */
    const told = JSON.parse(data);
    if (told.type === "handshake") return hears.begins(told);
    echoes = told.answers.filter(({ name }) => name === "text" || name === "binary").length;
    hears.reports(told);
  };
  socket.onclose = hears.ends;
  return socket;
}

// ---- round trips, while the panel is open

/** Between two round trips, in milliseconds, and how many the plot shows. */
const PING = 2_000;
const TRIPS = 60;

/** What is sent for the time it takes: no page may send the Ping of the protocol. */
const MARK = "round trip";

/** How long to wait before the echo is connected again, in milliseconds. */
const PAUSE = 2_000;

/** @type {WebSocket | null} */
let echo = null;
let pinged = 0;
let pinging = 0; // the timer, until the next one or the next attempt

/** Milliseconds. @type {number[]} */
let trips = [];

/** @param {(told: Handshake) => void} begins  told of each connection */
export function openEcho(begins) {
  closeEcho();
  echo = callEcho("", { begins, reports: () => {}, answers: pong, ends: () => lost(begins) });
  echo.onopen = ping;
}

/** @param {(told: Handshake) => void} begins */
function lost(begins) {
  roundTrip.textContent = "There is no connection to /echo.";
  clearTimeout(pinging);
  pinging = setTimeout(() => openEcho(begins), PAUSE);
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
