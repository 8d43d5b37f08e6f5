// The tab Any model: a file through a session of any task that opens without a box; values and pictures shown.

import { Source, jpegOf, play, trouble } from "./camera.js";
import { Stream } from "./client.js";
import { $ } from "./elements.js";
import { apiKey } from "./keys.js";
import { needed } from "./models.js";
import { announce, clearError, showError } from "./page.js";

const IN_FLIGHT = 3;
const MOST_SHOWN = 8; // numbers of a list

export class Runner {
  constructor() {
    this.source = new Source();
    $("run-stop").onclick = () => this.end("Stopped");
    $("run-form").onsubmit = (event) => {
      event.preventDefault();
      this.run($("run-file").files[0]).catch((error) => {
        showError(error);
        this.end("");
      });
    };
  }

  refresh() {
    this.list().catch(showError);
  }

  /** The server's models, each with its task; one that opens on a frame has a tab of its own. */
  async list() {
    const able = await needed("run-missing", ["run-start"], (one) => !one.opens_on_frame);
    const chosen = $("run-model").value;
    $("run-model").replaceChildren(...able.map(({ name, task }) => new Option(`${name} (${task})`, name, false, name === chosen)));
  }

  async run(file) {
    clearError();
    this.end("");
    let options;
    try {
      options = JSON.parse($("run-options").value);
    } catch {
      throw trouble("the options are no JSON", 'Give an object such as {"factor": 2}.');
    }
    await this.source.openFile(file);
    const opened = deferred();
    const stream = new Stream(
      {
        answer: (message, parts) => this.answered(stream, message, parts),
        ack: () => opened.resolve(),
        error: (error, closing) => this.failed(stream, opened, error, closing),
        bye: () => this.stream === stream && this.end("The end"),
        closed: (error) => this.failed(stream, opened, error, true),
      },
      { key: apiKey(), model: $("run-model").value },
    );
    this.stream = stream;
    Object.assign(this, { flight: 0, frames: 0, lastPts: -1, sent: null });
    await stream.welcomed;
    stream.say({ type: "open", options, policy: "WAIT" });
    await opened.promise;
    $("run-stop").hidden = false;
    announce("Running");
    this.source.video.onended = async () => {
      await this.sent; // what is still being encoded goes first
      if (this.stream === stream) stream.say({ type: "bye" });
    };
    await this.send(stream, 0);
    await play(this.source.video);
    this.follow(stream);
  }

  /** Sends every new picture of the video, as long as the server keeps up. */
  follow(stream) {
    this.source.video.requestVideoFrameCallback((now, { mediaTime }) => {
      if (this.stream !== stream) return;
      this.follow(stream);
      const pts = Math.round(mediaTime * 1e6);
      if (pts > this.lastPts && this.flight < IN_FLIGHT) this.send(stream, pts);
    });
  }

  /** Sends the picture that is shown now, after those before it. */
  send(stream, pts) {
    this.lastPts = pts;
    this.flight += 1;
    const [before, frame] = [this.sent, jpegOf(this.source.grab())];
    this.sent = Promise.all([frame, before]).then(([payload]) => {
      if (this.stream === stream) stream.send(pts, "jpeg", payload);
    });
    return this.sent;
  }

  async answered(stream, message, parts) {
    if (this.stream !== stream) return;
    this.flight -= !message.ended;
    this.frames += 1;
    const ms = message.timings.total_ms.toFixed(0);
    $("run-text").textContent = `${message.kind} of frame ${message.index}, ${ms} ms, ${this.frames} answers`;
    $("run-values").textContent = JSON.stringify(message.values, shortened, 2);
    const pictures = parts.filter((one) => one.kind === "made");
    if (!pictures.length) return;
    const shown = pictures[pictures.length - 1];
    const bitmap = await createImageBitmap(new Blob([shown.payload]));
    if (this.stream !== stream) return;
    Object.assign($("run-picture"), { width: bitmap.width, height: bitmap.height, hidden: false });
    $("run-picture").getContext("2d").drawImage(bitmap, 0, 0);
    const names = message.values.pictures ?? [];
    $("run-picture-text").textContent = names[pictures.length - 1] ?? `${pictures.length} pictures`;
  }

  failed(stream, opened, error, closing) {
    if (this.stream !== stream) return;
    opened.reject(error);
    if (error.index !== null) this.flight -= 1;
    showError(error);
    if (closing) this.end("");
  }

  end(said) {
    this.stream?.end();
    this.stream = null;
    this.source.close();
    $("run-stop").hidden = true;
    if (said) announce(said);
  }
}

function shortened(_, value) {
  if (typeof value === "number" && !Number.isInteger(value)) return Number(value.toPrecision(4));
  return Array.isArray(value) && value.length > MOST_SHOWN ? [...value.slice(0, MOST_SHOWN), `… ${value.length} in all`] : value;
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {}); // whoever waits for it is told
  return made;
}
