// What was followed as files: CSV and JSON of what was seen here, a video recorded here, or one that the server makes.

import { $ } from "./elements.js";
import { record, recordedType } from "./recorder.js";
import { announce, showError } from "./page.js";
import { runJob } from "./video_job.js";

const COLUMNS = ["frame", "pts", "seconds", "target", "x", "y", "w", "h", "score", "status"]; // as `framestate track --boxes`

export class Results {
  constructor(tracker) {
    this.tracker = tracker;
    this.busy = null;
    const actions = {
      "save-csv": () => save(this.name("csv"), new Blob([csv(this.rows())], { type: "text/csv" })),
      "save-json": () => save(this.name("json"), new Blob([JSON.stringify(this.document(), null, 1)], { type: "application/json" })),
      "save-recording": () => this.work((signal) => this.recording(signal)),
      "save-job": () => this.work((signal) => this.job(signal)),
    };
    for (const [id, act] of Object.entries(actions)) $(id).onclick = act;
    $("save-stop").onclick = () => this.busy?.abort();
    $("save").addEventListener("toggle", () => this.offer());
  }

  /** What there is to save, and what each would be. */
  offer() {
    const { reel, plain, source, figures } = this.tracker;
    const kind = recordedType().includes("mp4") ? "MP4" : "WebM";
    $("save-recording").textContent = `Video of what you saw (${kind})`;
    $("save-job").hidden = !plain || !source.file;
    const dropped = figures.dropped ? `, ${figures.dropped} were passed over` : "";
    $("save-note").textContent = `${reel.shots.length} frames were followed here${dropped}. ${
      plain && source.file ? "The server's own video has every frame, and the sound." : "The video is recorded by this browser, without sound."
    }`;
  }

  /** One row a target and frame, in pixels of the video itself. */
  rows() {
    const { reel, source } = this.tracker;
    return reel.shots.flatMap(({ pts, seconds, tracks }, frame) =>
      [...tracks].map(([target, { box, score, status }]) => ({
        frame, pts, seconds, target, box: box.map((side) => side * source.scale), score, status,
      })),
    );
  }

  document() {
    const { source, figures } = this.tracker;
    return {
      source: source.name, width: source.video.videoWidth, height: source.video.videoHeight,
      time_base: "1/1000000", frames_dropped: figures.dropped, tracks: this.rows(),
    };
  }

  name(ending) {
    return `${(this.tracker.source.name ?? "framestate").replace(/\.\w+$/, "").replaceAll(" ", "-")}_tracked.${ending}`;
  }

  async work(make) {
    if (this.busy) return;
    this.busy = new AbortController();
    $("save-progress").hidden = false;
    try {
      await make(this.busy.signal);
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
    } finally {
      this.busy = null;
      $("save-progress").hidden = true;
      $("save-title").textContent = "Save results";
    }
  }

  progress(text, done) {
    if ($("save-text").textContent !== text) $("save-text").textContent = text;
    $("save-title").textContent = done === null ? `${text} …` : `${text} ${Math.round(100 * done)} %`; // the menu may be closed
    if (done === null) $("save-done").removeAttribute("value");
    else $("save-done").value = done;
  }

  async recording(signal) {
    const { reel, review, source } = this.tracker;
    const blob = await record(reel, (shot, at) => review.itemsAt(shot, at), [source.width, source.height], (done) => this.progress("Recording", done), signal);
    save(this.name(blob.type.includes("mp4") ? "mp4" : "webm"), blob);
  }

  /** The server follows the same boxes through every frame of the file. */
  async job(signal) {
    const { first, source } = this.tracker;
    const query = new URLSearchParams({ task: "tracking", annotate: "true" });
    for (const box of first.boxes.values()) query.append("box", box.map((side) => Math.round(side * source.scale)).join(","));
    const results = await runJob(query, source.file, (stage, done) => this.progress(stage, done), signal);
    save(this.name("mp4"), await results("tracked.mp4"));
  }
}

function csv(rows) {
  const lines = rows.map(({ frame, pts, seconds, target, box, score, status }) =>
    [frame, pts, seconds.toFixed(6), target, ...box.map((side) => side.toFixed(3)), score.toFixed(4), status].join(","),
  );
  return [COLUMNS.join(","), ...lines, ""].join("\n");
}

export function save(name, blob) {
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  announce(`${name} is saved.`);
}
