// What is known of the targets of a live source: the last answer, lost ones where they were last seen, and trails.

import { middle } from "./drawing.js";

const TRAIL = 60; // frames

export class SceneMemory {
  constructor() {
    this.clear();
  }

  clear() {
    this.known = new Map(); // by id
  }

  /** The values of an answer of the kind `scene`; null where nothing is followed, undefined where nobody knows. */
  take(scene) {
    if (scene === undefined) return;
    if (scene === null) return this.clear();
    const lost = new Set(scene.lost);
    for (const id of this.known.keys()) {
      if (lost.has(id)) Object.assign(this.known.get(id), { status: "lost", score: 0 });
      else if (!scene.targets.some((one) => one.id === id)) this.known.delete(id);
    }
    for (const { id, box, score, status, label } of scene.targets) {
      const trail = this.known.get(id)?.trail ?? [];
      trail.push({ ...middle(box), status });
      if (trail.length > TRAIL) trail.shift();
      this.known.set(id, { number: id, box, score, status, label, trail });
    }
  }

  has(number) {
    return this.known.has(number);
  }

  forget(number) {
    this.known.delete(number);
  }

  next() {
    return Math.max(0, ...this.known.keys()) + 1;
  }

  items() {
    return [...this.known.values()].map((one) => ({ ...one })).sort((one, two) => one.number - two.number);
  }
}
