// The tab Track: boxes are followed, put right, looked back on.

import { trouble } from "./camera.js";
import { $ } from "./elements.js";
import { Follower } from "./follower.js";
import { look } from "./health.js";
import { announce, clearError, showError } from "./page.js";
import { HINTS, Picking } from "./picking.js";
import { Reel } from "./reel.js";
import { Results } from "./results.js";
import { Review } from "./review.js";
import { wireTracker } from "./tracker_controls.js";

export class Tracker extends Picking {
  constructor() {
    super(new Reel());
    this.follower = new Follower(this.source, this.reel, {
      shown: (shot, ms) => this.shown(shot, ms),
      dropped: () => this.figures.drop(),
      away: (seconds) => this.away(seconds),
      back: (lost) => this.back(lost),
      failed: (number, error, isOver) => this.failed(number, error, isOver),
    });
    this.review = new Review(this);
    this.results = new Results(this);
    wireTracker(this);
    this.state = "empty";
  }

  /** What is done on the stage once boxes are followed, too. */
  acts() {
    return {
      press: () => this.press(),
      done: (item) => this.state !== "picking" && this.commit(item),
      click: () => this.state !== "picking" && this.resume && this.play(),
      enter: (item) => (this.state === "picking" ? this.begin() : item?.edited && this.commit(item)),
      escape: () => this.review.show(),
    };
  }

  async begin() {
    const boxes = new Map(this.stage.items.map(({ number, box }) => [number, box]));
    if (this.state !== "picking" || !boxes.size) return;
    this.first = { boxes, seconds: this.source.live ? 0 : this.source.video.currentTime };
    this.plain = !this.source.live && this.first.seconds === 0;
    await this.followFrom(boxes);
  }

  /** Opens sessions on these boxes in the picture that the source shows, and follows on. */
  async followFrom(boxes) {
    clearError();
    this.stage.items = [];
    this.state = "running";
    this.review.at = null;
    try {
      const welcome = await this.follower.begin(boxes);
      $("about").textContent = `${welcome.model} · ${welcome.runtime} · ${this.source.width} × ${this.source.height}`;
      await this.play();
    } catch (error) {
      showError(error);
      this.pick([...boxes].map(([number, box]) => ({ number, box, status: "pick" })));
    }
  }

  async play() {
    this.resume = false;
    this.review.at = null;
    this.state = "running";
    this.source.video.playbackRate = this.source.live ? 1 : Number($("speed").value);
    await this.follower.play();
  }

  hold(status = "paused") {
    this.follower.hold();
    this.state = status;
  }

  togglePause() {
    clearError();
    if (this.state === "running") {
      this.hold();
      this.figures.state("paused", "Paused");
    } else if (this.state === "paused") this.play();
    else this.review.replay();
  }

  shown(shot, ms) {
    if (!["running", "paused"].includes(this.state)) return;
    const isTime = this.figures.count(shot, ms, this.follower.targets.size > 1);
    if (this.review.at === null) this.review.live(shot, isTime);
  }

  /** Somebody takes hold of the picture: it stays as it is. */
  press() {
    this.review.stop();
    if (this.state !== "running") return;
    this.hold();
    this.resume = true;
  }

  /** A box was changed, or drawn, on the picture that is shown. */
  async commit(item) {
    clearError();
    const [shot, resume] = [this.review.shot(), this.resume];
    this.resume = false;
    this.plain = false;
    try {
      if (this.state === "ended" || shot !== this.reel.last) return await this.again(shot, item);
      await this.follower.settled();
      const newest = this.reel.last;
      if (this.follower.targets.has(item.number)) await this.follower.correct(item.number, item.box, newest);
      else await this.follower.add(item.number, item.box, newest);
      announce(`Target ${item.number} is followed from where you put it.`);
    } catch (error) {
      showError(error);
    }
    this.review.show();
    if (resume) await this.play();
  }

  /** Follows everything anew from the frame that is shown. */
  fromHere() {
    this.plain = false;
    this.again(this.review.shot(), null).catch(showError);
  }

  /** Follows everything anew from a frame, with one target where it was put. */
  async again(shot, item) {
    if (this.source.live) throw trouble("the camera's past cannot be followed again", "Go on, and draw on the newest frame.");
    const boxes = new Map([...shot.tracks].map(([number, { box }]) => [number, box.map(Math.round)]));
    if (item) boxes.set(item.number, item.box);
    this.follower.leave();
    this.reel.cutBefore(shot);
    await this.source.seek(shot.seconds + 0.001);
    await this.followFrom(boxes);
  }

  async restart() {
    const { boxes, seconds } = this.first;
    this.leave();
    this.reel.clear();
    this.figures.clear();
    this.plain = seconds === 0;
    await this.source.seek(seconds);
    await this.followFrom(boxes);
  }

  /** Ends one target, or takes its box away. */
  end(number) {
    this.follower.drop(number);
    this.plain = false;
    if (this.state === "picking") {
      this.stage.items = this.stage.items.filter((one) => one.number !== number);
      this.stage.choose(this.stage.items.at(-1)?.number ?? null);
    } else if (!this.follower.targets.size) this.over();
    else this.review.show();
  }

  away(seconds) {
    if (seconds === 0) look();
    const targets = [...this.follower.targets.values()].map(({ number }) => ({ number, status: "away" }));
    this.list.show(targets, this.stage.chosen);
    this.figures.state("away", seconds ? null : "The connection was lost. Trying again.");
    $("hint").textContent = `The server has been gone for ${seconds} s. Trying again …`;
  }

  back(lost) {
    $("hint").textContent = HINTS[this.state];
    this.figures.state("paused", `Connected again; ${lost} frames were lost.`);
    look();
  }

  failed(number, error, isOver) {
    showError(error);
    if (isOver && !this.follower.targets.size && this.state !== "empty") this.over();
  }

  /** The video, or the last target, has ended. */
  async over() {
    if (!["running", "paused"].includes(this.state)) return;
    this.follower.hold();
    await this.follower.settled();
    if (!["running", "paused"].includes(this.state)) return;
    this.follower.leave();
    this.state = "ended";
    this.figures.state("ended", `The end: ${this.figures.summary()}`);
    $("hint").textContent = `The end: ${this.figures.summary()}. Look back on the timeline, or drag a box right.`;
    this.review.show();
  }

  leave() {
    this.review.stop();
    this.follower.leave();
  }
}
