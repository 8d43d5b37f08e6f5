// The first half of the tab Track: a source is opened, and boxes are drawn on its picture.

import { Source } from "./camera.js";
import { $ } from "./elements.js";
import { Figures } from "./figures.js";
import { needed } from "./models.js";
import { announce, clearError, showError } from "./page.js";
import { SAMPLE_BOXES, sampleFile } from "./sample.js";
import { Stage } from "./stage.js";
import { TargetList } from "./target_list.js";

export const HINTS = {
  empty: "",
  picking: "Draw a box around what to follow. Draw another for one more target.",
  running: "Following. Drag a box to put it right, or draw one for another target.",
  paused: "Paused. Look back on the timeline, drag a box to put it right, or go on.",
  ended: "The end.",
};

/** Whoever extends it gives `begin()`, `end(number)`, `leave()`, `acts()` for the stage, and `review` and `reel`. */
export class Picking {
  constructor(reel) {
    this.source = new Source();
    this.reel = reel;
    this.figures = new Figures();
    this.stage = new Stage($("stage"), $("picture"), {
      number: () => Math.max(0, ...this.stage.items.map((one) => one.number), ...reel.numbers) + 1,
      change: (item) => this.changed(item),
      choose: () => this.choose(),
      remove: ({ number }) => this.end(number),
      ...this.acts(),
    });
    this.list = new TargetList($("targets"), (number) => this.stage.choose(number), (number) => this.end(number));
  }

  /** Says so where the server has no tracker. A server that does not answer is told of at the top. */
  refresh() {
    const buttons = ["pick-sample", "pick-file", "pick-camera"];
    needed("track-missing", buttons, (one) => one.task === "tracking").catch(() => {});
  }

  set state(state) {
    this.current = state;
    const begun = ["running", "paused", "ended"].includes(state);
    $("empty").hidden = state !== "empty";
    $("box-controls").hidden = state !== "picking";
    for (const id of ["run-controls", "transport"]) $(id).hidden = !begun;
    $("pause").textContent = { running: "Pause", ended: "Replay" }[state] ?? "Go on";
    $("restart").hidden = this.source.live;
    $("from-here").hidden = state !== "ended" || this.source.live;
    $("save").hidden = !["paused", "ended"].includes(state);
    $("speed").closest("label").hidden = this.source.live;
    $("hint").textContent = HINTS[state];
    $("hint-keys").hidden = state !== "picking";
    this.stage.still = state !== "running";
    this.stage.edit(state !== "empty");
    document.body.dataset.state = state;
  }

  get state() {
    return this.current;
  }

  /** Loads something, and lets people draw boxes on it. True when it is there. */
  async open(load) {
    clearError();
    this.leave();
    try {
      await load();
    } catch (error) {
      this.empty();
      showError(error);
      return false;
    }
    $("file").value = "";
    this.pick();
    announce(`${this.source.name} is open. ${HINTS.picking}`);
    return true;
  }

  /** The clip that comes with the package, followed at once. */
  async trySample() {
    if (!(await this.open(async () => this.source.openFile(await sampleFile())))) return;
    this.pick(SAMPLE_BOXES.map((box, at) => ({ number: at + 1, box, status: "pick" })));
    await this.begin();
  }

  empty() {
    this.leave();
    this.source.close();
    this.stage.clear();
    this.figures.clear();
    this.list.show([], null);
    $("about").textContent = " ";
    this.state = "empty";
    $("pick-file").focus();
  }

  pick(items = []) {
    this.leave();
    this.figures.clear();
    this.reel.clear();
    if (!this.source.live) this.source.video.pause();
    const { video, width, height } = this.source;
    this.state = "picking";
    this.stage.prepare(width, height, true);
    this.stage.items = [];
    this.stage.show(video, items);
    this.stage.chosen = items.at(-1)?.number ?? null;
    this.stage.redraw();
    this.changed(items.at(-1) ?? null);
    $("stage").focus({ preventScroll: true });
    if (this.source.live) this.preview();
  }

  /** Keeps the camera's picture moving while boxes are drawn. */
  preview() {
    this.source.video.requestVideoFrameCallback(() => {
      if (this.state !== "picking") return;
      this.stage.redraw();
      this.preview();
    });
  }

  changed(item) {
    $("start").disabled = this.stage.items.length === 0;
    if (this.state !== "picking") return;
    if (item) ["x", "y", "w", "h"].forEach((name, at) => ($(`box-${name}`).value = item.box[at]));
    this.list.show(this.stage.items, this.stage.chosen);
  }

  choose() {
    if (this.state === "picking") return this.changed(this.stage.find(this.stage.chosen));
    this.review.beside();
  }
}
