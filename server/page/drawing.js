// What is drawn on pictures: boxes by status, corners to drag, labels, and the trail of where a target was.

const DASHES = { tracking: [], uncertain: [10, 6], lost: [3, 6] };
const SMOOTH = 2; // neighbours on each side
const TRAIL_FADES = 0.75; // how much of a trail's colour its oldest end has lost

/** Colours come from the style sheet, so that there is one place for them. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Draws items `{number, box, status, label, trail}`; `unit` is about 1.6 pixels of the screen, in pixels of the picture. */
export class Drawing {
  constructor(context, unit) {
    Object.assign(this, { context, unit });
  }

  item(item, { chosen = false, corners: cornered = false, labelled = true } = {}) {
    const stroke = colour(`mark-${item.status}`);
    if (item.trail) this.trail(item.trail);
    this.outline(item.box, stroke, DASHES[item.status] ?? [], chosen ? 1.5 : 1);
    if (labelled) this.label(item, stroke);
    if (cornered) this.corners(item.box);
  }

  outline([x, y, w, h], stroke, dash, strength) {
    const { context, unit } = this;
    context.setLineDash([]);
    context.lineWidth = 3.2 * unit * strength;
    context.strokeStyle = "#000b";
    context.strokeRect(x, y, w, h);
    context.lineWidth = 1.7 * unit * strength;
    context.setLineDash(dash.map((part) => (part * unit) / 2));
    context.strokeStyle = stroke;
    context.strokeRect(x, y, w, h);
    context.setLineDash([]);
  }

  /** Number and label above the box, or in it where the picture ends. */
  label({ number, label, box: [x, y] }, ground) {
    const { context, unit } = this;
    const text = label ? `${number} ${label}` : String(number);
    context.font = `600 ${8.5 * unit}px system-ui, sans-serif`;
    const [width, height] = [context.measureText(text).width + 7 * unit, 12 * unit];
    const left = Math.max(0, Math.min(x - unit, context.canvas.width - width));
    const top = y > height ? y - height - unit : y + unit;
    context.fillStyle = ground;
    context.fillRect(left, top, width, height);
    context.fillStyle = "#08110f";
    context.textBaseline = "middle";
    context.fillText(text, left + 3.5 * unit, top + height / 2 + 0.5 * unit);
  }

  corners(box) {
    const { context, unit } = this;
    const size = 6 * unit;
    context.fillStyle = colour("mark-pick");
    context.strokeStyle = "#000c";
    context.lineWidth = unit;
    for (const [x, y] of corners(box)) {
      context.fillRect(x - size / 2, y - size / 2, size, size);
      context.strokeRect(x - size / 2, y - size / 2, size, size);
    }
  }

  /** `given` are `{x, y, status}`, the oldest first; drawn through the middles of neighbours, without what jitters. */
  trail(given) {
    const { context, unit } = this;
    const points = smooth(given);
    const colours = Object.fromEntries(Object.keys(DASHES).map((name) => [name, colour(`mark-${name}`)]));
    context.lineCap = "round";
    for (let at = 1; at < points.length; at++) {
      const [from, to] = [points[at - 1], points[at]];
      context.globalAlpha = 1 - TRAIL_FADES * (1 - at / points.length);
      for (const [width, style] of [[3 * unit, "#0008"], [1.5 * unit, colours[to.status] ?? colours.tracking]]) {
        context.lineWidth = width;
        context.strokeStyle = style;
        context.beginPath();
        context.moveTo(from.x, from.y);
        context.lineTo(to.x, to.y);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  }
}

function smooth(points) {
  return points.map((point, at) => {
    const near = points.slice(Math.max(0, at - SMOOTH), at + SMOOTH + 1);
    const mean = (name) => near.reduce((sum, one) => sum + one[name], 0) / near.length;
    return { ...point, x: mean("x"), y: mean("y") };
  });
}

/** Top left, top right, bottom left, bottom right: the one across from number n is 3 - n. */
export function corners([x, y, w, h]) {
  return [[x, y], [x + w, y], [x, y + h], [x + w, y + h]];
}

export function inside([x, y, w, h], [px, py]) {
  return px >= x && px <= x + w && py >= y && py <= y + h;
}

export function middle([x, y, w, h]) {
  return { x: x + w / 2, y: y + h / 2 };
}
