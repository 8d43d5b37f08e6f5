// One followed target: a session of its own, over a stream that is found again when the connection is lost.

import { AWAY, ServerError, Stream } from "./client.js";
import { apiKey } from "./keys.js";
import { GONE, pause } from "./page.js";
import { trouble } from "./camera.js";

const RECONNECTS = 150; // about five minutes, as long as a server keeps a session
const ANOTHER_TRY = [GONE, "UnavailableError", "SessionBusyError"];

/**
 * `on` is told: `answered(target, shot, track)`, `unanswered(target, shot)`, `away(target, seconds)`,
 * `back(target, framesLost)`, and `failed(target, error, isOver)`.
 */
export class Target {
  constructor(number, on) {
    Object.assign(this, { number, on, flight: new Map(), corrections: [], stream: null, opening: null, isAway: false, isOver: false });
  }

  /** Opens the session on a shot's picture. Throws what the server says against it. */
  async open(box, shot, payload, policy = "DROP_OLDEST") {
    const welcome = await this.connect();
    const opened = new Promise((resolve, reject) => (this.opening = { resolve, reject }));
    this.stream.say({ type: "open", options: { box }, policy });
    this.send(shot, payload);
    await opened.finally(() => (this.opening = null));
    return welcome;
  }

  async connect(options = {}) {
    const stream = new Stream(
      {
        answer: ({ index, values }) => this.answered(stream, index, values),
        ack: ({ index }) => this.flight.delete(index) && this.opening?.resolve(),
        drop: ({ index }) => this.unanswered(index),
        corrected: (message) => this.stream === stream && this.corrected(message),
        error: (error, closing) => this.failed(stream, error, closing),
        closed: (error) => this.lost(stream, error),
      },
      { key: apiKey(), task: "tracking", ...options },
    );
    this.stream = stream;
    const welcome = await stream.welcomed;
    if (this.isOver) stream.end(); // it was left meanwhile
    this.session = welcome.session;
    this.token = welcome.token;
    return welcome;
  }

  send(shot, payload) {
    this.flight.set(this.stream.send(shot.pts, "jpeg", payload), shot);
  }

  /** Puts it right in the frame that was sent last. Gives the track as it is by now, or throws why it stays as it was. */
  correct(box) {
    return new Promise((resolve, reject) => {
      const correction = { type: "correct", box };
      this.corrections.push({ correction, resolve, reject });
      this.stream.say(correction); // again when the connection is back, if nobody has answered by then
    });
  }

  corrected({ values, error }) {
    const asked = this.corrections.shift();
    if (error) asked?.reject(new ServerError(error));
    else asked?.resolve(values);
  }

  answered(stream, index, track) {
    const shot = this.flight.get(index);
    this.flight.delete(index);
    if (shot && this.stream === stream) this.on.answered(this, shot, track);
  }

  unanswered(index) {
    const shot = this.flight.get(index);
    this.flight.delete(index);
    if (shot) this.on.unanswered(this, shot);
  }

  failed(stream, error, closing) {
    if (this.stream !== stream) return;
    if (error.index !== null) this.unanswered(error.index);
    if (this.opening) this.opening.reject(error);
    else this.on.failed(this, error, closing);
    if (closing) this.leave();
  }

  /** The connection went away: the session may still be there. */
  async lost(stream, error) {
    if (this.stream !== stream || this.isAway) return;
    if (this.opening) return this.opening.reject(error);
    const { index, lastIndex } = stream;
    this.isAway = true;
    for (const number of [...this.flight.keys()]) this.unanswered(number);
    for (let attempt = 0, from = performance.now(); attempt < RECONNECTS; attempt++) {
      this.on.away(this, Math.round((performance.now() - from) / 1000));
      await pause(Math.min(2000, 200 * 2 ** attempt));
      if (this.isOver) return;
      try {
        const welcome = await this.connect({ session: this.session, token: this.token, index, lastIndex });
        if (this.isOver) return;
        if (!welcome.resumed) throw trouble("the session has ended meanwhile", "Draw a box on the frame you see, and start again.");
        this.isAway = false;
        for (const { correction } of this.corrections) this.stream.say(correction);
        return this.on.back(this, welcome.frames_lost);
      } catch (again) {
        if (this.isOver) return;
        if (!ANOTHER_TRY.includes(again.code)) return this.on.failed(this, again, true);
      }
    }
    this.on.failed(this, error, true);
  }

  /** Ends the session, so that its place is free at once. */
  leave() {
    this.isOver = true;
    for (const { reject } of this.corrections.splice(0)) reject(new ServerError(AWAY));
    this.stream?.end();
    this.stream = null;
    for (const number of [...this.flight.keys()]) this.unanswered(number);
  }
}
