// A video of kept frames with their boxes, recorded by the browser at the speed at which they were seen.

import { trouble } from "./camera.js";
import { Drawing } from "./drawing.js";

const TYPES = ["video/mp4;codecs=avc1.42E01E", "video/webm;codecs=vp9", "video/webm"];
const HOLD_S = 0.1; // how long the last frame stays
const BITS = 6_000_000; // a second

/** The best that this browser can write. */
export function recordedType() {
  return TYPES.find((type) => globalThis.MediaRecorder?.isTypeSupported(type)) ?? "";
}

/** Draws each shot at its time and records that. `items(shot, at)` are what is drawn on it. Takes as long as the video lasts. */
export async function record(reel, items, [width, height], progress, signal) {
  const type = recordedType();
  if (!type) throw trouble("this browser records no video", "Save CSV, or use another browser.");
  const canvas = Object.assign(document.createElement("canvas"), { width: width & ~1, height: height & ~1 }); // H.264 wants even sides
  const context = canvas.getContext("2d");
  const shots = reel.shots.slice(reel.bare);
  const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: type, videoBitsPerSecond: BITS });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve, reject) => {
    recorder.onstop = resolve;
    recorder.onerror = ({ error }) => reject(trouble(`the browser could not record (${error?.message})`, "Save CSV instead."));
  });
  const began = performance.now() - shots[0].seconds * 1000;
  try {
    for (const [at, shot] of shots.entries()) {
      signal.throwIfAborted();
      const picture = await createImageBitmap(shot.picture);
      await until(began + shot.seconds * 1000);
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      const drawing = new Drawing(context, Math.max(1, width / 640));
      for (const item of items(shot, reel.bare + at)) drawing.item(item, { labelled: shot.tracks.size > 1 });
      if (at === 0) recorder.start(1000);
      progress(at / shots.length);
    }
    await until(performance.now() + HOLD_S * 1000);
  } finally {
    if (recorder.state !== "inactive") recorder.stop();
  }
  await stopped;
  const film = new Blob(parts, { type: recorder.mimeType || type });
  if (!film.size) throw trouble("this browser recorded nothing", "Save CSV, take the server's video, or use another browser.");
  return film;
}

async function until(time) {
  const left = time - performance.now();
  if (left > 1) await new Promise((resolve) => setTimeout(resolve, left));
}
