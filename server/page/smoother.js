// The tab Interpolate: a file as a job of the server, then before and after side by side.

import { $, announce, clearError, request, showError, upload } from "./page.js";

const EVERY_MS = 500;
const APART_S = 0.05; // more than this, and the second video is put where the first one is

export class Smoother {
  constructor() {
    this.urls = [];
    $("job-form").onsubmit = (event) => {
      event.preventDefault();
      this.run($("job-file").files[0]);
    };
    $("job-cancel").onclick = () => this.cancel();
    $("play").onclick = () => ($("before").paused ? this.play() : this.pause());
    $("seek").oninput = () => this.seek(Number($("seek").value));
    $("pair-speed").onchange = () => this.setSpeed();
    $("before").addEventListener("timeupdate", () => this.keepTogether());
    $("before").addEventListener("ended", () => this.pause());
  }

  async run(file) {
    if (!file) return;
    clearError();
    this.abort = new AbortController();
    this.job = null;
    $("compare").hidden = true;
    $("job-start").disabled = true;
    try {
      const path = `v1/videos?task=interpolation&factor=${$("factor").value}`;
      this.progress("Uploading", 0, file.name);
      this.job = await upload(path, file, (done) => this.progress("Uploading", done, file.name), this.abort.signal);
      await this.wait();
      await this.show(file);
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
      else announce("Cancelled");
    } finally {
      $("job-start").disabled = false;
      $("job-progress").hidden = true;
    }
  }

  progress(stage, done, text) {
    if ($("job-progress").hidden || $("job-stage").textContent !== stage) announce(stage);
    $("job-progress").hidden = false;
    $("job-stage").textContent = stage;
    $("job-text").textContent = text;
    if (done === null) $("progress").removeAttribute("value");
    else $("progress").value = done;
  }

  async wait() {
    const names = { queued: "Waiting for its turn", running: "Making frames" };
    while (names[this.job.state]) {
      const { frames, frames_total: total, progress, state } = this.job;
      this.progress(names[state], progress, total ? `${frames} of ${total} frames` : `${frames} frames`);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      this.abort.signal.throwIfAborted();
      this.job = await (await request("GET", `v1/videos/${this.job.id}`)).json();
    }
    if (this.job.state === "failed") throw this.job.error;
    if (this.job.state === "cancelled") throw new DOMException("cancelled", "AbortError");
  }

  async cancel() {
    this.abort.abort();
    if (this.job) await request("DELETE", `v1/videos/${this.job.id}`).catch(showError);
  }

  async show(file) {
    this.progress("Fetching the result", null, "");
    const name = this.job.results.find((one) => one.endsWith(".mp4")) ?? this.job.results[0];
    const result = await (await request("GET", `v1/videos/${this.job.id}/results/${encodeURIComponent(name)}`)).blob();
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [URL.createObjectURL(file), URL.createObjectURL(result)];
    await Promise.all(["before", "after"].map((id, at) => load($(id), this.urls[at])));
    $("seek").max = Math.min($("before").duration, $("after").duration);
    $("after-text").textContent = `${$("factor").value} × the frames`;
    $("download").href = this.urls[1];
    $("download").download = file.name.replace(/(\.\w+)?$/, `_${$("factor").value}x.mp4`);
    $("compare").hidden = false;
    this.setSpeed();
    announce("Done. Before and after play side by side.");
    await this.play();
  }

  videos() {
    return [$("before"), $("after")];
  }

  setSpeed() {
    for (const video of this.videos()) video.playbackRate = Number($("pair-speed").value);
  }

  async play() {
    if ($("before").ended) this.seek(0);
    $("after").currentTime = $("before").currentTime;
    $("play").textContent = "Pause";
    await Promise.all(this.videos().map((video) => video.play()));
  }

  pause() {
    for (const video of this.videos()) video.pause();
    $("play").textContent = "Play";
  }

  seek(seconds) {
    for (const video of this.videos()) video.currentTime = seconds;
  }

  keepTogether() {
    const [before, after] = this.videos();
    $("seek").value = before.currentTime;
    if (Math.abs(before.currentTime - after.currentTime) > APART_S * Math.max(1, before.playbackRate)) after.currentTime = before.currentTime;
  }
}

function load(video, url) {
  return new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () =>
      reject(Object.assign(new Error(), { problem: "this browser cannot play the video", remedy: "Download the result, or use MP4 (H.264)." }));
    video.src = url;
  });
}
