// The picture with its boxes: drawn, moved and resized with pointer, finger or keys.

import { Drawing, corners, inside } from "./drawing.js";

const HANDLE_PX = 12;
const LEAST = 4; // pixels of a box's side
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * `on` is told: `press()` before a box is changed, `change(item)` of every change, `done(item)` when a drag ends,
 * `choose(item)`, `click(place)` on no box, `enter()`, `escape()`, `remove(item)`. An item is `{number, box, status}`.
 */
export class Stage {
  constructor(element, canvas, on) {
    Object.assign(this, { element, canvas, on, drag: null, editable: false, labelled: true });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => (this.drag = null));
    element.addEventListener("keydown", (event) => this.key(event));
    this.clear();
  }

  /** Shows nothing. */
  clear() {
    this.element.classList.remove("picking", "full");
    this.canvas.hidden = true;
    Object.assign(this, { picture: null, drag: null, items: [], chosen: null });
  }

  /** The size of what is shown, in its pixels; boxes can be drawn on it where `editable`. */
  prepare(width, height, editable) {
    Object.assign(this.canvas, { width, height, hidden: false });
    this.element.classList.add("full");
    this.edit(editable);
  }

  edit(editable) {
    this.editable = editable;
    this.element.classList.toggle("picking", editable);
  }

  /** Shows a picture with these items; one that is being dragged stays where it is dragged. */
  show(picture, items) {
    const held = this.drag?.item ?? this.items.find((one) => one.edited);
    this.picture = picture;
    this.items = held ? [...items.filter((one) => one.number !== held.number), held] : items;
    if (this.chosen !== null && !this.find(this.chosen)) this.chosen = this.items.at(-1)?.number ?? null;
    this.redraw();
  }

  find(number) {
    return this.items.find((one) => one.number === number);
  }

  choose(number) {
    this.chosen = number;
    this.redraw();
    this.on.choose?.(this.find(number));
  }

  redraw() {
    if (!this.picture) return;
    this.context.drawImage(this.picture, 0, 0, this.canvas.width, this.canvas.height);
    const drawing = new Drawing(this.context, 1.6 * this.scale().pixel);
    const labelled = this.labelled && (this.items.length > 1 || this.items.some((one) => one.label));
    for (const item of this.items) {
      const chosen = item.number === this.chosen;
      drawing.item(item, { chosen: chosen && this.items.length > 1, corners: chosen && this.corners(item), labelled });
    }
  }

  corners(item) {
    return this.editable && (item.status === "pick" || item.edited || this.still);
  }

  /** Where the picture lies in the canvas: it is fitted in without being stretched. */
  scale() {
    const area = this.canvas.getBoundingClientRect();
    const pixel = Math.max(this.canvas.width / (area.width || 1), this.canvas.height / (area.height || 1));
    return {
      pixel,
      left: area.left + (area.width - this.canvas.width / pixel) / 2,
      top: area.top + (area.height - this.canvas.height / pixel) / 2,
    };
  }

  place(event) {
    const { pixel, left, top } = this.scale();
    const x = (event.clientX - left) * pixel;
    const y = (event.clientY - top) * pixel;
    return [Math.min(Math.max(x, 0), this.canvas.width), Math.min(Math.max(y, 0), this.canvas.height)];
  }

  down(event) {
    if (!this.editable || event.button > 0) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.place(event);
    const reach = HANDLE_PX * (event.pointerType === "touch" ? 2 : 1) * this.scale().pixel;
    const near = (item) => corners(item.box).findIndex(([x, y]) => Math.hypot(x - at[0], y - at[1]) < reach);
    const order = [...this.items].sort((one, two) => (two.number === this.chosen) - (one.number === this.chosen) || area(one) - area(two));
    const cornered = order.find((item) => near(item) >= 0);
    const item = cornered ?? order.find((one) => inside(one.box, at));
    if (item) this.choose(item.number);
    this.on.press?.();
    if (cornered) this.drag = { item, anchor: corners(item.box)[3 - near(item)] };
    else if (item) this.drag = { item, grip: [at[0] - item.box[0], at[1] - item.box[1]] };
    else this.drag = { item: null, anchor: at };
  }

  move(event) {
    if (!this.drag) return;
    const [x, y] = this.place(event);
    const { grip, anchor, item } = this.drag;
    if (grip) {
      const box = [x - grip[0], y - grip[1], item.box[2], item.box[3]];
      if (this.drag.moved || Math.hypot(box[0] - item.box[0], box[1] - item.box[1]) > 2 * this.scale().pixel) this.setBox(item, box);
      return;
    }
    const [ax, ay] = anchor;
    if (Math.abs(x - ax) < LEAST || Math.abs(y - ay) < LEAST) return;
    this.drag.item ??= this.fresh();
    this.setBox(this.drag.item, [Math.min(x, ax), Math.min(y, ay), Math.abs(x - ax), Math.abs(y - ay)]);
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    if (drag?.moved) this.on.done?.(drag.item);
    else if (drag) this.on.click?.(drag.item, this.place(event));
  }

  /** A new item, which is chosen. */
  fresh() {
    const item = { number: this.on.number(), box: null, status: "pick" };
    this.items = [...this.items, item];
    this.chosen = item.number;
    return item;
  }

  /** Arrows move the box, with Shift they resize it, with Alt by one pixel; N adds one, digits choose one. */
  key(event) {
    if (!this.editable || event.target !== this.element || event.ctrlKey || event.metaKey) return;
    const chosen = this.find(this.chosen);
    const act = this.acts(event.key, chosen);
    if (act) {
      event.preventDefault();
      return act();
    }
    const arrow = ARROWS[event.key];
    const isNew = event.key.toLowerCase() === "n" || (arrow && !chosen);
    if (!arrow && !isNew) return;
    event.preventDefault();
    this.on.press?.();
    const { width, height } = this.canvas;
    if (isNew) return this.setBox(this.fresh(), [width * 0.375, height * 0.375, width / 4, height / 4]);
    const step = event.altKey ? 1 : Math.max(2, Math.round(width / 80));
    const [x, y, w, h] = chosen.box;
    const [dx, dy] = arrow.map((part) => part * step);
    this.setBox(chosen, event.shiftKey ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
  }

  acts(key, chosen) {
    if (key === "Enter") return () => this.on.enter?.(chosen);
    if (key === "Escape" && this.items.some((one) => one.edited)) return () => this.on.escape?.();
    if ((key === "Delete" || key === "Backspace") && chosen) return () => this.on.remove?.(chosen);
    const item = /^[1-9]$/.test(key) && this.find(Number(key));
    return item ? () => this.choose(item.number) : null;
  }

  /** Gives an item a box, made to lie within the picture, at least 4 pixels a side. */
  setBox(item, [x, y, w, h]) {
    const { width, height } = this.canvas;
    const [bw, bh] = [Math.min(Math.max(w, LEAST), width), Math.min(Math.max(h, LEAST), height)];
    const box = [Math.min(Math.max(x, 0), width - bw), Math.min(Math.max(y, 0), height - bh), bw, bh];
    Object.assign(item, { box: box.map((number) => Math.round(number)), status: "pick", edited: true });
    if (this.drag) this.drag.moved = true;
    this.redraw();
    this.on.change?.(item);
  }
}

function area({ box }) {
  return box[2] * box[3];
}
