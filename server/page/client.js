// The wire format (docs/wire.md, version 1) in JavaScript: one stream of one session.

const HEADER = 44;
const ENCODINGS = ["rgb", "jpeg", "png", "webp"];
const AWAY = { code: "UnavailableError", problem: "the connection to the server ended", remedy: "Check that it runs, then try again." };

/** One picture as a binary message. `pts` is in microseconds; `payload` is an ArrayBuffer. */
export function encodePicture(index, pts, encoding, payload) {
  const message = new Uint8Array(HEADER + payload.byteLength);
  const view = new DataView(message.buffer);
  message.set([0x46, 0x53, 0x54, 0x57, 1, 1, ENCODINGS.indexOf(encoding), 0]); // FSTW, version, kind frame, flags
  view.setBigUint64(8, BigInt(index), true);
  view.setBigInt64(16, BigInt(Math.round(pts)), true);
  view.setUint32(24, 1, true);
  view.setUint32(28, 1_000_000, true);
  view.setUint32(40, payload.byteLength, true);
  message.set(new Uint8Array(payload), HEADER);
  return message.buffer;
}

/** What a server says about an error: `problem` is what is wrong, `remedy` what to do about it. */
export class ServerError extends Error {
  constructor({ code, problem, remedy, index = null }) {
    super(problem);
    Object.assign(this, { code, problem, remedy, index });
  }
}

/**
 * A stream. `on` has a function for each kind of message (track, ack, drop, error, bye), and for `closed`.
 * With the `session`, `index` and `lastIndex` of a stream that was lost, it goes on where that one was.
 */
export class Stream {
  constructor(on, { key = null, session = "new", index = 0, lastIndex = null } = {}) {
    const url = new URL(`/v1/sessions/${session}/stream`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const secret = key && btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    this.socket = new WebSocket(url, secret ? ["framestate.v1", `key.${secret}`] : ["framestate.v1"]);
    this.socket.binaryType = "arraybuffer";
    Object.assign(this, { index, lastIndex });
    this.welcomed = new Promise((resolve, reject) => {
      this.socket.onopen = () => this.say({ type: "hello", version: 1, last_index: lastIndex });
      this.socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return;
        const message = JSON.parse(data);
        if (message.type === "track" || message.type === "ack") this.lastIndex = message.index;
        if (message.type === "welcome") resolve(message);
        else if (message.type !== "error") on[message.type]?.(message);
        else {
          reject(new ServerError(message));
          on.error?.(new ServerError(message), message.closing);
        }
      };
      this.socket.onclose = () => {
        reject(new ServerError(AWAY));
        on.closed?.(new ServerError(AWAY));
      };
    });
    this.welcomed.catch(() => {}); // whoever waits for it is told
  }
  say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
  /** Sends the next frame and returns its number. */
  send(pts, encoding, payload) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encodePicture(this.index, pts, encoding, payload));
    return this.index++;
  }
}
