// The numbers beside the picture: status and score of the chosen target, frames a second, latency, dropped frames.

import { $ } from "./elements.js";
import { announce } from "./page.js";

const WORDS = { idle: "Idle", tracking: "Tracking", uncertain: "Uncertain", lost: "Lost", paused: "Paused", away: "No connection", ended: "Ended" };
const EVERY_MS = 120; // how often numbers change; faster cannot be read

export class Figures {
  constructor() {
    this.clear();
  }

  clear() {
    Object.assign(this, { shown: [], latencies: [], dropped: 0, frames: 0, seen: 0, answers: 0, shownAt: 0, known: new Map() });
    for (const name of ["score", "fps", "latency"]) $(name).textContent = "–";
    $("dropped").textContent = "0";
    this.state("idle");
  }

  /** A word for how it stands; `announced` reads it out. */
  state(status, announced = null) {
    this.status = status;
    $("status").dataset.status = status;
    $("panel-track").dataset.connection = status === "away" ? "away" : "there";
    if ($("status-word").textContent !== WORDS[status]) $("status-word").textContent = WORDS[status];
    if (status === "away") for (const name of ["score", "fps", "latency"]) $(name).textContent = "–";
    if (announced) announce(announced);
  }

  drop() {
    this.dropped += 1;
    $("dropped").textContent = String(this.dropped);
  }

  /** Counts a shot that was answered. True when the numbers beside the picture are to be shown anew. */
  count(shot, ms, several) {
    const now = performance.now();
    this.frames += 1;
    for (const [number, { status }] of shot.tracks) {
      this.answers += 1;
      this.seen += status === "tracking";
      if (this.known.get(number) !== status) announce(`${several ? `Target ${number}: ` : ""}${WORDS[status]} at ${shot.seconds.toFixed(1)} s`);
      this.known.set(number, status);
    }
    this.shown.push(now);
    while (this.shown.length > 1 && now - this.shown[0] > 1000) this.shown.shift();
    this.latencies.push(ms);
    if (this.latencies.length > 30) this.latencies.shift();
    if (now - this.shownAt < EVERY_MS) return false;
    this.shownAt = now;
    const seconds = (now - this.shown[0]) / 1000;
    $("fps").textContent = seconds > 0 ? ((this.shown.length - 1) / seconds).toFixed(0) : "–";
    const sorted = [...this.latencies].sort((a, b) => a - b);
    $("latency").textContent = `${sorted[sorted.length >> 1].toFixed(0)} ms`;
    return true;
  }

  /** Of the chosen target. */
  track(track) {
    $("score").textContent = !track || track.given ? "–" : track.score.toFixed(2);
  }

  /** One sentence about the whole. */
  summary() {
    const share = this.answers ? Math.round((100 * this.seen) / this.answers) : 0;
    return `${this.frames} frames, ${share} % of them tracking`;
  }
}
