// Before and after at the same time in one picture, with a line between them that can be moved.

import { play, trouble } from "./camera.js";
import { $ } from "./elements.js";
import { clock } from "./timeline.js";

const APART_S = 0.05; // more than this, and the second video is put where the first one is

export class Comparison {
  constructor() {
    Object.assign(this, { urls: [], factor: 2, step: 0.02, videos: [$("before"), $("after")] });
    $("split").oninput = () => this.split();
    $("play").onclick = () => ($("before").paused ? this.play() : this.pause());
    $("seek").oninput = () => this.seek(Number($("seek").value));
    $("step-back").onclick = () => this.stepBy(-1);
    $("step-on").onclick = () => this.stepBy(1);
    $("pair-speed").onchange = () => this.setSpeed();
    $("before").addEventListener("timeupdate", () => this.keepTogether());
    $("before").addEventListener("ended", () => this.pause());
  }

  hide() {
    this.pause();
    $("compare").hidden = true;
  }

  /** `frames`: of the result, as far as the server knows. */
  async show(file, result, factor, frames) {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [URL.createObjectURL(file), URL.createObjectURL(result)];
    await Promise.all(this.videos.map((video, at) => load(video, this.urls[at])));
    const { duration, videoWidth, videoHeight } = $("after");
    const rate = frames ? frames / duration : 25 * factor;
    this.step = 1 / rate;
    $("split-view").style.aspectRatio = `${videoWidth} / ${videoHeight}`;
    $("split-view").style.setProperty("--wide", videoWidth / videoHeight);
    $("seek").max = Math.min(...this.videos.map((video) => video.duration));
    $("before-text").textContent = frames ? `${Math.round(rate / factor)} fps` : "";
    $("after-text").textContent = frames ? `${Math.round(rate)} fps` : `${factor} ×`;
    $("download").href = this.urls[1];
    $("download").download = file.name.replace(/(\.\w+)?$/, `_${factor}x.mp4`);
    $("compare").hidden = false;
    this.setSpeed();
    this.split();
    await this.play();
  }

  split() {
    const share = Number($("split").value) / 100;
    $("split-view").style.setProperty("--split", share);
    $("split").setAttribute("aria-valuetext", `${Math.round(100 * share)} % before, ${Math.round(100 - 100 * share)} % after`);
  }

  setSpeed() {
    for (const video of this.videos) video.playbackRate = Number($("pair-speed").value);
  }

  async play() {
    if ($("before").ended) this.seek(0);
    $("after").currentTime = $("before").currentTime;
    $("play").textContent = "Pause";
    await Promise.all(this.videos.map(play));
  }

  pause() {
    for (const video of this.videos) video.pause();
    $("play").textContent = "Play";
  }

  seek(seconds) {
    for (const video of this.videos) video.currentTime = seconds;
    this.place(seconds);
  }

  /** By one frame of the result: before stays where it is between two of its own. */
  stepBy(count) {
    this.pause();
    const middle = Math.floor($("after").currentTime / this.step + 1e-3) + count + 0.5; // the middle of a frame's time
    this.seek(Math.min(Math.max(middle * this.step, 0), Number($("seek").max)));
  }

  place(seconds) {
    $("seek").value = seconds;
    $("seek").setAttribute("aria-valuetext", clock(seconds));
  }

  keepTogether() {
    const [before, after] = this.videos;
    this.place(before.currentTime);
    if (before.paused) return;
    if (Math.abs(before.currentTime - after.currentTime) > APART_S * Math.max(1, before.playbackRate)) after.currentTime = before.currentTime;
  }
}

function load(video, url) {
  return new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(trouble("this browser cannot play the video", "Download the result, or use MP4 (H.264)."));
    video.src = url;
  });
}
