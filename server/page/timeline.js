// The score over the last frames, with the status in colour and height below it.

import { colour } from "./stage.js";

const LENGTH = 200;
const BAND = { tracking: 4, uncertain: 8, lost: 12 };

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear();
  }

  clear() {
    this.points = [];
    this.draw();
  }

  add(score, status) {
    this.points.push({ score, status });
    if (this.points.length > LENGTH) this.points.shift();
    this.draw();
  }

  draw() {
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    const step = width / LENGTH;
    const top = height - 20;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    for (const level of [0.25, 0.5, 0.75]) {
      context.beginPath();
      context.moveTo(0, 6 + (top - 6) * level);
      context.lineTo(width, 6 + (top - 6) * level);
      context.stroke();
    }
    const colours = Object.fromEntries(Object.keys(BAND).map((name) => [name, colour(name)]));
    this.points.forEach(({ status }, at) => {
      context.fillStyle = colours[status];
      context.fillRect(at * step, height - BAND[status], step + 0.5, BAND[status]);
    });
    context.strokeStyle = colour("accent");
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.beginPath();
    this.points.forEach(({ score }, at) => context.lineTo((at + 0.5) * step, 6 + (top - 6) * (1 - score)));
    context.stroke();
  }
}
