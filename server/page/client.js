// The wire format (docs/wire.md, version 2) in JavaScript: one stream of one session.

const HEADER = 44;
const VERSION = 2;
const KINDS = [null, "frame", "made", "tensor"];
const ENCODINGS = ["rgb", "jpeg", "png", "webp", "npy"];
export const AWAY = { code: "Gone", problem: "the connection to the server ended", remedy: "Check that it runs, then try again." };

/** One picture as a binary message. `pts` is in microseconds; `payload` is an ArrayBuffer. */
export function encodePicture(index, pts, encoding, payload) {
  const message = new Uint8Array(HEADER + payload.byteLength);
  const view = new DataView(message.buffer);
  message.set([0x46, 0x53, 0x54, 0x57, VERSION, 1, ENCODINGS.indexOf(encoding), 0]); // FSTW, version, kind frame, flags
  view.setBigUint64(8, BigInt(index), true);
  view.setBigInt64(16, BigInt(Math.round(pts)), true);
  view.setUint32(24, 1, true);
  view.setUint32(28, 1_000_000, true);
  view.setUint32(40, payload.byteLength, true);
  message.set(new Uint8Array(payload), HEADER);
  return message.buffer;
}

/** A binary message: a picture of an answer, or a tensor. `payload` is a Uint8Array. */
export function decodePicture(data) {
  const view = new DataView(data);
  return {
    kind: KINDS[view.getUint8(5)],
    encoding: ENCODINGS[view.getUint8(6)],
    index: Number(view.getBigUint64(8, true)),
    seconds: (Number(view.getBigInt64(16, true)) * view.getUint32(24, true)) / view.getUint32(28, true),
    payload: new Uint8Array(data, HEADER),
  };
}

/** What a server says about an error: `problem` is what is wrong, `remedy` what to do about it. */
export class ServerError extends Error {
  constructor({ code, problem, remedy, index = null }) {
    super(problem);
    Object.assign(this, { code, problem, remedy, index });
  }
}

/**
 * A stream. `on` has a function for each kind of message (answer, ack, drop, corrected, error, bye), and for `closed`;
 * `on.answer` is given the pictures and tensors of the answer, too. With the `session`, `token`, `index` and `lastIndex` of a stream that was lost, it goes on where that one was.
 */
export class Stream {
  constructor(on, { key = null, session = "new", index = 0, lastIndex = null, token = null, task = null, model = null } = {}) {
    const url = new URL(`v1/sessions/${session}/stream`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const secret = key && btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    this.socket = new WebSocket(url, secret ? ["framestate.v2", `key.${secret}`] : ["framestate.v2"]);
    this.socket.binaryType = "arraybuffer";
    Object.assign(this, { index, lastIndex, parts: [], greeted: false });
    this.welcomed = new Promise((resolve, reject) => {
      this.socket.onopen = () => this.say({ type: "hello", version: VERSION, task, model, last_index: lastIndex, token });
      this.socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return this.took(decodePicture(data), on);
        const message = JSON.parse(data);
        if (message.type === "answer" || message.type === "ack") this.lastIndex = message.index;
        if (message.type === "welcome") {
          this.greeted = true;
          resolve(message);
        } else if (message.type === "answer") on.answer?.(message, this.parts.splice(0));
        else if (message.type !== "error") on[message.type]?.(message);
        else this.fail(new ServerError(message), reject, (error) => on.error?.(error, message.closing));
      };
      this.socket.onclose = () => this.fail(new ServerError(AWAY), reject, (error) => on.closed?.(error));
    });
    this.welcomed.catch(() => {}); // whoever waits for it is told
  }

  /** A picture: of a live source by itself, or a part of the answer that follows. */
  took(picture, on) {
    if (picture.kind === "frame" && on.frame) on.frame(picture);
    else this.parts.push(picture);
  }

  /** Before the welcome, whoever waits for that is told, and nobody else. */
  fail(error, reject, tell) {
    if (this.greeted) tell(error);
    else reject(error);
  }

  say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Ends the session; a connection that is still being made is given up. */
  end() {
    if (this.socket.readyState === WebSocket.CONNECTING) this.socket.close();
    else this.say({ type: "bye" });
  }

  /** Sends the next frame and returns its number. */
  send(pts, encoding, payload) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encodePicture(this.index, pts, encoding, payload));
    return this.index++;
  }
}
