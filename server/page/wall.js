// The tab Live: a wall of the server's live sources, each with its newest picture, state, frames a second and age.

import { $, make } from "./elements.js";
import { counted } from "./health.js";
import { ask, pause, request, sentence, showError } from "./page.js";
import { SourceView } from "./source_view.js";
import { facts, told } from "./source_words.js";

const EVERY_MS = 1000;
const PICTURE_MS = 2000;

export class Wall {
  constructor() {
    this.cards = new Map();
    this.seen = new Set(); // names of cards that are on the screen
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.seen[isIntersecting ? "add" : "delete"](target.dataset.name);
    });
    this.view = new SourceView(() => this.open(null));
    this.watch();
  }

  get isShown() {
    return !document.hidden && !$("panel-live").hidden;
  }

  /** Opens one source, or with null the wall; `isNamed`: the address says so. */
  open(name, isNamed = true) {
    $("wall").hidden = name !== null;
    if (name === null) this.view.close();
    else if (name !== this.view.name) this.view.open(name, isNamed);
    const hash = name === null ? "#live" : `#live/${name}`;
    if (isNamed && location.hash !== hash) history.pushState(null, "", hash);
    this.refresh();
  }

  refresh() {
    if (this.isShown) this.look();
  }

  async watch() {
    for (;;) {
      if (this.isShown) await this.look();
      await pause(EVERY_MS);
    }
  }

  async look() {
    try {
      const { sources } = await ask("GET", "v1/sources");
      this.list(sources);
      this.view.describe(sources);
    } catch (error) {
      if (error.code === "AccessError") showError(error);
      else $("wall-text").textContent = sentence(error.problem);
      for (const card of this.cards.values()) {
        mark(card, "gone", "Unknown");
        card.facts.textContent = "What you see is old.";
      }
      this.view.describe(null);
    }
  }

  list(sources) {
    $("wall-empty").hidden = sources.length > 0;
    $("wall-text").textContent = sources.length ? counted(sources.length, "source") : "";
    for (const [name, card] of this.cards) {
      if (sources.some((one) => one.name === name)) continue;
      this.watcher.unobserve(card.row);
      card.row.remove();
      this.cards.delete(name);
    }
    for (const source of sources) {
      const card = this.cards.get(source.name) ?? this.add(source.name);
      mark(card, source.state, told(source));
      card.facts.textContent = facts(source);
      if (source.state === "live" && !this.view.name && this.seen.has(source.name)) this.picture(card);
    }
  }

  add(name) {
    const picture = make("img", { alt: "", hidden: true });
    const [state, facts] = [make("span", { className: "source-state" }), make("span", { className: "quiet small" })];
    const button = make("button", { className: "source", type: "button", onclick: () => this.open(name) },
      make("span", { className: "source-picture" }, picture),
      make("strong", { textContent: name }), state, facts);
    const row = make("li", { dataset: { name } }, button);
    const card = { name, row, button, picture, state, facts, at: 0, busy: false };
    this.cards.set(name, card);
    this.watcher.observe(row);
    $("sources").append(row);
    return card;
  }

  /** The newest picture, unless the one that is shown is new enough. */
  async picture(card) {
    if (card.busy || performance.now() - card.at < PICTURE_MS) return;
    card.busy = true;
    try {
      const blob = await (await request("GET", `v1/sources/${card.name}/frame`)).blob();
      const before = card.picture.src;
      card.picture.src = URL.createObjectURL(blob);
      await card.picture.decode();
      card.picture.hidden = false;
      if (before) URL.revokeObjectURL(before);
      card.at = performance.now();
    } catch {
      // its state says why there is none
    } finally {
      card.busy = false;
    }
  }
}

function mark(card, state, text) {
  card.row.dataset.state = state;
  if (card.state.textContent !== text) card.state.textContent = text;
}
