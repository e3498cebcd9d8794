// What the runs painted, side by side, each with the photo before and the time it took.

import { trying } from "../core/announce.js";
import { byId, make } from "../core/dom.js";

class Pane {
  #address = null;

  constructor(studio, run) {
    this.studio = studio;
    this.run = run;
    this.time = make("span.time", { textContent: "…" });
    this.before = make("img.before", { alt: "", draggable: false });
    this.after = make("img.after", { alt: `Painted by ${run.id}`, draggable: false });
    this.error = make("p.failed", { hidden: true });
    this.divider = make("input.divider", {
      type: "range",
      min: 0,
      max: 100,
      step: 1,
      value: 50,
      "aria-label": `Before and after, ${run.id}`,
      oninput: () => this.#divide(),
    });
    this.frame = make(
      "div.frame",
      {},
      this.before,
      this.after,
      make("span.rule", { "aria-hidden": true }),
      make("span.tag.tag-before", { textContent: "Photo", "aria-hidden": true }),
      make("span.tag.tag-after", { textContent: "Painted", "aria-hidden": true }),
      this.error,
      this.divider,
    );
    const about = [`step ${run.step.toLocaleString("en")}`, `${run.size} px`].join(" · ");
    const beside = run.local ? `; edits of a part: ${run.local.folder}` : "";
    const name = make("h3", { textContent: run.id, title: `${run.name}, ${run.folder}${beside}` });
    const head = make("header.pane-head", {}, name, make("span.about", { textContent: about }), this.time);
    this.element = make("article.pane", { data: { run: run.id } }, head, make("div.room", {}, this.frame));
    this.#divide();
  }

  /** Shows the divider between photo and picture, or the picture alone. */
  compare(on) {
    this.frame.classList.toggle("comparing", on);
    this.divider.hidden = !on;
    this.#divide();
  }

  #divide() {
    this.divider.setAttribute("aria-valuetext", `${this.divider.value} percent photo`);
    this.frame.style.setProperty("--divide", `${this.divider.value}%`);
  }

  async photo(face) {
    const address = await this.studio.photoOf(face.id);
    if (this.studio.face !== face) return;
    this.before.src = address;
    this.before.alt = `The photo, ${face.name}`;
  }

  busy() {
    this.element.classList.add("painting");
  }

  show({ blob, milliseconds, local, tuned, waited, error, newest }) {
    this.element.classList.toggle("painting", !newest);
    this.error.hidden = !error;
    this.error.textContent = error?.told ?? "";
    if (error) {
      this.time.textContent = "";
      return;
    }
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = URL.createObjectURL(blob);
    this.after.src = this.#address;
    const by = this.run.local ? `${local ? "local" : "whole face"} · ` : "";
    const how = tuned && !local ? "tuned · " : "";
    this.time.textContent = `${by}${how}${Math.round(milliseconds)} ms`;
    this.time.title = `${Math.round(milliseconds)} ms of painting, ${Math.round(waited)} ms until it was here`;
    this.element.dataset.painted = String(Number(this.element.dataset.painted ?? 0) + 1);
  }

  clear() {
    this.after.removeAttribute("src");
    this.time.textContent = "…";
    this.error.hidden = true;
  }
}

export function showResults(studio, previews, editor) {
  const panes = new Map(studio.runs.map((run) => [run.id, new Pane(studio, run)]));
  const place = byId("results");

  const arrange = () => {
    const { shownRuns, compare, view } = studio.options;
    const shown = studio.runs.filter((run) => shownRuns.includes(run.id)).map((run) => panes.get(run.id));
    const elements = shown.map((pane) => pane.element);
    if (elements.length !== place.children.length || elements.some((each, index) => each !== place.children[index])) {
      place.replaceChildren(...elements);
    }
    for (const pane of shown) pane.compare(compare);
    byId("stage").dataset.view = view;
    byId("stage").dataset.runs = String(shown.length);
  };
  studio.addEventListener("options", arrange);
  arrange();

  studio.addEventListener("edit", () => {
    for (const pane of panes.values()) {
      pane.clear();
      trying(() => pane.photo(studio.face));
    }
  });
  previews.addEventListener("painting", ({ detail }) => panes.get(detail.run).busy());
  previews.addEventListener("painted", ({ detail }) => {
    panes.get(detail.run).show(detail);
    if (detail.blob) trying(() => editor.setResult(detail.run, detail.blob));
  });
}
