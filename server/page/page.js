// What all parts of the page share: requests with the API key, and messages for people.

import { ServerError } from "./client.js";
import { $ } from "./elements.js";
import { apiKey, askForKey, authorization } from "./keys.js";

/** The code of an error that no server sent: there was none to send it. */
export const GONE = "Gone";

/** Tells people who do not see the page what changed. */
export function announce(text) {
  $("live").textContent = text;
}

/** Shows what went wrong, and what to do about it. A missing or wrong key is said where it is typed. */
export function showError(error) {
  if (error.code === "AccessError") return askForKey(apiKey() ? sentence(error.problem) : null);
  $("alert-problem").textContent = sentence(error.problem ?? error.message);
  $("alert-remedy").textContent = sentence(error.remedy ?? "Try again; if it happens again, look at the server's log.");
  $("alert").hidden = false;
}

export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

export function clearError() {
  $("alert").hidden = true;
}

/** The error that a response holds. */
export function problemIn(status, text) {
  try {
    const { code, problem, remedy, detail } = JSON.parse(text);
    return new ServerError({ code, problem: problem ?? detail, remedy: remedy ?? "See the API's documentation." });
  } catch {
    return new ServerError({ code: `Http${status}`, problem: `the server answered ${status}`, remedy: "Look at its log." });
  }
}

/** A response that is good, or a ServerError. */
export async function request(method, path, signal = null) {
  let response;
  try {
    response = await fetch(path, { method, headers: authorization(), cache: "no-store", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError({ code: GONE, problem: "the server does not answer", remedy: "Check that it runs, then try again." });
  }
  if (!response.ok) throw problemIn(response.status, await response.text());
  return response;
}

/** The JSON of a response. */
export async function ask(method, path, signal = null) {
  return (await request(method, path, signal)).json();
}

/** Sends a file, telling how much of it is there (0 to 1); gives the JSON of the answer. */
export function upload(path, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", path);
    for (const [name, value] of Object.entries(authorization())) xhr.setRequestHeader(name, value);
    xhr.setRequestHeader("content-type", "application/octet-stream");
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onload = () => (xhr.status < 300 ? resolve(JSON.parse(xhr.responseText)) : reject(problemIn(xhr.status, xhr.responseText)));
    xhr.onerror = () => reject(new ServerError({ code: GONE, problem: "the upload broke off", remedy: "Check that the server runs, then try again." }));
    xhr.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(file);
  });
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
