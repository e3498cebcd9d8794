// The tools by name, and which one is used.

import { announce } from "../core/announce.js";
import { byId } from "../core/dom.js";
import { Brush, Fill, Lasso } from "./paint.js";
import { Transform } from "./transform.js";

const CURSORS = { brush: "none", fill: "crosshair", lasso: "crosshair", eyedropper: "crosshair", hand: "grab" };

/** Takes the class under the pointer. */
class Eyedropper {
  constructor(studio, editor) {
    Object.assign(this, { studio, editor, name: "eyedropper", word: "Eyedropper", alone: true });
  }

  begin(point) {
    this.move(point);
    return true;
  }

  move(point) {
    const pixel = this.editor.pixelAt(point);
    if (pixel === null) return;
    const classId = this.studio.edit.ids[pixel.row * this.studio.side + pixel.column];
    if (classId === this.studio.options.classId) return;
    this.studio.choose({ classId });
    announce(`${this.studio.labelMap.wordOf(classId)} chosen`);
  }

  end() {}

  cancel() {}
}

/** Moves the picture; the canvas does it. */
class Hand {
  name = "hand";
  word = "Hand";
  nudge = null;

  constructor(editor) {
    this.editor = editor;
    this.nudge = (x, y) => editor.pan(-8 * x, -8 * y);
  }

  begin() {
    return false;
  }

  move() {}

  end() {}

  cancel() {}
}

export class Tools {
  constructor(studio, editor) {
    Object.assign(this, { studio, editor });
    this.transform = new Transform(studio, editor);
    const all = [
      new Brush(studio, editor),
      new Fill(studio, editor),
      new Lasso(studio, editor),
      new Eyedropper(studio, editor),
      this.transform,
      new Hand(editor),
    ];
    this.byName = new Map(all.map((tool) => [tool.name, tool]));
    this.using = null; // the tool of a gesture, where it is another one
    for (const button of byId("tools").querySelectorAll("button")) {
      button.addEventListener("click", () => studio.choose({ tool: button.dataset.tool }));
    }
    studio.addEventListener("options", () => this.#show());
    this.#show();
  }

  get current() {
    return this.using ?? this.byName.get(this.studio.options.tool);
  }

  /** Begins a gesture at a point; with Alt, paintings tools pick a class. Returns whether it goes on. */
  begin(point, how) {
    this.using = null;
    if (this.studio.edit === null) return false;
    if (how.alt && this.studio.options.tool !== "transform") this.using = this.byName.get("eyedropper");
    return this.current.begin(point, how);
  }

  #show() {
    const { tool } = this.studio.options;
    if (this.shown === tool) return;
    if (this.shown) {
      this.using = null;
      this.byName.get(this.shown).cancel();
      announce(`tool: ${this.byName.get(tool).word}`);
    }
    this.shown = tool;
    this.editor.tool = this.byName.get(tool);
    this.editor.canvas.style.cursor = CURSORS[tool] ?? "pointer";
    for (const button of byId("tools").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    }
    this.editor.redraw();
  }
}
