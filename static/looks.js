// Style sheets that the start of the page does without: each is fetched when the first thing is shown that needs it.

import { make } from "./dom.js";

/** By their file. @type {Map<string, Promise<void>>} */
const brought = new Map();

/** Resolved when it holds. What has failed is tried again with the next call. @param {string} file */
export function looks(file) {
  const promise = brought.get(file) ?? bring(file);
  brought.set(file, promise);
  promise.catch(() => brought.delete(file));
  return promise;
}

/** @param {string} file @returns {Promise<void>} */
function bring(file) {
  const link = make("link");
  link.rel = "stylesheet";
  link.href = file;
  document.head.append(link);
  return new Promise((resolve, reject) => {
    link.onload = () => resolve();
    link.onerror = () => reject(new Error(`${file} cannot be fetched.`));
  });
}
