// The tab Track: a source, a box, a stream, and what comes back.

import { Source, jpegOf, trouble } from "./camera.js";
import { Stream } from "./client.js";
import { Figures } from "./figures.js";
import { $, announce, apiKey, clearError, showError } from "./page.js";
import { Stage } from "./stage.js";

const IN_FLIGHT = 3; // frames that may be on their way at once; the others are dropped here
const RECONNECTS = 20;
const HINTS = {
  empty: "",
  picking: "Draw a box around what to follow.",
  running: "Following. What you see is the frame that its box belongs to.",
  paused: "Paused. The session waits.",
  ended: "The end.",
};

export class Tracker {
  constructor() {
    this.source = new Source();
    this.figures = new Figures();
    this.stage = new Stage($("stage"), $("picture"), (box) => this.boxChanged(box), () => this.begin());
    this.flight = new Map();
    this.stream = null;
    $("pick-file").onclick = () => $("file").click();
    $("file").onchange = () => $("file").files[0] && this.open(() => this.source.openFile($("file").files[0]));
    $("pick-camera").onclick = () => this.open(() => this.source.openCamera());
    $("start").onclick = () => this.begin();
    $("pause").onclick = () => this.togglePause();
    $("again").onclick = () => this.pick();
    $("restart").onclick = () => this.restart();
    $("other").onclick = () => this.empty();
    $("speed").onchange = () => (this.source.video.playbackRate = Number($("speed").value));
    for (const name of ["x", "y", "w", "h"]) $(`box-${name}`).onchange = () => this.numbersChanged();
    this.source.video.addEventListener("ended", () => this.ended());
    window.addEventListener("pagehide", () => this.leave());
    this.dropping($("stage"));
    this.state = "empty";
  }

  set state(state) {
    this.current = state;
    $("empty").hidden = state !== "empty";
    $("box-controls").hidden = state !== "picking";
    $("run-controls").hidden = !["running", "paused", "ended"].includes(state);
    $("pause").hidden = state === "ended";
    $("pause").textContent = state === "paused" ? "Go on" : "Pause";
    $("restart").hidden = this.source.live;
    $("speed").closest("label").hidden = this.source.live;
    $("hint").textContent = HINTS[state];
    $("hint-keys").hidden = state !== "picking";
    document.body.dataset.state = state;
  }

  get state() {
    return this.current;
  }

  /** Loads something, and lets people draw a box on it. */
  async open(load) {
    clearError();
    this.leave();
    try {
      await load();
    } catch (error) {
      this.empty();
      return showError(error);
    }
    $("file").value = "";
    this.pick();
    announce(`${this.source.name} is open. ${HINTS.picking}`);
  }

  empty() {
    this.leave();
    this.source.close();
    this.stage.clear();
    this.figures.clear();
    $("about").textContent = " ";
    this.state = "empty";
    $("pick-file").focus();
  }

  pick(box = null) {
    this.leave();
    this.figures.clear();
    if (!this.source.live) this.source.video.pause();
    const { video, width, height } = this.source;
    this.state = "picking";
    this.stage.pick(video, width, height, box);
    $("start").disabled = !box;
    $("stage").focus({ preventScroll: true });
    if (this.source.live) this.preview();
  }

  /** Keeps the camera's picture moving while a box is drawn. */
  preview() {
    this.source.video.requestVideoFrameCallback(() => {
      if (this.state !== "picking") return;
      this.stage.redraw();
      this.preview();
    });
  }

  boxChanged(box) {
    ["x", "y", "w", "h"].forEach((name, at) => ($(`box-${name}`).value = box[at]));
    $("start").disabled = false;
  }

  numbersChanged() {
    const box = ["x", "y", "w", "h"].map((name) => Number($(`box-${name}`).value));
    if (box[2] > 0 && box[3] > 0) this.stage.setBox(box);
  }

  async begin() {
    if (this.state !== "picking" || !this.stage.box) return;
    clearError();
    this.box = this.stage.box;
    this.from = this.source.video.currentTime;
    this.state = "running";
    this.lastPts = -1;
    this.epoch = performance.now();
    try {
      await this.connect();
      this.stream.say({ type: "open", options: { box: this.box }, policy: "DROP_OLDEST" });
      await Promise.all([this.opened(), this.send(this.source.grab(), this.source.live ? 0 : this.from * 1e6)]);
      this.source.video.playbackRate = this.source.live ? 1 : Number($("speed").value);
      await this.source.video.play();
      this.follow();
    } catch (error) {
      showError(error);
      this.pick(this.box);
    }
  }

  async connect(options = {}) {
    const stream = new Stream(
      {
        answer: ({ index, values }) => this.answered({ index, ...values }),
        ack: (message) => this.flight.delete(message.index) && this.opening?.resolve(),
        drop: (message) => this.flight.delete(message.index) && this.figures.drop(),
        error: (error, closing) => this.failed(stream, error, closing),
        closed: (error) => this.lost(stream, error),
      },
      { key: apiKey(), task: "tracking", ...options },
    );
    this.stream = stream;
    const welcome = await stream.welcomed;
    this.session = welcome.session;
    this.token = welcome.token;
    $("about").textContent = `${welcome.model} · ${welcome.runtime} · ${this.source.width} × ${this.source.height}`;
    return welcome;
  }

  /** Waits until the server has taken the first frame, or says why it does not. */
  opened() {
    return new Promise((resolve, reject) => (this.opening = { resolve, reject })).finally(() => (this.opening = null));
  }

  /** Sends every new picture of the video, as long as the server keeps up. */
  follow() {
    const stream = this.stream;
    this.source.video.requestVideoFrameCallback((now, { mediaTime }) => {
      if (this.stream !== stream || this.state !== "running") return;
      this.follow();
      const pts = Math.round(this.source.live ? (now - this.epoch) * 1000 : mediaTime * 1e6);
      if (pts <= this.lastPts) return;
      if (this.flight.size >= IN_FLIGHT) return this.figures.drop();
      this.send(this.source.grab(), pts);
    });
  }

  async send(frame, pts) {
    const stream = this.stream;
    const place = Symbol("encoding");
    this.flight.set(place, null); // it is on its way from now on
    this.lastPts = pts;
    const before = this.encoded;
    this.encoded = jpegOf(frame);
    const [payload] = await Promise.all([this.encoded, before]);
    this.flight.delete(place);
    if (this.stream !== stream) return;
    this.flight.set(stream.send(pts, "jpeg", payload), { frame, at: performance.now() });
  }

  answered(message) {
    const sent = this.flight.get(message.index);
    this.flight.delete(message.index);
    if (!sent || !["running", "paused"].includes(this.state)) return;
    this.stage.show(sent.frame, message);
    this.figures.track(message, performance.now() - sent.at, message.index);
    if (this.state === "paused") this.figures.state("paused");
  }

  failed(stream, error, closing) {
    if (this.stream !== stream) return;
    if (error.index !== null) this.flight.delete(error.index);
    if (this.opening) this.opening.reject(error);
    else if (closing) this.stop(error);
    else showError(error);
  }

  /** The connection went away: the session may still be there. */
  async lost(stream, error) {
    if (this.stream !== stream || !["running", "paused"].includes(this.state)) return;
    if (this.opening) return this.opening.reject(error);
    const { index, lastIndex } = stream;
    const was = this.state;
    this.source.video.pause();
    this.flight.clear();
    if (lastIndex === null) return this.stop(error);
    announce("The connection was lost. Trying again.");
    $("hint").textContent = "The connection was lost. Trying again …";
    for (let attempt = 0; attempt < RECONNECTS; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(2000, 200 * 2 ** attempt)));
      if (this.state !== was) return;
      try {
        const welcome = await this.connect({ session: this.session, token: this.token, index, lastIndex });
        if (!welcome.resumed) return this.stop(trouble("the session has ended meanwhile", "Draw a box on the frame you see, and start again."));
        announce(`Connected again; ${welcome.frames_lost} frames were lost.`);
        this.state = was;
        if (was === "running") {
          await this.source.video.play();
          this.follow();
        }
        return;
      } catch (again) {
        if (!["UnavailableError", "SessionBusyError"].includes(again.code)) return this.stop(again);
      }
    }
    this.stop(error);
  }

  stop(error) {
    showError(error);
    this.pick();
  }

  togglePause() {
    if (this.state === "running") {
      this.source.video.pause();
      this.state = "paused";
      this.figures.state("paused", "Paused");
    } else if (this.state === "paused") {
      this.state = "running";
      this.source.video.play();
      this.follow();
    }
  }

  async restart() {
    this.leave();
    this.state = "paused";
    this.source.video.pause();
    await this.source.seek(this.from);
    this.pick(this.box);
    await this.begin();
  }

  async ended() {
    if (this.state !== "running") return;
    const stream = this.stream;
    for (let waited = 0; this.flight.size && waited < 3000 && this.stream === stream; waited += 50) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (this.stream !== stream) return;
    this.state = "ended";
    this.leave();
    this.figures.state("ended", `The end: ${this.figures.summary()}`);
    $("hint").textContent = `The end: ${this.figures.summary()}.`;
  }

  /** Ends the session, so that its place is free at once. */
  leave() {
    this.stream?.say({ type: "bye" });
    this.stream = null;
    this.flight.clear();
  }

  dropping(element) {
    const over = (on) => (event) => {
      event.preventDefault();
      element.classList.toggle("over", on);
    };
    element.addEventListener("dragover", over(true));
    element.addEventListener("dragleave", over(false));
    element.addEventListener("drop", (event) => {
      over(false)(event);
      const file = event.dataTransfer.files[0];
      if (file) this.open(() => this.source.openFile(file));
    });
  }
}
