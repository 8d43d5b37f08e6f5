// One live source: its frames as they come, with all targets; what is clicked or drawn on it is followed.

import { $ } from "./elements.js";
import { announce, ask, clearError, request, showError } from "./page.js";
import { SceneMemory } from "./scene_memory.js";
import { facts, told } from "./source_words.js";
import { Stage } from "./stage.js";
import { TargetList } from "./target_list.js";
import { Viewer } from "./viewer.js";

const HINT = "Click something to follow it, or draw a box around it. Drag a box to put it right.";
const CLICKED = 0.12; // the side of a box around a click, as a share of the picture's height

export class SourceView {
  constructor(closed) {
    Object.assign(this, { name: null, viewer: null, held: null, memory: new SceneMemory() });
    this.stage = new Stage($("live-stage"), $("live-picture"), {
      number: () => this.memory.next(),
      press: () => this.hold(),
      change: () => {},
      done: (item) => this.commit(item),
      click: (item, place) => (item ? this.release() : this.follow(place)),
      choose: () => this.list.show(this.memory.items(), this.stage.chosen),
      enter: (item) => item?.edited && this.commit(item),
      escape: () => this.release(),
      remove: ({ number }) => this.end(number),
    });
    this.list = new TargetList($("live-targets"), (number) => this.stage.choose(number), (number) => this.end(number));
    $("source-back").onclick = closed;
  }

  open(name, isFocused) {
    this.close();
    clearError();
    this.name = name;
    $("source-view").hidden = false;
    $("source-name").textContent = name;
    $("live-hint").textContent = HINT;
    this.viewer = new Viewer(name, {
      frame: (picture, scene) => this.shown(picture, scene),
      away: (seconds) => this.away(seconds),
      back: () => this.back(),
      failed: (error) => this.failed(error),
    });
    if (isFocused) $("live-stage").focus({ preventScroll: true });
  }

  close() {
    this.viewer?.close();
    Object.assign(this, { name: null, viewer: null, held: null });
    this.memory.clear();
    this.stage.clear();
    this.list.show([], null);
    $("source-view").hidden = true;
    $("source-view").dataset.connection = "there";
  }

  /** What the server tells of its sources, once a second; null when it tells nothing. */
  describe(sources) {
    if (this.name === null) return;
    const source = sources?.find((one) => one.name === this.name);
    $("source-view").dataset.state = source?.state ?? "gone";
    $("source-state").textContent = source ? told(source) : sources ? "Removed" : "Unknown";
    $("source-facts").textContent = source ? facts(source) : "";
  }

  /** A frame, and what is in it; null where nothing is followed. */
  shown(picture, scene) {
    this.memory.take(scene);
    this.list.show(this.memory.items(), this.stage.chosen);
    if (this.held) return;
    const { canvas } = this.stage;
    if (!this.stage.picture || canvas.width !== picture.width || canvas.height !== picture.height) {
      this.stage.prepare(picture.width, picture.height, true);
    }
    this.stage.show(picture, this.memory.items());
  }

  /** The picture stays, so that a box can be drawn on it: the server keeps the frame, too. */
  hold() {
    if (this.held) return;
    this.stage.still = true;
    const held = (this.held = this.pinned());
    held.then(({ bitmap }) => this.held === held && this.stage.show(bitmap, this.stage.items)).catch(() => {});
  }

  async pinned() {
    const response = await request("GET", `v1/sources/${this.name}/frame`);
    return { index: response.headers.get("x-frame-index"), bitmap: await createImageBitmap(await response.blob()) };
  }

  release() {
    for (const item of this.stage.items) item.edited = false;
    this.stage.still = false;
    this.held = null;
  }

  /** Around a click: a box of a usual size. */
  follow([x, y]) {
    const side = CLICKED * this.stage.canvas.height;
    const item = this.stage.fresh();
    this.stage.setBox(item, [x - side / 2, y - side / 2, side, side]);
    return this.commit(item);
  }

  /** Follows what a box holds, or puts a target right. */
  async commit(item) {
    const known = this.memory.has(item.number);
    try {
      const { index } = await this.held;
      const query = new URLSearchParams({ box: item.box.join(","), index, ...(known ? {} : { label: $("live-label").value.trim() }) });
      const path = `v1/sources/${this.name}/targets${known ? `/${item.number}` : ""}?${query}`;
      const { id } = await ask(known ? "PATCH" : "POST", path);
      this.stage.chosen = id;
      announce(known ? `Target ${id} is put right.` : `Target ${id} is followed.`);
    } catch (error) {
      showError(error);
    }
    this.release();
  }

  async end(number) {
    try {
      await request("DELETE", `v1/sources/${this.name}/targets/${number}`);
      this.memory.forget(number);
      announce(`Target ${number} is no longer followed.`);
    } catch (error) {
      showError(error);
    }
  }

  away(seconds) {
    $("source-view").dataset.connection = "away";
    $("live-hint").textContent = `No connection for ${seconds} s. Trying again …`;
    this.list.show(this.memory.items().map((one) => ({ ...one, status: "away", score: undefined })), this.stage.chosen);
    if (seconds === 0) announce("The connection was lost. Trying again.");
  }

  back() {
    $("source-view").dataset.connection = "there";
    $("live-hint").textContent = HINT;
  }

  failed(error) {
    showError(error);
    this.away(0);
    $("live-hint").textContent = "It is not watched any more.";
  }
}
