// The tools that paint: brush, fill and lasso. Each becomes a `set` operation with the exact pixels.

import { announce } from "../core/announce.js";
import { Box, markFlood, markPolygon, markStroke, setRuns } from "../core/pixels.js";
import { outline } from "../canvas/editor.js";

/** What painting tools share: they mark pixels, and the marked ones get the chosen class. */
class Painting {
  constructor(studio, editor, name, word) {
    Object.assign(this, { studio, editor, name, word, marks: null, edit: null, state: null });
  }

  /** Whether a stroke is under way, on the state that it began on: undo, or another face, ends it. */
  get painting() {
    const { edit } = this.studio;
    if (this.marks !== null && (edit !== this.edit || edit.current !== this.state)) this.marks = null;
    return this.marks !== null;
  }

  begin(point, how) {
    const { edit, side, options, labelMap } = this.studio;
    [this.edit, this.state] = [edit, edit.current];
    this.before = edit.current.ids;
    this.ids = edit.begin();
    this.marks = new Uint8Array(side * side);
    this.classId = options.classId;
    this.only = options.only === "" ? null : labelMap.idOf(options.only);
    this.onlyName = options.only === "" ? null : options.only;
    this.last = point;
    this.start(point, how);
    return true;
  }

  /** Shows the marks within a box in the chosen class. */
  show(box) {
    const { side, edit } = this.studio;
    for (let row = Math.max(0, box.top); row < Math.min(side, box.bottom); row += 1) {
      for (let column = Math.max(0, box.left); column < Math.min(side, box.right); column += 1) {
        const place = row * side + column;
        const painted = this.marks[place] && (this.only === null || this.before[place] === this.only);
        this.ids[place] = painted ? this.classId : this.before[place];
      }
    }
    edit.touched(box);
  }

  end() {
    if (!this.painting) return;
    this.finish();
    const { marks, ids, before } = this;
    this.marks = null;
    const changed = ids.reduce((count, identity, place) => count + (identity !== before[place]), 0);
    if (changed === 0) {
      this.studio.edit.cancel();
      announce("nothing changed");
      return;
    }
    const { labelMap, side } = this.studio;
    const { name, word } = labelMap.classes[this.classId];
    this.studio.painted(ids, setRuns(name, marks, side, this.onlyName), `${this.word} ${word}`);
    announce(`${this.word}: ${changed} pixels are ${word} now`);
  }

  cancel() {
    if (!this.painting) return;
    this.marks = null;
    this.studio.edit.cancel();
  }

  finish() {}
}

export class Brush extends Painting {
  constructor(studio, editor) {
    super(studio, editor, "brush", "Brush");
  }

  start(point) {
    this.move(point);
  }

  move(point) {
    if (!this.painting) return;
    const box = markStroke(this.marks, this.studio.side, this.last, point, this.studio.options.brushSize);
    this.last = point;
    this.show(box);
  }

  draw(context, view) {
    const point = this.editor.cursor ?? this.editor.pointer;
    if (point === null) return;
    const { x, y } = view.toCanvas(point.x, point.y);
    context.beginPath();
    context.arc(x, y, Math.max(2, (this.studio.options.brushSize * view.scale) / 2), 0, 2 * Math.PI);
    outline(context);
  }
}

export class Fill extends Painting {
  constructor(studio, editor) {
    super(studio, editor, "fill", "Fill");
    this.alone = true; // does all of its work where it begins
  }

  start(point) {
    const pixel = this.editor.pixelAt(point);
    if (pixel === null) return;
    this.show(markFlood(this.marks, this.before, this.studio.side, pixel.column, pixel.row));
  }

  move() {}
}

export class Lasso extends Painting {
  constructor(studio, editor) {
    super(studio, editor, "lasso", "Lasso");
  }

  start(point) {
    this.points = [point];
  }

  move(point) {
    if (!this.painting) return;
    if (Math.hypot(point.x - this.last.x, point.y - this.last.y) < 0.5) return;
    this.points.push(point);
    this.last = point;
  }

  finish() {
    if (this.points.length < 3) return;
    markPolygon(this.marks, this.studio.side, this.points);
    this.show(Box.whole(this.studio.side));
  }

  draw(context, view) {
    if (!this.painting || this.points.length < 2) return;
    context.beginPath();
    for (const point of this.points) {
      const { x, y } = view.toCanvas(point.x, point.y);
      context.lineTo(x, y);
    }
    context.closePath();
    outline(context, { dashed: true });
  }
}
