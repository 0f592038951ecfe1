// Finding and making elements, how amounts are written, and asking the server. It knows nothing of rooms.

/**
 * An element of index.html; that it exists and is of that kind is checked once, here.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`There is no ${kind.name} "${id}"`);
  return found;
}

/**
 * What users wrote reaches the document here alone, and as text: never as HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** @param {string} label @param {() => void} press */
export function button(label, press) {
  const made = make("button", "quiet", label);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

/** A screen reader says a text again each time it is set. @param {Element} where @param {string} text */
export function tell(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** @param {number} count */
export function people(count) {
  return count === 1 ? "1 person" : `${count.toLocaleString()} people`;
}

/**
 * What the REST API answers; where it asks for the server's token, so does the page.
 * @template T
 * @param {string} path  relative to the page, so that it is right below any prefix
 * @param {RequestInit} [how]
 * @returns {Promise<T>} rejected with the sentence in which it refuses, and the status as its cause
 */
export async function ask(path, how) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(30_000), ...how }).catch(() => {
    throw new Error("The server cannot be reached.");
  });
  const isJson = answer.headers.get("Content-Type")?.includes("json");
  const body = await (isJson ? answer.json() : answer.text());
  if (answer.headers.get("WWW-Authenticate")?.includes("realm")) {
    await (await import("./token.js")).settle(body.detail);
    return ask(path, how);
  }
  if (!answer.ok) throw new Error(body.detail ?? body, { cause: answer.status });
  return body;
}

/** Null in a browser that keeps nothing for this page. @param {"localStorage" | "sessionStorage"} kind */
export function storage(kind) {
  try {
    return window[kind];
  } catch {
    return null;
  }
}
