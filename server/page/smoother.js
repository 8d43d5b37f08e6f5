// The tab Interpolate: a file as a job of the server, then before and after under one slider.

import { Comparison } from "./comparison.js";
import { $ } from "./elements.js";
import { needed } from "./models.js";
import { announce, clearError, showError } from "./page.js";
import { sampleFile } from "./sample.js";
import { runJob } from "./video_job.js";

const BUTTONS = ["job-start", "job-sample"];
const SAID = { "The server works": "Making frames" };

export class Smoother {
  constructor() {
    this.comparison = new Comparison();
    $("job-form").onsubmit = (event) => {
      event.preventDefault();
      this.run(async () => $("job-file").files[0]);
    };
    $("job-sample").onclick = () => this.run(sampleFile);
    $("job-cancel").onclick = () => this.abort.abort();
  }

  refresh() {
    if (!this.abort) needed("job-missing", BUTTONS, (one) => one.task === "interpolation").catch(showError);
  }

  async run(given) {
    if (this.abort) return;
    clearError();
    this.abort = new AbortController();
    this.comparison.hide();
    for (const id of BUTTONS) $(id).disabled = true;
    try {
      const file = await given();
      if (file) await this.make(file, Number($("factor").value));
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
      else announce("Cancelled");
    } finally {
      this.abort = null;
      for (const id of BUTTONS) $(id).disabled = false;
      $("job-progress").hidden = true;
    }
  }

  async make(file, factor) {
    let total = null;
    const results = await runJob(
      new URLSearchParams({ task: "interpolation", factor }),
      file,
      (stage, done, job) => {
        total = job?.frames_total ?? total;
        const counted = job?.frames_total ? `${job.frames} of ${job.frames_total} frames` : job ? `${job.frames} frames` : file.name;
        this.progress(SAID[stage] ?? stage, done, counted);
      },
      this.abort.signal,
    );
    await this.comparison.show(file, await results(".mp4"), factor, total);
    announce("Done. Before is on the left of the line, after on the right.");
  }

  progress(stage, done, text) {
    if ($("job-progress").hidden || $("job-stage").textContent !== stage) announce(stage);
    $("job-progress").hidden = false;
    $("job-stage").textContent = stage;
    $("job-text").textContent = text;
    if (done === null) $("progress").removeAttribute("value");
    else $("progress").value = done;
  }
}
