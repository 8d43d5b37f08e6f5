// The timeline: a lane for each target, its score as height and its status as colour, and a slider over it.

import { colour } from "./drawing.js";
import { $ } from "./elements.js";

const GAP_S = 0.3; // no bar is longer than this
const HOLLOW = 0.12; // the height of a bar without a score, or of one that is lost

export class Timeline {
  /** `scrubbed(seconds)` is called when somebody moves the slider. */
  constructor(reel, scrubbed) {
    Object.assign(this, { reel, canvas: $("timeline"), slider: $("scrub"), duration: 0, queued: false });
    this.slider.oninput = () => scrubbed(Number(this.slider.value));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** `at`: seconds of the shot that is shown; `duration`: of the source, null where nobody knows it. */
  show(at, duration) {
    Object.assign(this, { at, duration });
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      this.draw();
    });
  }

  draw() {
    const { reel, slider } = this;
    const [from, to] = [this.duration === null ? reel.from : 0, this.duration ?? reel.last?.seconds ?? 0];
    Object.assign(slider, { min: from, max: Math.max(to, from + 0.001), step: 0.001, value: this.at ?? 0 });
    const now = reel.shots[reel.at(this.at ?? 0)];
    const words = now ? [...now.tracks].map(([number, { status }]) => `${number} ${status}`) : [];
    slider.setAttribute("aria-valuetext", [clock(this.at ?? 0), ...words].join(", "));
    $("time").textContent = `${clock(this.at ?? 0)} / ${clock(to)}`;
    this.lanes(from, Math.max(to, from + 0.001));
  }

  lanes(from, to) {
    const { canvas, reel } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const numbers = reel.numbers;
    const lane = height / Math.max(1, numbers.length);
    const x = (seconds) => ((seconds - from) / (to - from)) * width;
    const colours = Object.fromEntries(["tracking", "uncertain", "lost", "line", "text"].map((name) => [name, colour(name)]));
    numbers.forEach((number, row) => {
      const foot = (row + 1) * lane - 1;
      context.fillStyle = colours.line;
      context.fillRect(0, foot, width, 1);
      let drawn = null; // where and as what: a long video has many frames for each pixel
      for (let at = 0; at < reel.shots.length; at++) {
        const track = reel.shots[at].tracks.get(number);
        if (!track) continue;
        const start = reel.shots[at].seconds;
        const key = `${Math.floor(x(start))} ${track.status}`;
        if (key === drawn && !track.given) continue;
        drawn = key;
        const end = Math.min(reel.shots[at + 1]?.seconds ?? start + 0.04, start + GAP_S);
        const tall = Math.max(HOLLOW, track.status === "lost" ? HOLLOW : track.score) * (lane - 4 * scale);
        context.fillStyle = colours[track.status];
        context.fillRect(x(start), foot - tall, Math.max(1, x(end) - x(start) + 0.5), tall);
        if (track.given && at) context.fillRect(x(start) - scale, foot - lane, 2 * scale, lane); // put right by hand
      }
    });
    context.fillStyle = colours.text;
    context.fillRect(Math.min(width - 2 * scale, x(this.at ?? 0)), 0, 2 * scale, height);
  }
}

/** Seconds as minutes and seconds: 1:04.2. */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}
