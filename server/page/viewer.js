// Watches a live source: each frame with what is in it; the connection is found again when it is lost.

import { Stream } from "./client.js";
import { apiKey } from "./keys.js";
import { GONE, pause, showError } from "./page.js";

const ANOTHER_TRY = [GONE, "UnavailableError"];

/** `on` is told: `frame(bitmap, scene)`, `away(seconds)`, `back()`, `failed(error)`. */
export class Viewer {
  constructor(name, on) {
    Object.assign(this, { name, on, stream: null, isClosed: false, latest: null, chain: Promise.resolve() });
    this.connect();
  }

  async connect() {
    for (let from = null, attempt = 0; !this.isClosed; attempt++) {
      try {
        await this.watch();
        if (from !== null) this.on.back();
        return;
      } catch (error) {
        if (this.isClosed) return;
        if (!ANOTHER_TRY.includes(error.code)) return this.on.failed(error);
        from ??= performance.now();
        this.on.away(Math.round((performance.now() - from) / 1000));
        await pause(Math.min(2000, 200 * 2 ** attempt));
      }
    }
  }

  async watch() {
    const stream = new Stream(
      {
        frame: (picture) => this.arrived(stream, picture),
        answer: (message) => this.answered(stream, message),
        error: (error, closing) => this.stream === stream && (closing ? this.on.failed(error) : this.unanswered(stream)),
        closed: () => this.stream === stream && this.lost(),
      },
      { key: apiKey(), session: `source-${this.name}` },
    );
    this.stream = stream;
    await stream.welcomed;
  }

  lost() {
    this.stream = null;
    this.on.away(0);
    this.connect().then(() => this.stream && this.on.back());
  }

  /** A frame waits for its answer; where none comes before the next frame, nothing is followed. */
  arrived(stream, picture) {
    if (this.latest) this.show(stream, this.latest, null);
    this.latest = picture;
    if (!this.isFollowing) {
      this.show(stream, picture, null);
      this.latest = null;
    }
  }

  answered(stream, { index, kind, values }) {
    this.isFollowing = kind === "scene" || kind === "track";
    const picture = this.latest?.index === index ? this.latest : null;
    if (!picture) return;
    this.latest = null;
    this.show(stream, picture, scene(kind, values));
  }

  /** A frame that failed is shown with what was known before. */
  unanswered(stream) {
    if (this.latest) this.show(stream, this.latest, undefined);
    this.latest = null;
  }

  /** Pictures are decoded and shown in order. */
  show(stream, picture, found) {
    if (found === null) this.isFollowing = false;
    const shown = async () => {
      if (this.stream !== stream) return;
      const bitmap = await createImageBitmap(new Blob([picture.payload]));
      if (this.stream === stream) this.on.frame(bitmap, found);
    };
    this.chain = this.chain.then(shown).catch(showError); // the next one may be good
  }

  close() {
    this.isClosed = true;
    this.stream?.end();
    this.stream = null;
  }
}

/** Any answer with targets as one of the kind `scene`. */
function scene(kind, values) {
  if (kind === "scene") return values;
  if (kind !== "track") return null;
  const { box, score, status } = values;
  return { targets: [{ id: 1, box, score, status, label: "" }], lost: [] };
}
