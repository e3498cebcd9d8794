// Below the looks: a copy of the run is tuned to the photo, so that repainting all of the face keeps the person.

import { note, trying } from "../core/announce.js";
import { byId, make } from "../core/dom.js";

/** What one run can be asked for. */
class Row {
  constructor(studio, run, named) {
    this.studio = studio;
    this.run = run;
    this.button = make("button", { type: "button" });
    this.bar = make("progress", { hidden: true, "aria-label": `Tuning ${run.id} to this photo` });
    this.told = make("p.hint", { hidden: true });
    const name = named ? make("h3", { textContent: run.id }) : null;
    this.element = make("div.tuning", { data: { tuning: run.id } }, name, this.button, this.bar, this.told);
    this.button.addEventListener("click", () => trying(() => this.#pressed()));
  }

  async #pressed() {
    const { face, tunings } = this.studio;
    const { state } = tunings.of(this.run.id, face.id);
    if (state === "tuning" || state === "tuned") {
      await tunings.forget(this.run.id, face.id);
      return;
    }
    await tunings.begin(this.run.id, face.id);
    if (tunings.has(this.run.id, face.id)) note(`${this.run.id} is tuned to ${face.name}`);
  }

  show() {
    const { face, edit, tunings } = this.studio;
    if (face === null) return;
    const { state, done, steps, note: took, error } = tunings.of(this.run.id, face.id);
    this.element.dataset.state = state;
    this.button.textContent = { tuning: "Cancel", tuned: "Take it back" }[state] ?? "Tune to this photo";
    this.button.disabled = edit === null;
    this.bar.hidden = state !== "tuning";
    if (state === "tuning") {
      this.bar.max = steps;
      this.bar.value = done;
    }
    const failed = error?.remedy ? `${error.message}: ${error.remedy}` : error?.message;
    this.told.textContent = { tuning: `step ${done} of ${steps}`, tuned: took, failed }[state] ?? "";
    this.told.hidden = !this.told.textContent;
  }
}

export function showTuning(studio) {
  const tunable = studio.runs.filter((run) => run.tunable);
  const rows = tunable.map((run) => new Row(studio, run, tunable.length > 1));
  if (rows.length === 0) return;
  const body = make(
    "section.tunings",
    {},
    make("h2", { textContent: "This person" }),
    make("p.hint", {
      textContent:
        "Tuning adapts a copy of the run to the photo, so that repainting the whole face keeps more of the person. " +
        "Painting goes on meanwhile.",
    }),
    ...rows.map((row) => row.element),
  );
  byId("panel-look").append(body);

  const show = () => {
    for (const row of rows) {
      row.element.hidden = !studio.options.shownRuns.includes(row.run.id);
      row.show();
    }
    body.hidden = rows.every((row) => row.element.hidden);
  };
  for (const name of ["edit", "faces", "options"]) studio.addEventListener(name, show);
  studio.tunings.addEventListener("tunings", show);
}
