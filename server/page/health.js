// The strip at the top: is the server well, and which sessions are open.

import { $, askForKey, request } from "./page.js";

const EVERY_MS = 3000;

export async function watchHealth() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

export async function look() {
  try {
    await request("GET", "v2/health/ready");
    const { sessions, slots_used: used, slots_total: total } = await (await request("GET", "v1/sessions")).json();
    show("good", `Ready · ${used} of ${total}`, " sessions");
    list(sessions);
  } catch (error) {
    if (error.code === "AccessError") {
      askForKey();
      show("wait", "Ready, and wants a key");
    } else show("bad", error.code === "UnavailableError" ? "Not ready" : error.problem);
  }
}

function show(state, text, more = "") {
  $("health-dot").dataset.state = state;
  $("health-more").textContent = more;
  if ($("health-text").textContent !== text) $("health-text").textContent = text;
}

function list(sessions) {
  $("sessions-text").hidden = sessions.length > 0;
  $("sessions-list").replaceChildren(
    ...sessions.slice(0, 20).map((one) => {
      const item = document.createElement("li");
      const [name, state] = [document.createElement("span"), document.createElement("span")];
      name.textContent = one.session.length > 14 ? `${one.session.slice(0, 12)}…` : one.session;
      state.className = "quiet";
      state.textContent = `${one.model}, ${one.last_index === null ? "no frame yet" : `${one.width} × ${one.height}, frame ${one.last_index}`}${one.connected ? "" : ", nobody there"}`;
      item.append(name, state);
      return item;
    }),
  );
}
