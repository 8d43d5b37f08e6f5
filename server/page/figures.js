// The numbers beside the picture: score, frames a second, latency, dropped frames, status, timeline.

import { $, announce } from "./page.js";
import { Timeline } from "./timeline.js";

const WORDS = { idle: "Idle", tracking: "Tracking", uncertain: "Uncertain", lost: "Lost", paused: "Paused", ended: "Ended" };
const EVERY_MS = 120; // how often numbers change; faster cannot be read

export class Figures {
  constructor() {
    this.timeline = new Timeline($("timeline"));
    this.clear();
  }

  clear() {
    Object.assign(this, { answers: [], latencies: [], dropped: 0, frames: 0, seen: 0, shownAt: 0, status: "idle" });
    this.timeline.clear();
    for (const name of ["score", "fps", "latency"]) $(name).textContent = "–";
    $("dropped").textContent = "0";
    this.state("idle");
  }

  /** A word for how it stands; `announced` reads it out. */
  state(status, announced = null) {
    this.status = status;
    $("status").dataset.status = status;
    $("status-word").textContent = WORDS[status];
    if (announced) announce(announced);
  }

  drop(count = 1) {
    this.dropped += count;
    $("dropped").textContent = String(this.dropped);
  }

  track(message, latency, index) {
    const now = performance.now();
    this.frames += 1;
    this.seen += message.status === "tracking";
    this.answers.push(now);
    while (this.answers.length > 1 && now - this.answers[0] > 1000) this.answers.shift();
    this.latencies.push(latency);
    if (this.latencies.length > 30) this.latencies.shift();
    this.timeline.add(message.score, message.status);
    if (message.status !== this.status) this.state(message.status, `${WORDS[message.status]} at frame ${index}`);
    if (now - this.shownAt < EVERY_MS) return;
    this.shownAt = now;
    const seconds = (now - this.answers[0]) / 1000;
    $("score").textContent = message.score.toFixed(2);
    $("fps").textContent = seconds > 0 ? ((this.answers.length - 1) / seconds).toFixed(0) : "–";
    const sorted = [...this.latencies].sort((a, b) => a - b);
    $("latency").textContent = `${sorted[sorted.length >> 1].toFixed(0)} ms`;
  }

  /** One sentence about the whole. */
  summary() {
    const share = this.frames ? Math.round((100 * this.seen) / this.frames) : 0;
    return `${this.frames} frames, ${share} % of them tracking`;
  }
}
