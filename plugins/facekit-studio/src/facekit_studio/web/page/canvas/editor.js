// Draws what is edited: the photo (or the last result), the mask's colours over it, and what the tool shows.

import { announce, trying } from "../core/announce.js";
import { framed } from "../core/dom.js";
import { Box } from "../core/pixels.js";
import { View } from "./view.js";

const GRID_FROM = 9; // CSS pixels a mask pixel has when lines between them help
const FLASHES = 4;

export class Editor {
  #context;
  #mask; // a canvas of the mask's own size, in the label map's colours
  #colours; // its pixels
  #photo = null;
  #results = new Map();
  #flash = null;

  constructor(studio, canvas) {
    Object.assign(this, { studio, canvas, tool: null, cursor: null, pointer: null });
    this.view = new View(studio.side);
    this.#context = canvas.getContext("2d");
    this.#mask = new OffscreenCanvas(studio.side, studio.side);
    this.#colours = new ImageData(studio.side, studio.side);
    this.redraw = framed(() => this.#draw());
    new ResizeObserver(() => this.#resize()).observe(canvas);
    studio.addEventListener("edit", () => trying(() => this.#open()));
    studio.addEventListener("ids", (event) => this.#colour(event.detail.box));
    studio.addEventListener("options", this.redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.redraw);
  }

  /** Takes the picture that a run generated, for those who paint over results. */
  async setResult(run, blob) {
    this.#results.set(run, await createImageBitmap(blob));
    this.redraw();
  }

  /** Lets the pixels of classes flash. */
  flash(ids) {
    const steady = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const flash = { ids: new Set(ids), on: true, left: steady ? 1 : 2 * FLASHES };
    this.#flash = flash;
    const next = () => {
      if (this.#flash !== flash) return;
      flash.left -= 1;
      flash.on = !flash.on;
      if (flash.left <= 0) this.#flash = null;
      this.redraw();
      if (this.#flash) setTimeout(next, 220);
    };
    setTimeout(next, steady ? 1500 : 220);
    this.redraw();
  }

  zoomBy(factor, x, y) {
    this.view.zoomBy(factor, x, y);
    this.redraw();
    this.canvas.dispatchEvent(new CustomEvent("zoomed"));
  }

  fit() {
    this.view.fit();
    this.redraw();
    this.canvas.dispatchEvent(new CustomEvent("zoomed"));
    announce("zoomed to fit");
  }

  pan(x, y) {
    this.view.pan(x, y);
    this.redraw();
  }

  /** The pixel (column, row) at a point; null outside the mask. */
  pixelAt(point) {
    const [column, row] = [Math.floor(point.x), Math.floor(point.y)];
    const { side } = this.studio;
    return column < 0 || row < 0 || column >= side || row >= side ? null : { column, row };
  }

  async #open() {
    const { face } = this.studio;
    this.#photo = null;
    this.#results.clear();
    this.#colour(null);
    const photo = await createImageBitmap(await this.studio.fileOf(face.id));
    if (this.studio.face === face) this.#photo = photo;
    this.redraw();
  }

  #resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = devicePixelRatio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.view.resize(width, height);
    this.#draw();
  }

  #colour(box) {
    const { edit, side, labelMap } = this.studio;
    if (edit === null) {
      this.redraw();
      return;
    }
    const part = box ?? Box.whole(side);
    if (part.empty) return;
    const words = new Uint32Array(this.#colours.data.buffer);
    const { ids } = edit;
    for (let row = part.top; row < part.bottom; row += 1) {
      for (let place = row * side + part.left; place < row * side + part.right; place += 1) {
        words[place] = labelMap.colours[ids[place]];
      }
    }
    this.#mask.getContext("2d").putImageData(this.#colours, 0, 0, part.left, part.top, part.width, part.height);
    this.redraw();
  }

  #backdrop() {
    const { backdrop, run } = this.studio.options;
    if (backdrop === "none") return null;
    return backdrop === "result" ? (this.#results.get(run) ?? this.#photo) : this.#photo;
  }

  #draw() {
    const { view, studio } = this;
    const context = this.#context;
    const ratio = this.canvas.width / view.width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    const length = studio.side * view.scale;
    const backdrop = this.#backdrop();
    if (backdrop) {
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(backdrop, view.x, view.y, length, length);
    }
    if (studio.edit && studio.options.maskShown) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = studio.options.backdrop === "none" ? 1 : studio.options.opacity;
      context.drawImage(this.#mask, view.x, view.y, length, length);
      context.globalAlpha = 1;
    }
    if (view.scale >= GRID_FROM) this.#drawGrid(context);
    if (this.#flash?.on) this.#drawFlash(context);
    this.tool?.draw?.(context, view);
    if (this.cursor) this.#drawCursor(context);
  }

  #drawGrid(context) {
    const { view, studio } = this;
    const first = view.toMask(0, 0);
    const last = view.toMask(view.width, view.height);
    context.beginPath();
    for (let column = Math.max(0, Math.ceil(first.x)); column <= Math.min(studio.side, last.x); column += 1) {
      const { x } = view.toCanvas(column, 0);
      context.moveTo(x, 0);
      context.lineTo(x, view.height);
    }
    for (let row = Math.max(0, Math.ceil(first.y)); row <= Math.min(studio.side, last.y); row += 1) {
      const { y } = view.toCanvas(0, row);
      context.moveTo(0, y);
      context.lineTo(view.width, y);
    }
    context.strokeStyle = "rgb(128 128 128 / 0.22)";
    context.lineWidth = 1;
    context.stroke();
  }

  #drawFlash(context) {
    const { edit, side } = this.studio;
    if (edit === null) return;
    const { view } = this;
    context.fillStyle = "rgb(255 255 255 / 0.85)";
    for (let place = 0; place < edit.ids.length; place += 1) {
      if (!this.#flash.ids.has(edit.ids[place])) continue;
      const { x, y } = view.toCanvas(place % side, Math.floor(place / side));
      context.fillRect(x, y, view.scale + 0.5, view.scale + 0.5);
    }
  }

  #drawCursor(context) {
    const { x, y } = this.view.toCanvas(this.cursor.x, this.cursor.y);
    const arm = 13;
    const gap = 4;
    for (const [colour, width] of [
      ["#000", 4],
      ["#fff", 2],
    ]) {
      context.beginPath();
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ]) {
        context.moveTo(x + gap * dx, y + gap * dy);
        context.lineTo(x + arm * dx, y + arm * dy);
      }
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }
}

/** Draws a line that is seen on light and on dark ground. */
export function outline(context, { dashed = false } = {}) {
  context.setLineDash([]);
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 0.6)";
  context.stroke();
  if (dashed) context.setLineDash([5, 4]);
  context.lineWidth = 1.25;
  context.strokeStyle = "#fff";
  context.stroke();
  context.setLineDash([]);
}
