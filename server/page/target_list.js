// The list of targets beside the picture: status, score, a button to choose and one to end each.

import { make } from "./elements.js";

const WORDS = { pick: "A box", tracking: "Tracking", uncertain: "Uncertain", lost: "Lost", away: "No connection" };

export class TargetList {
  /** `choose(number)` and `end(number)` are called for what is pressed; `list` is the element that holds them. */
  constructor(list, choose, end) {
    Object.assign(this, { list, choose, end, rows: new Map() });
  }

  /** Shows items `{number, status, score, label}`; rows stay as long as their target does, so that focus stays. */
  show(items, chosen) {
    for (const [number, row] of this.rows) {
      if (items.some((one) => one.number === number)) continue;
      row.remove();
      this.rows.delete(number);
    }
    for (const item of items) {
      const row = this.rows.get(item.number) ?? this.add(item.number);
      const [button] = row.children;
      const [, name, word, score] = button.children;
      row.dataset.status = item.status;
      button.setAttribute("aria-pressed", String(item.number === chosen));
      set(name, item.label ? `${item.number} ${item.label}` : String(item.number));
      set(word, WORDS[item.status] ?? item.status);
      set(score, item.score === undefined ? "" : item.score.toFixed(2));
    }
  }

  add(number) {
    const parts = ["shape", "name", "word", "score"].map((className) => make("span", { className }));
    parts[0].setAttribute("aria-hidden", "true");
    const button = make("button", { className: "target", type: "button", onclick: () => this.choose(number) }, ...parts);
    const end = make("button", { className: "plain-button", type: "button", textContent: "✕", onclick: () => this.end(number) });
    end.setAttribute("aria-label", `End target ${number}`);
    const row = make("li", {}, button, end);
    this.rows.set(number, row);
    this.list.append(row);
    return row;
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
