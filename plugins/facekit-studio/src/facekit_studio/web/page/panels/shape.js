// The panel of operations. A button applies one; its fields then adjust what it did, until something else is done.

import { announce, note, trying } from "../core/announce.js";
import { byId, choice, make, slider, tick } from "../core/dom.js";
import { capital } from "../core/label_map.js";
import { GROUPS, fits, operationOf, partRegion } from "./operations.js";

const SOON = 40;

class Card {
  #timer = null;
  #fields = new Map();

  constructor(studio, card) {
    Object.assign(this, { studio, card });
    this.button = make("button", { type: "button", textContent: card.button, onclick: () => this.apply() });
    const fields = card.fields.map((field) => this.#field(field));
    this.element = make("div.card", { data: { operation: card.key } }, this.button, ...fields);
  }

  get session() {
    return `operation ${this.card.key}`;
  }

  /** Shows the lists as the face has them, and whether the operation means something here. */
  refresh() {
    const { labelMap, others, face, operations } = this.studio;
    if (face === null) return;
    const known = operationOf(this.card) in operations && fits(this.card, labelMap);
    const lists = {
      part: () => labelMap.parts.map(({ key, word }) => [key, capital(word)]),
      class: () => labelMap.classes.map(({ name, word }) => [name, capital(word)]),
      face: () => others.filter((other) => other.id !== face.id).map((other) => [other.files.mask, other.name]),
    };
    let complete = true;
    for (const { kind, control } of this.#fields.values()) {
      if (!(kind in lists)) continue;
      const entries = lists[kind]();
      control.fill(entries, control.input.value);
      complete &&= entries.length > 0;
    }
    this.element.hidden = !known;
    this.button.disabled = !complete || this.studio.edit === null;
  }

  /** Marks the card whose fields adjust the last thing that was done. */
  mark() {
    const active = this.studio.edit?.current.session?.key === this.session;
    this.element.classList.toggle("active", active);
  }

  async apply() {
    const notes = await this.#apply();
    if (notes?.length) note(notes.join("; "));
    else if (notes) announce(`${this.card.button}: done. Its fields adjust it.`);
  }

  #apply() {
    const values = {};
    for (const [name, { kind, read }] of this.#fields) {
      values[name] = kind === "part" ? partRegion(this.studio.labelMap, read()) : read();
    }
    return trying(() =>
      this.studio.apply([this.card.build(values)], {
        label: this.card.button,
        session: this.session,
        gesture: this.session,
      }),
    );
  }

  #adjust() {
    if (this.studio.edit?.current.session?.key !== this.session) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#apply(), SOON);
  }

  #field({ name, kind, label, ...more }) {
    const adjust = () => this.#adjust();
    let control;
    if (kind === "slider") {
      control = slider({ label, ...more, oninput: adjust });
      control.input.setAttribute("aria-label", `${this.card.button}: ${label.toLowerCase()}`);
    } else if (kind === "tick") {
      control = tick({ label, checked: more.value ?? false, onchange: adjust });
    } else {
      control = choice({ label, options: more.options ?? [], value: "", onchange: adjust });
      control.input.setAttribute("aria-label", `${this.card.button}: ${label.toLowerCase()}`);
    }
    const read = {
      slider: () => Number(control.input.value),
      tick: () => control.input.checked,
    };
    this.#fields.set(name, { kind, control, read: read[kind] ?? (() => control.input.value) });
    return control.element;
  }
}

export function showShape(studio) {
  const cards = [];
  const groups = GROUPS.map(({ title, cards: listed }) => {
    const made = listed.map((card) => new Card(studio, card));
    cards.push(...made);
    return make("section.group", {}, make("h3", { textContent: title }), ...made.map((card) => card.element));
  });
  byId("panel-shape").append(
    make("h2", { textContent: "Shape" }),
    make("p.hint", { textContent: "A button does it; its fields then adjust what it did." }),
    ...groups,
  );
  const refresh = () => {
    for (const card of cards) {
      card.refresh();
      card.mark();
    }
    for (const group of groups) group.hidden = [...group.querySelectorAll(".card")].every((card) => card.hidden);
  };
  studio.addEventListener("edit", refresh);
  studio.addEventListener("faces", refresh);
  studio.addEventListener("state", () => cards.forEach((card) => card.mark()));
}
