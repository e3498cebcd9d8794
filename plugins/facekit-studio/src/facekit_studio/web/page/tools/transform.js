// Moves, scales and turns a part of the face. The server moves it, by the same operations that scripts have; while a
// part is dragged, its picture goes along.

import { announce, note, trying } from "../core/announce.js";
import { capital, regionOf } from "../core/label_map.js";
import { extentOf } from "../core/pixels.js";
import { outline } from "../canvas/editor.js";

const NOTHING = Object.freeze({ x: 0, y: 0, across: 1, down: 1, degrees: 0 });
const KNOB = 26; // CSS pixels that the knob for turning is away from the box
const PAUSE = 900; // milliseconds
const LEAST = 0.05;
const MOST = 20;

const rounded = (value, digits = 4) => Number(value.toFixed(digits));

/** The operations of a transform: about its middle, so that scaling and turning come before moving. */
export function operationsOf(region, { x, y, across, down, degrees }, side) {
  const operations = [];
  const [by, turn] = [[rounded(across), rounded(down)], rounded(degrees, 2)];
  if (by[0] !== 1 || by[1] !== 1) operations.push({ do: "scale", region, by: by[0] === by[1] ? by[0] : by });
  if (turn !== 0) operations.push({ do: "rotate", region, degrees: turn });
  if (x !== 0 || y !== 0) operations.push({ do: "move", region, by: [rounded(x / side, 6), rounded(y / side, 6)] });
  return operations;
}

export class Transform {
  #dragging = null;
  #count = 0; // of gestures
  #last = 0; // when the last step of the keyboard was
  #pending = 0;
  #chain = Promise.resolve();

  constructor(studio, editor) {
    Object.assign(this, { studio, editor, name: "transform", word: "Move", part: null, live: null, alone: false });
    studio.addEventListener("edit", () => this.select(null));
    studio.addEventListener("state", () => this.#settled() && this.#follow());
  }

  /** Chooses a part by its key in the label map; null for none. */
  select(key) {
    this.part = key === null ? null : this.studio.labelMap.part(key);
    this.#follow();
    if (this.part) announce(`${this.part.word} selected; arrows move it, [ and ] scale it, { and } turn it`);
  }

  get #session() {
    return this.part === null ? null : `transform ${this.part.key}`;
  }

  get #base() {
    const { current } = this.studio.edit;
    return current.session?.key === this.#session ? current.session.base : current;
  }

  #settled() {
    return this.#dragging === null && this.#pending === 0;
  }

  // What the current state says of the part, e.g. after undo.
  #follow() {
    const { edit } = this.studio;
    const session = edit?.current.session;
    this.live = this.part && session?.key === this.#session ? session.data : NOTHING;
    if (this.part && edit) {
      const ids = this.part.classes.map((name) => this.studio.labelMap.idOf(name));
      this.box = extentOf(this.#base.ids, this.studio.side, ids);
    }
    this.#tell();
  }

  #tell() {
    this.editor.redraw();
    this.editor.canvas.dispatchEvent(new CustomEvent("transformed"));
  }

  /** Sets some of the numbers. Changes of one gesture are one state. */
  set(changes, gesture = null) {
    if (this.part === null || this.box.empty) return;
    const limit = (value) => Math.min(MOST, Math.max(LEAST, value));
    const wanted = { ...this.live, ...changes };
    const { side } = this.studio;
    wanted.across = limit(wanted.across);
    wanted.down = limit(wanted.down);
    wanted.degrees = ((((wanted.degrees + 180) % 360) + 360) % 360) - 180;
    wanted.x = Math.min(side, Math.max(-side, Math.round(wanted.x)));
    wanted.y = Math.min(side, Math.max(-side, Math.round(wanted.y)));
    this.live = Object.freeze(wanted);
    this.#tell();
    // Steps of the keyboard that follow each other are one gesture.
    if (gesture === null && performance.now() - this.#last > PAUSE) this.#count += 1;
    if (gesture === null) this.#last = performance.now();
    this.#pending += 1;
    const step = { part: this.part, session: this.#session, gesture: gesture ?? this.#count, wanted };
    // One after another: a step begins where the one before it ended.
    this.#chain = this.#chain.then(() => this.#apply(step));
  }

  async #apply({ part, session, gesture, wanted }) {
    if (this.live === wanted) {
      const label = `Move ${part.word}`;
      const operations = operationsOf(regionOf(part.classes), wanted, this.studio.side);
      const notes = await trying(() => this.studio.apply(operations, { label, session, gesture, data: wanted }));
      if (notes?.length) note(notes.join("; "));
    } // else a newer step follows
    this.#pending -= 1;
    if (this.#settled()) this.#follow();
  }

  nudge(x, y) {
    if (this.part === null) {
      announce("no part is selected; choose one above the picture");
      return;
    }
    this.set({ x: this.live.x + x, y: this.live.y + y });
    announce(`${this.part.word} moved to ${this.live.x} right, ${this.live.y} down`);
  }

  scaleBy(factor) {
    if (this.part === null) return;
    this.set({ across: this.live.across * factor, down: this.live.down * factor });
    announce(`${this.part.word} at ${Math.round(100 * this.live.across)} percent`);
  }

  turnBy(degrees) {
    if (this.part === null) return;
    this.set({ degrees: this.live.degrees + degrees });
    announce(`${this.part.word} turned by ${this.live.degrees} degrees`);
  }

  begin(point, how) {
    const grip = this.#gripAt(point, how.touch ? 22 : 11);
    if (grip === null) {
      const pixel = this.editor.pixelAt(point);
      if (pixel === null) return false;
      const id = this.studio.edit.ids[pixel.row * this.studio.side + pixel.column];
      this.select(this.studio.labelMap.partOf(id).key);
      if (this.studio.labelMap.classes[id].name === "background") return false;
    }
    this.#count += 1;
    this.#dragging = { grip: grip ?? { kind: "move" }, from: point, start: this.live, gesture: this.#count };
    return true;
  }

  move(point, how) {
    const drag = this.#dragging;
    if (drag === null) return;
    const { start, from, grip } = drag;
    const middle = this.#middle(start);
    if (grip.kind === "move") {
      this.set({ x: start.x + point.x - from.x, y: start.y + point.y - from.y }, drag.gesture);
    } else if (grip.kind === "turn") {
      const angle = Math.atan2(point.y - middle.y, point.x - middle.x) + Math.PI / 2;
      const degrees = (angle * 180) / Math.PI;
      this.set({ degrees: how.shift ? 15 * Math.round(degrees / 15) : degrees }, drag.gesture);
    } else {
      const local = turned(point.x - middle.x, point.y - middle.y, -start.degrees);
      const across = Math.abs(local.x) / (this.box.width / 2);
      const down = Math.abs(local.y) / (this.box.height / 2);
      if (grip.x && grip.y && !how.shift) {
        const before = Math.hypot((this.box.width / 2) * start.across, (this.box.height / 2) * start.down);
        const factor = Math.hypot(local.x, local.y) / before;
        this.set({ across: start.across * factor, down: start.down * factor }, drag.gesture);
      } else {
        this.set({ across: grip.x ? across : start.across, down: grip.y ? down : start.down }, drag.gesture);
      }
    }
  }

  end() {
    const drag = this.#dragging;
    this.#dragging = null;
    if (drag && this.live !== drag.start) announce(`${capital(this.part.word)} moved`);
  }

  cancel() {
    const drag = this.#dragging;
    this.#dragging = null;
    if (drag && this.live !== drag.start) this.set(drag.start, drag.gesture);
  }

  hover(point, how) {
    const grip = this.#gripAt(point, how.touch ? 22 : 11);
    const cursors = { move: "move", turn: "grab", scale: "nwse-resize" };
    this.editor.canvas.style.cursor = grip ? cursors[grip.kind] : "pointer";
  }

  #middle(live) {
    return {
      x: (this.box.left + this.box.right) / 2 + live.x,
      y: (this.box.top + this.box.bottom) / 2 + live.y,
    };
  }

  // Corners, edges and knob of the box, in pixels of the canvas.
  #grips() {
    const { view } = this.editor;
    const middle = this.#middle(this.live);
    const place = (x, y, up = 0) => {
      const half = { x: (this.box.width / 2) * this.live.across, y: (this.box.height / 2) * this.live.down };
      const local = turned(x * half.x, y * half.y - up / view.scale, this.live.degrees);
      return view.toCanvas(middle.x + local.x, middle.y + local.y);
    };
    const around = [
      [-1, -1],
      [0, -1],
      [1, -1],
      [1, 0],
      [1, 1],
      [0, 1],
      [-1, 1],
      [-1, 0],
    ];
    const scale = around.map(([x, y]) => ({ kind: "scale", x, y, at: place(x, y) }));
    return [{ kind: "turn", at: place(0, -1, KNOB) }, ...scale];
  }

  #gripAt(point, reach) {
    if (this.part === null || this.box.empty) return null;
    const { view } = this.editor;
    const { x, y } = view.toCanvas(point.x, point.y);
    const near = this.#grips().find((grip) => Math.hypot(grip.at.x - x, grip.at.y - y) <= reach);
    if (near) return near;
    const middle = this.#middle(this.live);
    const local = turned(point.x - middle.x, point.y - middle.y, -this.live.degrees);
    const within =
      Math.abs(local.x) <= (this.box.width / 2) * this.live.across &&
      Math.abs(local.y) <= (this.box.height / 2) * this.live.down;
    return within ? { kind: "move" } : null;
  }

  draw(context) {
    if (this.part === null || this.studio.edit === null || this.box.empty) return;
    const [knob, ...grips] = this.#grips();
    context.beginPath();
    for (const { x, y, at } of grips) if (x && y) context.lineTo(at.x, at.y);
    context.closePath();
    const top = grips.find((grip) => grip.x === 0 && grip.y === -1);
    context.moveTo(top.at.x, top.at.y);
    context.lineTo(knob.at.x, knob.at.y);
    outline(context);
    for (const { kind, at } of [knob, ...grips]) {
      context.beginPath();
      if (kind === "turn") context.arc(at.x, at.y, 5.5, 0, 2 * Math.PI);
      else context.rect(at.x - 4, at.y - 4, 8, 8);
      context.fillStyle = "#fff";
      context.fill();
      outline(context);
    }
  }
}

function turned(x, y, degrees) {
  const angle = (degrees * Math.PI) / 180;
  return { x: x * Math.cos(angle) - y * Math.sin(angle), y: x * Math.sin(angle) + y * Math.cos(angle) };
}
