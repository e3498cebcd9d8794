// Saving: the picture, the mask, the script, and all of them together.

import { note, trying } from "../core/announce.js";
import { byId, choice } from "../core/dom.js";
import { server } from "../core/server.js";

export class Saving {
  constructor(studio) {
    this.studio = studio;
    this.name = byId("script-name");
    const run = choice({
      label: "Painted by",
      options: studio.runs.map(({ id }) => [id, id]),
      value: studio.options.run,
      onchange: (id) => studio.choose({ run: id }),
    });
    run.element.hidden = studio.runs.length < 2;
    byId("save-run").append(run.element);
    for (const what of ["picture", "mask", "script", "bundle"]) {
      byId(`save-${what}`).addEventListener("click", () => this[what]());
    }
  }

  picture() {
    return this.#save("png", "picture", () => server.exportPicture(this.#wanted()));
  }

  bundle() {
    return this.#save("zip", "bundle", () => server.exportBundle(this.#wanted()));
  }

  mask() {
    const { edit, side, face } = this.studio;
    return this.#save("png", "mask", () => server.exportMask(edit.current.ids, side, face.label_map), "-mask");
  }

  script() {
    const { face, run } = this.studio;
    const operations = this.studio.script(run);
    const body = () => ({ name: this.name.value, description: "", label_map: face.label_map, operations });
    return this.#save("yaml", "script", () => server.writeScript(body()));
  }

  #wanted() {
    const { face, run, tunings } = this.studio;
    const tuned = tunings.has(run.id, face.id);
    // The server finds out whether the operations lead to the mask that is shown; its size is left to each run.
    return { run: run.id, face: face.id, name: this.name.value, description: "", operations: this.studio.script(run), mask: this.#mask(), tuned };
  }

  #mask() {
    const { edit, side } = this.studio;
    return server.packed(edit.current.ids, side);
  }

  async #save(kind, what, ask, more = "") {
    const { edit, face, run } = this.studio;
    if (edit === null) {
      note("this face needs its mask first");
      return;
    }
    const content = await trying(ask);
    if (!content) return;
    const stem = (this.name.value || face.id).replace(/[^\p{L}\p{N}_-]+/gu, "-") || "edit";
    const address = URL.createObjectURL(content);
    const link = document.createElement("a");
    link.href = address;
    link.download = `${stem}${more}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    const without = edit.current.look !== null && !run.inputs.includes("reference") && what !== "mask";
    note(`${what} saved as ${link.download}${without ? `; ${run.id} reads no reference, so the look is left out` : ""}`);
  }
}
