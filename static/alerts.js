// Alerts: while nobody looks at the page, the browser shows a new message by itself, or a sound is played. Both are off
// until they are switched on in the panel of people. It is fetched with that panel, and at the start if one is on.
//
// It is not: the number of unseen messages in the title (log.js), nor what is new (room.js).

import { witness } from "./connection.js";
import { element, storage } from "./dom.js";

/** @import { News } from "./types.js" */

/** Where it is kept which ones are on. */
const ALERTS = "wsroom.alerts";

const store = storage("localStorage");
const on = new Set(store?.getItem(ALERTS)?.split(" "));

/** Milliseconds between two alerts at least: a lively room is no reason to ring all the time. */
const PAUSE = 2_000;

/** Characters of a message. */
const EXCERPT = 200;

let alertedAt = -PAUSE;

witness.addEventListener("news", (event) => {
  const isEarly = performance.now() - alertedAt < PAUSE;
  if (!document.hidden || isEarly || on.size === 0 || !(event instanceof CustomEvent)) return;
  alertedAt = performance.now();
  if (on.has("notify")) showMessage(event.detail);
  if (on.has("sound")) ring();
});

/** @param {string} what @param {boolean} wanted */
function turn(what, wanted) {
  if (wanted) on.add(what);
  else on.delete(what);
  if (on.size > 0) store?.setItem(ALERTS, [...on].join(" "));
  else store?.removeItem(ALERTS);
}

// ---- shown by the browser

/** @param {News} news */
function showMessage({ room, message }) {
  const said = "text" in message ? message.text.slice(0, EXCERPT) : message.name;
  show(`${message.from.name} in #${room}`, said, room);
}

/** The next one of the same room takes its place. @param {string} title @param {string} body @param {string} room */
function show(title, body, room) {
  const shown = new Notification(title, { body, tag: `wsroom ${room}`, icon: "favicon.svg" });
  shown.onclick = () => {
    window.focus();
    shown.close();
  };
}

/** In a sentence; empty if they can be shown. */
function whyNot() {
  if (!isSecureContext) return "Browsers allow this only over https, or on this computer itself.";
  if (!("Notification" in window)) return "This browser has no notifications.";
  return Notification.permission === "denied" ? "This browser forbids it to this page: see beside the address." : "";
}

/** The browser may ask whoever sits here. The first one shows how they look, and whether they can be shown at all. */
async function startShowing() {
  const why = whyNot();
  if (why) return why;
  await Notification.requestPermission();
  if (Notification.permission !== "granted") return whyNot() || "It was not allowed.";
  try {
    show("wsroom", "New messages are shown like this.", "");
    return "";
  } catch {
    return "This browser shows notifications of installed pages alone."; // Chrome on Android throws
  }
}

// ---- a sound

/** Made late: a browser lets only a page sound on which somebody has pressed something. @type {AudioContext | null} */
let audio = null;

function ring() {
  audio ??= new AudioContext();
  const now = audio.currentTime;
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = 660;
  volume.gain.setValueAtTime(0.2, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.4);
  tone.connect(volume).connect(audio.destination);
  tone.start(now);
  tone.stop(now + 0.4);
}

// ---- switched on and off

/** The panel is there. */
export function offer() {
  const notify = element("notify", HTMLInputElement);
  const sound = element("sound", HTMLInputElement);
  const note = element("notify-note", HTMLParagraphElement);
  note.textContent = whyNot();
  notify.disabled = note.textContent !== "";
  notify.checked = on.has("notify") && !notify.disabled;
  sound.checked = on.has("sound");
  notify.onchange = async () => {
    note.textContent = notify.checked ? await startShowing() : "";
    if (note.textContent) notify.checked = false;
    turn("notify", notify.checked);
  };
  sound.onchange = () => {
    turn("sound", sound.checked);
    if (sound.checked) ring();
  };
}
