// The page: tabs, messages, the API key, and the parts that do the work.

import { $ } from "./elements.js";
import { look, watchHealth } from "./health.js";
import { watchKey } from "./keys.js";
import { clearError } from "./page.js";
import { watchPopups } from "./popups.js";
import { Runner } from "./runner.js";
import { Smoother } from "./smoother.js";
import { Tracker } from "./tracker.js";
import { Wall } from "./wall.js";

const names = ["track", "live", "interpolate", "run"];
const tabs = names.map((name) => $(`tab-${name}`));

function choose(tab) {
  for (const one of tabs) {
    const on = one === tab;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !on;
  }
}

tabs.forEach((tab, at) => {
  tab.onclick = () => {
    history.pushState(null, "", `#${names[at]}`);
    follow();
  };
  tab.onkeydown = (event) => {
    const step = { ArrowLeft: tabs.length - 1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(at + step) % tabs.length];
    next.click();
    next.focus();
  };
});

$("alert-close").onclick = clearError;
watchKey(() => {
  clearError();
  look();
});
watchPopups();
export const tracker = new Tracker();
export const wall = new Wall();
const refreshed = { track: tracker, live: wall, interpolate: new Smoother(), run: new Runner() };
watchHealth();

/** Shows what the address says after its #: a tab, or a live source. */
function follow() {
  const [name, source] = location.hash.slice(1).split("/");
  choose(tabs[Math.max(0, names.indexOf(name))]);
  wall.open((name === "live" && source) || null, false); // what is hidden is not watched
  (refreshed[name] ?? tracker).refresh();
}

window.addEventListener("popstate", follow);
follow();
