// What the server tells of a live source, in words.

import { counted } from "./health.js";

const OLD_S = 2; // an age that is worth a word

/** How a source is, in words. */
export function told({ state, age_seconds: age }) {
  if (state === "live") return age > OLD_S ? `Silent for ${ago(age)}` : "Live";
  return { connecting: "Connecting", away: age === null ? "Away" : `Away for ${ago(age)}`, ended: "Ended" }[state] ?? state;
}

/** What else there is to say of a source. */
export function facts({ state, problem, fps, width, height, age_seconds: age, viewers, session, targets }) {
  if (state !== "live" && problem) return problem;
  const known = [
    width ? `${Math.round(fps)} fps` : null,
    width ? `${width} × ${height}` : null,
    age === null ? null : `${age.toFixed(age < 10 ? 1 : 0)} s old`,
    targets ? counted(targets, "target") : session && targets === null ? "a model looks at it" : null,
    viewers ? counted(viewers, "viewer") : null,
  ];
  return known.filter(Boolean).join(" · ");
}

function ago(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
