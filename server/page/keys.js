// The API key: asked for where the server wants one, kept until the tab is closed, and said when it is wrong.

import { $ } from "./elements.js";

const KEPT = "framestate-key";
const WRITTEN = /^[\x21-\x7e]+$/; // what a header can carry

export function apiKey() {
  return sessionStorage.getItem(KEPT);
}

export function authorization() {
  const key = apiKey();
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** Asks for a key; `problem` says what is wrong with the one that was sent, which is forgotten. */
export function askForKey(problem = null) {
  sessionStorage.removeItem(KEPT);
  if (problem !== null) {
    $("key-problem").textContent = problem;
    $("key-input").setAttribute("aria-invalid", "true");
  }
  if ($("key-form").hidden || problem) {
    $("key-form").hidden = false;
    $("key-input").focus();
  }
}

/** `tried()` is called when there is a key to try. */
export function watchKey(tried) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = $("key-input").value.trim();
    if (!WRITTEN.test(key)) return askForKey("A key has no spaces, and only letters, digits and signs of ASCII.");
    sessionStorage.setItem(KEPT, key);
    $("key-problem").textContent = "";
    tried();
  });
}

/** The server takes the key, or wants none. */
export function keyIsGood() {
  if ($("key-form").hidden) return;
  $("key-form").hidden = true;
  $("key-input").value = $("key-problem").textContent = "";
  $("key-input").setAttribute("aria-invalid", "false");
}
