// The server's models, and what a tab says where it has none that the tab needs.

import { $ } from "./elements.js";
import { ask } from "./page.js";

/** Each model with its task and the sessions that it holds and may hold. */
export async function inventory() {
  const known = await ask("POST", "v2/repository/index");
  return Promise.all(known.map(({ name }) => ask("GET", `v2/models/${encodeURIComponent(name)}`)));
}

/** The models that `fits` says yes to. Where there is none, the note `id` is shown, and the elements `off` can't be used. */
export async function needed(id, off, fits) {
  const found = (await inventory()).filter(fits);
  $(id).hidden = found.length > 0;
  for (const one of off) $(one).disabled = !found.length;
  return found;
}
