// The strip at the top: whether the server is there and well, and which sessions are open, by model.

import { $, make } from "./elements.js";
import { apiKey, askForKey, keyIsGood } from "./keys.js";
import { inventory } from "./models.js";
import { GONE, announce, ask, pause, request, sentence } from "./page.js";

const EVERY_MS = 3000;
const MOST_LISTED = 20;

export async function watchHealth() {
  $("health").addEventListener("toggle", () => $("health").open && look());
  for (;;) {
    if (!document.hidden) await look();
    await pause(EVERY_MS);
  }
}

export async function look() {
  try {
    await request("GET", "v2/health/ready");
    const { sessions } = await ask("GET", "v1/sessions");
    keyIsGood();
    show("good", "Ready", ` · ${counted(sessions.length, "session")}`);
    list(sessions);
    if ($("health").open) models(sessions, await inventory());
  } catch (error) {
    if (error.code === GONE) show("gone", "Server gone", " · trying again …");
    else if (error.code === "AccessError") {
      askForKey(apiKey() ? sentence(error.problem) : null);
      show("wait", "Wants a key");
    } else {
      if (apiKey() && !$("key-form").hidden) askForKey(sentence(error.problem)); // such as too many wrong ones
      show("bad", error.code === "UnavailableError" ? "Not ready" : error.problem);
    }
  }
}

function show(state, text, more = "") {
  const was = $("health-dot").dataset.state;
  $("health-dot").dataset.state = state;
  document.body.dataset.server = state;
  if ($("health-more").textContent !== more) $("health-more").textContent = more;
  if ($("health-text").textContent !== text) $("health-text").textContent = text;
  if (state === "gone" && was !== "gone") announce("The server is gone. Trying again.");
  if (was === "gone" && state !== "gone") announce("The server is back.");
}

export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function models(sessions, known) {
  $("models-list").replaceChildren(
    ...known.map(({ name, task, sessions: { used, total } }) => {
      const [title, count] = [make("strong", { textContent: name }), make("span", { textContent: `${used} of ${total}` })];
      const meter = make("meter", { max: total, value: used, title: `${used} of ${total} sessions` });
      meter.setAttribute("aria-label", `Sessions of ${name}`);
      return make("li", {}, title, make("span", { className: "quiet", textContent: task }), count, meter);
    }),
  );
}

function list(sessions) {
  const more = sessions.length - MOST_LISTED;
  $("sessions-text").textContent = sessions.length === 0 ? "No session is open." : more > 0 ? `${more} more are not shown.` : "";
  $("sessions-list").replaceChildren(
    ...sessions.slice(0, MOST_LISTED).map((one) => {
      const name = one.session.length > 14 ? `${one.session.slice(0, 12)}…` : one.session;
      const frames = one.last_index === null ? "no frame yet" : `${one.width} × ${one.height}, frame ${one.last_index}`;
      const state = `${one.model}, ${frames}${one.connected ? "" : ", nobody there"}`;
      return make("li", {}, make("span", { textContent: name }), make("span", { className: "quiet", textContent: state }));
    }),
  );
}
