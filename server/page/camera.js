// Where frames come from: a file or the camera, as a video element whose frames can be taken.

import { pause } from "./page.js";

const LONGEST = 960; // pixels of the longer side that are sent
const ASLEEP_MS = 1000;

export class Source {
  constructor() {
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true, preload: "auto" });
    this.live = false;
    this.url = null;
  }

  /** Loads a file. Throws an error with a remedy where the browser cannot play it. */
  async openFile(file) {
    this.close();
    this.url = URL.createObjectURL(file);
    this.file = file;
    this.video.src = this.url;
    await this.loaded(file.name);
    this.name = file.name;
  }

  async openCamera() {
    this.close();
    if (!navigator.mediaDevices?.getUserMedia) {
      throw trouble("there is no camera for this page", "Open it as http://127.0.0.1 or over https, in a browser that has a camera.");
    }
    try {
      this.video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 960 } }, audio: false });
    } catch (error) {
      throw trouble(`the camera cannot be used (${error.message})`, "Allow it in the browser, or pick a file.");
    }
    this.live = true;
    await this.loaded("the camera");
    await play(this.video);
    this.name = "the camera";
  }

  async loaded(name) {
    await new Promise((resolve, reject) => {
      this.video.onloadeddata = resolve;
      this.video.onerror = () => reject(trouble(`${name} cannot be played by this browser`, "Use MP4 (H.264) or WebM, or track it with: framestate track FILE --box X,Y,W,H"));
    });
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
    this.width = Math.max(16, Math.round(videoWidth * scale));
    this.height = Math.max(16, Math.round(videoHeight * scale));
    this.scale = videoWidth / this.width; // boxes in pixels that are sent, times this, are in the video's own
  }

  /** The picture that is shown now, as a canvas of its own. */
  grab() {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: this.width, height: this.height });
    canvas.getContext("2d").drawImage(this.video, 0, 0, this.width, this.height);
    return canvas;
  }

  get duration() {
    return this.live || !Number.isFinite(this.video.duration) ? null : this.video.duration;
  }

  /** Shows another moment. WebKit's player falls asleep at the end of a video; playing wakes it. */
  async seek(seconds) {
    if (this.live) return;
    const sought = this.sought(seconds);
    await Promise.race([sought, pause(ASLEEP_MS)]);
    if (!this.video.seeking) return;
    await play(this.video);
    await sought;
    this.video.pause();
    await this.sought(seconds);
  }

  sought(seconds) {
    return new Promise((resolve) => {
      this.video.addEventListener("seeked", resolve, { once: true });
      this.video.currentTime = seconds;
    });
  }

  close() {
    this.video.pause();
    for (const track of this.video.srcObject?.getTracks() ?? []) track.stop();
    this.video.onerror = null;
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    if (this.url) URL.revokeObjectURL(this.url);
    Object.assign(this, { url: null, file: null, live: false });
  }
}

/** Plays a video; one that is paused before it began is no fault. */
export async function play(video) {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

/** A frame as JPEG. */
export async function jpegOf(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  return blob.arrayBuffer();
}

export function trouble(problem, remedy) {
  return Object.assign(new Error(problem), { problem, remedy });
}
