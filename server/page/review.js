// Looking at what was followed: the newest frame while it comes, any earlier one on the timeline, and all again.

import { $ } from "./elements.js";
import { Timeline } from "./timeline.js";

const TRAIL = 40; // frames

export class Review {
  constructor(tracker) {
    const { reel, stage, list, figures, source } = tracker;
    Object.assign(this, { tracker, reel, stage, list, figures, source, at: null, replaying: 0 });
    this.timeline = new Timeline(reel, (seconds) => this.scrub(seconds));
  }

  /** The shot that is shown: `at` is its number, null for the newest. */
  shot() {
    return this.at === null ? this.reel.last : this.reel.shots[this.at];
  }

  items(shot) {
    return this.itemsAt(shot, this.at ?? this.reel.shots.length - 1);
  }

  /** What is drawn on the shot of number `at`. */
  itemsAt(shot, at) {
    return [...shot.tracks].map(([number, { box, status, score }]) => ({
      number, box, status, score,
      trail: $("trail").checked ? this.reel.trail(number, at, TRAIL) : null,
    }));
  }

  /** A new shot, as it comes. */
  live(shot, isTime) {
    this.stage.show(shot.frame, this.items(shot));
    this.timeline.show(shot.seconds, this.source.duration);
    if (isTime || shot.tracks.size !== this.list.rows.size) this.beside();
  }

  /** Shows the shot anew, from the picture that the reel keeps. */
  async show() {
    const shot = this.shot();
    if (!shot?.picture) return;
    const picture = await createImageBitmap(shot.picture);
    if (this.shot() !== shot) return; // somebody went on meanwhile
    for (const item of this.stage.items) item.edited = false;
    this.stage.show(picture, this.items(shot));
    this.timeline.show(shot.seconds, this.source.duration);
    this.beside();
  }

  /** List and figures of the shot. */
  beside() {
    const shot = this.shot();
    if (!shot) return;
    if (!shot.tracks.has(this.stage.chosen)) this.stage.chosen = [...shot.tracks.keys()][0] ?? null;
    this.list.show([...shot.tracks].map(([number, track]) => ({ number, ...track })), this.stage.chosen);
    const track = shot.tracks.get(this.stage.chosen);
    this.figures.track(track);
    if (this.tracker.state === "running" && track && !this.tracker.follower.isAway) this.figures.state(track.status);
  }

  scrub(seconds) {
    this.stop();
    if (this.tracker.state === "running") this.tracker.togglePause();
    this.look(this.reel.at(seconds));
  }

  look(at) {
    this.at = at >= this.reel.shots.length - 1 ? null : at;
    return this.show();
  }

  /** Plays what is kept, at its own speed, from the shot that is shown, or from the first. */
  async replay() {
    if (this.replaying) return this.stop();
    const mine = (this.replaying = performance.now());
    $("pause").textContent = "Stop";
    const from = this.at === null ? this.reel.from : this.reel.shots[this.at].seconds;
    const end = this.reel.last.seconds;
    for (let seconds = from; this.replaying === mine && seconds < end; ) {
      await new Promise(requestAnimationFrame);
      seconds = from + ((performance.now() - mine) / 1000) * Number($("run-speed").value);
      if (this.replaying === mine) await this.look(this.reel.at(seconds));
    }
    if (this.replaying === mine) this.stop();
  }

  stop() {
    if (!this.replaying) return;
    this.replaying = 0;
    if (this.tracker.state === "ended") $("pause").textContent = "Replay";
  }
}
