// The sample that comes with the package: the clip of `framestate demo --clip`, and where its two fish begin.

import { trouble } from "./camera.js";
import { GONE } from "./page.js";

export const SAMPLE_BOXES = [[98, 181, 123, 76], [301, 31, 114, 64]]; // x, y, width, height in its first frame

/** The clip as a file. */
export async function sampleFile() {
  let response;
  try {
    response = await fetch("static/sample.mp4");
  } catch {
    throw Object.assign(trouble("the server does not answer", "Check that it runs, then try again."), { code: GONE });
  }
  if (!response.ok) throw trouble(`the sample cannot be fetched (${response.status})`, "Choose a video of your own.");
  return new File([await response.blob()], "sample.mp4", { type: "video/mp4" });
}
