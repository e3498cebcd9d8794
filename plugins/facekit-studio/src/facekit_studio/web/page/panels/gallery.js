// Faces to choose one from.

import { freshId, make } from "../core/dom.js";

/** A group of pictures of which one is chosen; `none` is the word for choosing none, where that can be. */
export class Gallery {
  constructor(studio, { label, none = null, onchoose, removable = false }) {
    Object.assign(this, { studio, none, onchoose, removable, name: freshId("gallery") });
    this.list = make("div.gallery");
    this.element = make("fieldset", {}, make("legend", { textContent: label }), this.list);
    this.shown = "";
  }

  /** Shows faces, with one of them (or none: null) chosen. */
  show(faces, chosen) {
    const listed = faces.map((face) => `${face.id} ${face.has_mask}`).join();
    if (listed !== this.shown || this.none !== this.shownNone) {
      const first = this.none === null ? [] : [this.#entry(null)];
      this.list.replaceChildren(...first, ...faces.map((face) => this.#entry(face)));
      [this.shown, this.shownNone] = [listed, this.none];
    }
    for (const input of this.list.querySelectorAll("input")) input.checked = input.value === (chosen ?? "");
  }

  #entry(face) {
    const input = make("input.unseen", {
      type: "radio",
      name: this.name,
      value: face?.id ?? "",
      onchange: () => this.onchoose(face?.id ?? null),
    });
    const picture =
      face === null
        ? make("span.none", { textContent: this.none })
        : make("img", { alt: face.name, title: face.name, width: 64, height: 64, draggable: false });
    if (face !== null) this.studio.photoOf(face.id).then((address) => (picture.src = address), () => {});
    const label = make("label.thumb", {}, input, picture);
    if (!this.removable || !face?.removable) return label;
    const remove = make("button.remove", {
      type: "button",
      textContent: "×",
      title: `Take ${face.name} out`,
      "aria-label": `Take ${face.name} out`,
      onclick: () => this.removable(face),
    });
    return make("div.thumb-box", {}, label, remove);
  }
}
