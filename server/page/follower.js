// Frames of a source to the sessions of all targets, and what they say to the reel.

import { jpegOf, play } from "./camera.js";
import { Target } from "./target.js";

const IN_FLIGHT = 3; // frames that may be on their way at once; the others are dropped here
const PATIENCE_MS = 3000;

/** `on` is told: `shown(shot, ms)`, `dropped()`, `away(seconds)`, `back(framesLost)`, `failed(number, error, isOver)`. */
export class Follower {
  constructor(source, reel, on) {
    Object.assign(this, { source, reel, on, targets: new Map(), flight: new Set(), running: false, lastPts: -1 });
  }

  get isAway() {
    return [...this.targets.values()].some((target) => target.isAway);
  }

  /** Follows these boxes, a Map by number, from the picture that the source shows now. */
  async begin(boxes) {
    const { video, live } = this.source;
    this.epoch = performance.now();
    const shot = this.shot(this.source.grab(), live ? 0 : Math.round(video.currentTime * 1e6));
    this.lastPts = shot.pts;
    const payload = await this.encoded(shot);
    const welcomes = await Promise.all([...boxes].map(([number, box]) => this.open(number, box, shot, payload)));
    this.reel.add(shot);
    this.show(shot);
    return welcomes[0];
  }

  /** Follows one more, on a shot that was shown last. */
  async add(number, box, shot) {
    await this.open(number, box, shot, await shot.picture.arrayBuffer());
  }

  async open(number, box, shot, payload) {
    const target = new Target(number, this);
    this.targets.set(number, target);
    try {
      const welcome = await target.open(box, shot, payload);
      shot.tracks.set(number, { box, score: 1, status: "tracking", given: true });
      return welcome;
    } catch (error) {
      this.drop(number);
      throw error;
    }
  }

  /** Puts a target right in the shot that was answered last. */
  async correct(number, box, shot) {
    const track = await this.targets.get(number).correct(box);
    shot.tracks.set(number, { ...track, given: true });
  }

  /** Ends a target's session. */
  drop(number) {
    this.targets.get(number)?.leave();
    this.targets.delete(number);
  }

  leave() {
    this.running = false;
    for (const number of [...this.targets.keys()]) this.drop(number);
    this.flight.clear();
  }

  async play() {
    if (this.running) return;
    this.running = true;
    this.presented = null; // of the frames shown since, those that the browser did not hand over count as dropped
    await play(this.source.video);
    this.follow();
  }

  /** No more frames; those on their way are still answered. */
  hold() {
    this.running = false;
    if (!this.source.live) this.source.video.pause();
  }

  /** Waits until no frame is on its way. */
  async settled() {
    const end = performance.now() + PATIENCE_MS;
    while (this.flight.size && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Sends every new picture of the video, as long as the server keeps up. */
  follow() {
    if (this.waiting) return;
    this.waiting = true;
    this.source.video.requestVideoFrameCallback((now, { mediaTime, presentedFrames }) => {
      this.waiting = false;
      if (!this.running) return;
      this.follow();
      for (let missed = (this.presented ?? presentedFrames) + 1; missed < presentedFrames; missed++) this.on.dropped();
      this.presented = presentedFrames;
      const pts = Math.round(this.source.live ? (now - this.epoch) * 1000 : mediaTime * 1e6);
      if (pts <= this.lastPts) return;
      if (this.flight.size >= IN_FLIGHT || this.isAway) return this.on.dropped();
      this.send(this.shot(this.source.grab(), pts));
    });
  }

  shot(frame, pts) {
    return { frame, pts, seconds: pts / 1e6, tracks: new Map(), waiting: new Set(), at: performance.now() };
  }

  async encoded(shot) {
    const payload = await jpegOf(shot.frame);
    shot.picture = new Blob([payload], { type: "image/jpeg" });
    return payload;
  }

  /** Encodes a shot at once, and sends it after those before it. */
  send(shot) {
    this.lastPts = shot.pts;
    this.flight.add(shot);
    const [before, encoding] = [this.sent, this.encoded(shot)];
    this.sent = Promise.all([encoding, before]).then(
      ([payload]) => this.deliver(shot, payload),
      () => this.flight.delete(shot) && this.on.dropped(), // the browser could not encode it
    );
  }

  deliver(shot, payload) {
    if (!this.flight.has(shot)) return; // it was left meanwhile
    const targets = [...this.targets.values()].filter((target) => !target.isAway && !target.opening);
    targets.forEach((target) => shot.waiting.add(target));
    targets.forEach((target) => target.send(shot, payload));
    if (!targets.length) this.flight.delete(shot);
  }

  answered(target, shot, track) {
    shot.tracks.set(target.number, track);
    this.unanswered(target, shot);
  }

  unanswered(target, shot) {
    shot.waiting.delete(target);
    if (shot.waiting.size || !this.flight.delete(shot)) return;
    if (!shot.tracks.size) return this.on.dropped();
    this.reel.add(shot);
    this.show(shot);
  }

  show(shot) {
    this.on.shown(shot, performance.now() - shot.at);
    shot.frame = null; // the reel keeps the picture, not its pixels
  }

  away(_, seconds) {
    if (!this.source.live) this.source.video.pause();
    this.on.away(seconds);
  }

  back(_, lost) {
    if (this.isAway) return;
    if (this.running && !this.source.live) play(this.source.video);
    this.on.back(lost);
  }

  failed(target, error, isOver) {
    if (this.targets.get(target.number) !== target) return;
    if (isOver) this.drop(target.number);
    this.on.failed(target.number, error, isOver);
  }
}
