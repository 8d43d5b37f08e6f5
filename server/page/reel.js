// What was followed so far: each frame's picture, as it was sent, with the track of every target in it.

import { middle } from "./drawing.js";

const MOST_BYTES = 256 * 2 ** 20; // of pictures; the oldest go first, their tracks stay

export class Reel {
  constructor() {
    this.clear();
  }

  clear() {
    Object.assign(this, { shots: [], bytes: 0, bare: 0, counted: 0, seen: new Set() });
  }

  /** A shot is `{pts, seconds, picture, tracks}`: a blob, and tracks by the target's number. */
  add(shot) {
    let at = this.shots.length;
    while (at > 0 && this.shots[at - 1].pts > shot.pts) at--;
    this.shots.splice(at, 0, shot);
    this.bytes += shot.picture.size;
    while (this.bytes > MOST_BYTES && this.bare < this.shots.length - 1) {
      const oldest = this.shots[this.bare++];
      this.bytes -= oldest.picture.size;
      oldest.picture = null;
    }
  }

  get last() {
    return this.shots.at(-1) ?? null;
  }

  /** Seconds of the first shot that can still be shown. */
  get from() {
    return this.shots[this.bare]?.seconds ?? 0;
  }

  /** The number of the shot that is shown at this time. */
  at(seconds) {
    let [low, high] = [this.bare, this.shots.length - 1];
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (this.shots[half].seconds <= seconds + 1e-6) low = half;
      else high = half - 1;
    }
    return low;
  }

  /** Forgets a shot and what came after it. */
  cutBefore(shot) {
    while (this.last && this.last.pts >= shot.pts) this.bytes -= this.shots.pop().picture?.size ?? 0;
    this.bare = Math.min(this.bare, this.shots.length);
    Object.assign(this, { counted: 0, seen: new Set() });
  }

  /** Where a target was in the `count` shots up to number `at`. */
  trail(number, at, count) {
    const points = [];
    for (const { tracks } of this.shots.slice(Math.max(0, at + 1 - count), at + 1)) {
      const track = tracks.get(number);
      if (track && track.status !== "lost") points.push({ ...middle(track.box), status: track.status });
    }
    return points;
  }

  /** Numbers of all targets that it has seen, in order. */
  get numbers() {
    for (; this.counted < this.shots.length; this.counted++) {
      for (const number of this.shots[this.counted].tracks.keys()) this.seen.add(number);
    }
    for (const number of this.last?.tracks.keys() ?? []) this.seen.add(number); // one may have been added on it
    return [...this.seen].sort((one, two) => one - two);
  }
}
