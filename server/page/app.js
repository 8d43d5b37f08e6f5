// The page: tabs, messages, the API key, and the parts that do the work.

import { $ } from "./elements.js";
import { look, watchHealth } from "./health.js";
import { watchKey } from "./keys.js";
import { clearError } from "./page.js";
import { watchPopups } from "./popups.js";
import { Runner } from "./runner.js";
import { Smoother } from "./smoother.js";
import { Tracker } from "./tracker.js";

const tabs = [$("tab-track"), $("tab-interpolate"), $("tab-run")];

function choose(tab) {
  for (const one of tabs) {
    const on = one === tab;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !on;
  }
}

tabs.forEach((tab, at) => {
  tab.onclick = () => choose(tab);
  tab.onkeydown = (event) => {
    const step = { ArrowLeft: tabs.length - 1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(at + step) % tabs.length];
    choose(next);
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
new Smoother();
new Runner();
watchHealth();
