// A whole file as a job of the server: upload, progress, results.

import { GONE, ask, pause, request, sentence, showError, upload } from "./page.js";

const EVERY_MS = 500;
const STAGES = { queued: "Waiting for its turn", running: "The server works" };

/**
 * Uploads `file` as a job with these parameters and waits for its end; `progress(stage, done, job)` is told of it, `done`
 * being 0 to 1 or null. Gives a function that fetches a result by its name, or the first that ends like it. An aborted
 * `signal` deletes the job. While the server is gone, that is said, and it is asked again.
 */
export async function runJob(query, file, progress, signal) {
  progress("Uploading", 0, null);
  let job = await upload(`v1/videos?${query}`, file, (done) => progress("Uploading", done, null), signal);
  let isGone = false;
  try {
    while (STAGES[job.state]) {
      if (isGone) progress("The server is gone. Trying again", null, null);
      else progress(STAGES[job.state], job.progress, job);
      await pause(EVERY_MS);
      signal.throwIfAborted();
      try {
        job = await ask("GET", `v1/videos/${job.id}`);
        isGone = false;
      } catch (error) {
        if (error.code !== GONE) throw error;
        isGone = true;
      }
    }
  } catch (error) {
    if (error.name === "AbortError") await request("DELETE", `v1/videos/${job.id}`);
    throw error;
  }
  if (job.state === "failed") throw job.error;
  if (job.state === "cancelled") throw new DOMException("cancelled", "AbortError");
  if (job.notes.length) showError({ problem: job.notes.map(sentence).join(" "), remedy: "The result has the rest." });
  return async (ending) => {
    progress("Fetching the result", null, job);
    const name = job.results.find((one) => one.endsWith(ending)) ?? job.results[0];
    return (await request("GET", `v1/videos/${job.id}/results/${encodeURIComponent(name)}`, signal)).blob();
  };
}
