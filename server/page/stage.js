// The picture: drawing a box on it with pointer, touch or keys, and showing tracks.

const HANDLE_PX = 12;
const DASHES = { tracking: [], uncertain: [10, 6], lost: [3, 6] };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Colours come from the style sheet, so that there is one place for them. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export class Stage {
  /** `onBox(box)` is told of every change of the box; `onEnter()` when Enter asks to start. */
  constructor(element, canvas, onBox, onEnter) {
    Object.assign(this, { element, canvas, onBox, onEnter, box: null, source: null, drag: null });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.up());
    element.addEventListener("keydown", (event) => this.key(event));
  }

  get picking() {
    return this.element.classList.contains("picking");
  }

  /** Shows nothing. */
  clear() {
    this.element.classList.remove("picking", "full");
    this.canvas.hidden = true;
    this.source = this.box = this.drag = null;
  }

  /** Lets people draw a box on `source` (a video or canvas), of this size in pixels. */
  pick(source, width, height, box = null) {
    this.source = source;
    this.box = box;
    Object.assign(this.canvas, { width, height, hidden: false });
    this.element.classList.add("picking", "full");
    this.redraw();
  }

  /** Shows one frame with its track. */
  show(frame, track) {
    this.element.classList.remove("picking");
    this.context.drawImage(frame, 0, 0, this.canvas.width, this.canvas.height);
    if (track) this.outline(track.box, colour(`mark-${track.status}`), DASHES[track.status]);
  }

  redraw() {
    if (!this.source) return;
    this.context.drawImage(this.source, 0, 0, this.canvas.width, this.canvas.height);
    if (!this.box) return;
    this.outline(this.box, colour("mark-pick"), []);
    const size = 6 * this.unit();
    this.context.fillStyle = colour("mark-pick");
    this.context.strokeStyle = "#000c";
    this.context.lineWidth = this.unit();
    for (const [x, y] of corners(this.box)) {
      this.context.fillRect(x - size / 2, y - size / 2, size, size);
      this.context.strokeRect(x - size / 2, y - size / 2, size, size);
    }
  }

  outline([x, y, w, h], stroke, dash) {
    const unit = this.unit();
    this.context.setLineDash([]);
    this.context.lineWidth = 3.2 * unit;
    this.context.strokeStyle = "#000b";
    this.context.strokeRect(x, y, w, h);
    this.context.lineWidth = 1.7 * unit;
    this.context.setLineDash(dash.map((part) => (part * unit) / 2));
    this.context.strokeStyle = stroke;
    this.context.strokeRect(x, y, w, h);
    this.context.setLineDash([]);
  }

  /** About 1.6 pixels of the screen, in pixels of the picture. */
  unit() {
    return 1.6 * this.scale().pixel;
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
    if (!this.picking || event.button > 0) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.place(event);
    const reach = HANDLE_PX * (event.pointerType === "touch" ? 2 : 1) * this.scale().pixel;
    const near = this.box ? corners(this.box).findIndex(([x, y]) => Math.hypot(x - at[0], y - at[1]) < reach) : -1;
    if (near >= 0) this.drag = { anchor: corners(this.box)[3 - near] };
    else if (this.box && inside(this.box, at)) this.drag = { grip: [at[0] - this.box[0], at[1] - this.box[1]] };
    else this.drag = { anchor: at };
  }

  move(event) {
    if (!this.drag) return;
    const [x, y] = this.place(event);
    if (this.drag.grip) this.setBox([x - this.drag.grip[0], y - this.drag.grip[1], this.box[2], this.box[3]]);
    else {
      const [ax, ay] = this.drag.anchor;
      if (Math.abs(x - ax) < 4 || Math.abs(y - ay) < 4) return;
      this.setBox([Math.min(x, ax), Math.min(y, ay), Math.abs(x - ax), Math.abs(y - ay)]);
    }
  }

  up() {
    this.drag = null;
  }

  /** Arrows move the box, with Shift they resize it, with Alt by one pixel; Enter starts. */
  key(event) {
    if (!this.picking || event.target !== this.element) return;
    if (event.key === "Enter") {
      event.preventDefault();
      return this.box && this.onEnter();
    }
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const { width, height } = this.canvas;
    if (!this.box) return this.setBox([width * 0.375, height * 0.375, width / 4, height / 4]);
    const step = event.altKey ? 1 : Math.max(2, Math.round(width / 80));
    const [x, y, w, h] = this.box;
    const [dx, dy] = arrow.map((part) => part * step);
    this.setBox(event.shiftKey ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
  }

  /** Takes a box, made to lie within the picture, at least 4 pixels a side. */
  setBox([x, y, w, h]) {
    const { width, height } = this.canvas;
    const [bw, bh] = [Math.min(Math.max(w, 4), width), Math.min(Math.max(h, 4), height)];
    const box = [Math.min(Math.max(x, 0), width - bw), Math.min(Math.max(y, 0), height - bh), bw, bh];
    this.box = box.map((number) => Math.round(number));
    this.redraw();
    this.onBox(this.box);
  }
}

/** Top left, top right, bottom left, bottom right: the one across from number n is 3 - n. */
function corners([x, y, w, h]) {
  return [[x, y], [x + w, y], [x, y + h], [x + w, y + h]];
}

function inside([x, y, w, h], [px, py]) {
  return px >= x && px <= x + w && py >= y && py <= y + h;
}
