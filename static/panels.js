// What opens with a button: its elements and its looks are put into the page when the first one is opened.

import { button, element, make } from "./dom.js";
import { looks } from "./looks.js";
import { present } from "./people.js";

/** @type {Promise<void> | null} */
let brought = null;

/** @param {boolean} shown */
export async function people(shown) {
  await bring();
  const [{ list }, alerts] = await Promise.all([import("./members.js"), import("./alerts.js")]);
  alerts.offer();
  if (shown) present.shows.add(list);
  else present.shows.delete(list);
  list();
  const panel = element("people", HTMLElement);
  panel.hidden = !shown;
  if (shown) turnTo(panel);
}

/** @param {boolean} shown */
export async function wire(shown) {
  await bring();
  (await import("./wire.js")).show(shown);
  if (shown) turnTo(element("wire", HTMLElement));
}

/** @param {Element} panel */
const buttonOf = (panel) => element(`${panel.id}-button`, HTMLButtonElement);

/** The keyboard goes on in it, unless the user is elsewhere by now: it was fetched. @param {HTMLElement} panel */
function turnTo(panel) {
  const { activeElement, body } = document;
  if (activeElement === buttonOf(panel) || activeElement === body) panel.focus({ preventScroll: true });
}

/** Escape closes a panel: the one with the focus, or else the last one. Then its button has the focus. @param {KeyboardEvent} event */
function leave(event) {
  const { target, key, isComposing, defaultPrevented } = event;
  if (key !== "Escape" || isComposing || defaultPrevented || document.querySelector("dialog[open]")) return;
  if (target instanceof HTMLInputElement && target.type === "search" && target.value) return; // it is emptied
  const inside = target instanceof Element ? target.closest("aside") : null;
  const panel = inside ?? [...document.querySelectorAll("aside:not([hidden])")].at(-1);
  if (!panel) return;
  buttonOf(panel).focus();
  buttonOf(panel).click();
}

export async function places() {
  await bring();
  return import("./places.js");
}

export async function history() {
  await bring();
  return import("./history.js");
}

export async function projector() {
  await bring();
  return import("./projector.js");
}

/** The question for the server's token. */
export const token = () => bring();

/**
 * A picture by itself.
 * @param {string} url
 * @param {string} name
 */
export async function enlarge(url, name) {
  await bring();
  const dialog = element("picture", HTMLDialogElement);
  const large = make("img");
  large.src = url;
  large.alt = name;
  dialog.replaceChildren(large, button("Close", () => dialog.close()));
  dialog.onclick = () => dialog.close();
  dialog.showModal();
}

/** Puts them there, once. */
export function bring() {
  brought ??= Promise.all([elements(), looks("panels.css")]).then(([found]) => {
    const main = element("main", HTMLElement);
    main.append(...found.querySelectorAll("aside"));
    main.before(...found.querySelectorAll("#banner"));
    element("compose", HTMLFormElement).before(...found.querySelectorAll("#silence"));
    document.body.append(...found.querySelectorAll("dialog"));
    document.addEventListener("keydown", leave);
    for (const close of document.querySelectorAll("[data-close]")) {
      close.addEventListener("click", () => close.closest("dialog")?.close());
    }
  });
  // What has failed is tried again with the next press.
  brought.catch(() => (brought = null));
  return brought;
}

async function elements() {
  const answer = await fetch("panels.html");
  if (!answer.ok) throw new Error("The panels cannot be fetched.");
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}
