// Texts that are more than a short line: with web addresses, with code, or so long that they are folded. It is fetched with the
// first such text, which log.js has drawn plainly by then.
//
// What users wrote stays text: elements are made around it, and none is made of it.
//
// It is not: files (files.js), nor where in the log a text stands (log.js).

import { button, make } from "./dom.js";
import { MAX_SHOWN, attach } from "./log.js";
import { looks } from "./looks.js";

/** @import { Entry } from "./types.js" */

/** A longer text is folded. */
const FOLD_CHARACTERS = 1_000;
const FOLD_LINES = 15;

/** How long a button says that it has copied, in milliseconds. */
const COPIED = 2_000;

// Without its looks a text can still be read.
await looks("messages.css").catch(() => {});

/** @param {string} text @param {HTMLElement} body @param {Entry} entry */
export function draw(text, body, entry) {
  const isLong = text.length > FOLD_CHARACTERS || text.split("\n", FOLD_LINES + 1).length > FOLD_LINES;
  const isHuge = text.length > MAX_SHOWN;
  body.replaceChildren(...parts(isHuge ? text.slice(0, MAX_SHOWN) : text));
  if (isHuge) {
    body.append("…");
    attach(new TextEncoder().encode(text), "message.txt", body, entry);
  }
  if (isLong) makeFoldable(body, entry.item);
}

/** @param {HTMLElement} body @param {HTMLElement} item */
function makeFoldable(body, item) {
  const unfold = button("", () => fold(!body.classList.contains("folded")));
  const fold = (/** @type {boolean} */ folded) => {
    body.classList.toggle("folded", folded);
    // Out of sight, nothing may take the focus.
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll("a, button"))) one.tabIndex = folded ? -1 : 0;
    unfold.textContent = folded ? "Show all" : "Show less";
    unfold.setAttribute("aria-expanded", String(!folded));
  };
  fold(true);
  item.append(unfold);
}

/**
 * Code is in backticks: `inline`, or in lines between three of them. Everything else may have web addresses.
 * @param {string} text
 */
function parts(text) {
  /** @returns {(string | HTMLElement)[]} */
  const drawn = (/** @type {string} */ part, /** @type {number} */ i) => {
    if (i % 2 === 0) return linked(part);
    return part.startsWith("```") ? block(part) : inline(part.slice(1, -1));
  };
  return text.split(/(```[^]+?```\n?|(?<!`)`[^`\n]+`(?!`))/).flatMap(drawn);
}

/** @param {string} code */
function inline(code) {
  return [make("code", "", code), copyButton(code)];
}

/** Without the name of its language in the first line. @param {string} part */
function block(part) {
  const code = part.trimEnd().slice(3, -3).replace(/^[\w+#.-]*\n/, "").trimEnd();
  const block = make("pre", "code");
  block.dir = "ltr";
  block.append(make("code", "", code), copyButton(code));
  return [block];
}

/** Its sign is in messages.css, so that it is no part of the text. @param {string} code */
function copyButton(code) {
  const press = button("", () => {
    if (!copy(code, press)) return;
    press.classList.add("copied");
    press.ariaLabel = press.title = "Copied";
    setTimeout(() => {
      press.classList.remove("copied");
      press.ariaLabel = press.title = "Copy";
    }, COPIED);
  });
  press.className = "copy";
  press.ariaLabel = press.title = "Copy";
  return press;
}

/** navigator.clipboard is missing on a page that came over plain http. @param {string} text @param {HTMLElement} focused */
function copy(text, focused) {
  const field = make("textarea", "unseen");
  field.value = text;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused.focus({ preventScroll: true });
  return isCopied;
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
