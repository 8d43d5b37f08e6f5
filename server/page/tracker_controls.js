// What the buttons, fields and dropped files of the tab Track do.

import { $ } from "./elements.js";

const SIDES = ["x", "y", "w", "h"];

export function wireTracker(tracker) {
  const { source } = tracker;
  const open = (file) => file && tracker.open(() => source.openFile(file));
  const actions = {
    "pick-file": () => $("file").click(),
    "pick-sample": () => tracker.trySample(),
    "pick-camera": () => tracker.open(() => source.openCamera()),
    start: () => tracker.begin(),
    pause: () => tracker.togglePause(),
    again: () => tracker.pick(),
    restart: () => tracker.restart(),
    "from-here": () => tracker.fromHere(),
    other: () => tracker.empty(),
  };
  for (const [id, act] of Object.entries(actions)) $(id).onclick = act;
  $("file").onchange = () => open($("file").files[0]);
  $("speed").onchange = $("run-speed").onchange = ({ target }) => {
    $("speed").value = $("run-speed").value = target.value;
    source.video.playbackRate = Number(target.value);
  };
  $("trail").onchange = () => tracker.review.show();
  for (const name of SIDES) $(`box-${name}`).onchange = () => fromNumbers(tracker.stage);
  source.video.addEventListener("ended", () => tracker.over());
  window.addEventListener("pagehide", () => tracker.leave());
  dropping($("stage"), open);
}

function fromNumbers(stage) {
  const box = SIDES.map((name) => Number($(`box-${name}`).value));
  if (box[2] > 0 && box[3] > 0) stage.setBox(stage.find(stage.chosen) ?? stage.fresh(), box);
}

function dropping(element, open) {
  const over = (on) => (event) => {
    event.preventDefault();
    element.classList.toggle("over", on);
  };
  element.addEventListener("dragover", over(true));
  element.addEventListener("dragleave", over(false));
  element.addEventListener("drop", (event) => {
    over(false)(event);
    open(event.dataTransfer.files[0]);
  });
}
