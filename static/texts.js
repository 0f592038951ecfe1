// What few texts in the log need: web addresses in them become links, and a long one can be unfolded. It is fetched with
// the first such text.
//
// It is not: which texts are long (log.js).

import { button, make } from "./dom.js";

/** @param {HTMLElement} body  of a message; it begins with its text */
export function dress(body) {
  body.firstChild?.replaceWith(...linked(body.firstChild.textContent ?? ""));
  if (body.classList.contains("folded")) offerAll(body);
}

/** A button below a folded text. @param {HTMLElement} body */
function offerAll(body) {
  const unfold = button("", () => fold(!body.classList.contains("folded")));
  const fold = (/** @type {boolean} */ folded) => {
    body.classList.toggle("folded", folded);
    // Out of sight, a link may not take the focus.
    for (const link of body.querySelectorAll("a")) link.tabIndex = folded ? -1 : 0;
    unfold.textContent = folded ? "Show all" : "Show less";
    unfold.setAttribute("aria-expanded", String(!folded));
  };
  fold(true);
  body.after(unfold);
}

/** Web addresses become links, everything else stays text. @param {string} text */
function linked(text) {
  return text.split(/(\bhttps?:\/\/[^\s<>"]+)/giu).flatMap((part, i) => {
    const address = i % 2 ? withoutEnd(part) : "";
    if (!URL.canParse(address)) return part;
    const link = make("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return [link, part.slice(address.length)];
  });
}

/** Without what is of the sentence around it, such as a bracket that it did not open. @param {string} address */
function withoutEnd(address) {
  const count = (/** @type {string} */ sign) => address.split(sign).length;
  const surplus = new Map(["()", "[]", "{}"].map(([open = "", close = ""]) => [close, count(close) - count(open)]));
  for (let end = address.length; ; end -= 1) {
    const last = address.charAt(end - 1);
    const closing = surplus.get(last);
    const isOutside = closing === undefined ? ".,:;!?'([{".includes(last) : closing > 0;
    if (!isOutside) return address.slice(0, end);
    if (closing) surplus.set(last, closing - 1);
  }
}
