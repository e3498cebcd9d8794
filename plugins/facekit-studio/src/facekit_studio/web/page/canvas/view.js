// Where the square lies on the canvas: zoom and pan.

const MOST_ZOOM = 24;

export class View {
  constructor(side) {
    this.side = side;
    this.width = 1;
    this.height = 1;
    this.fit();
  }

  /** CSS pixels a mask pixel has where the square just fits. */
  get fitting() {
    return Math.min(this.width, this.height) / this.side;
  }

  get zoom() {
    return this.scale / this.fitting;
  }

  get fitted() {
    return Math.abs(this.zoom - 1) < 1e-6;
  }

  fit() {
    this.scale = this.fitting;
    this.x = (this.width - this.side * this.scale) / 2;
    this.y = (this.height - this.side * this.scale) / 2;
  }

  resize(width, height) {
    const fitted = this.fitted;
    const middle = this.toMask(this.width / 2, this.height / 2);
    const { zoom } = this;
    Object.assign(this, { width: Math.max(1, width), height: Math.max(1, height) });
    if (fitted) {
      this.fit();
    } else {
      this.scale = zoom * this.fitting;
      this.x = this.width / 2 - middle.x * this.scale;
      this.y = this.height / 2 - middle.y * this.scale;
      this.#keep();
    }
  }

  toMask(x, y) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  toCanvas(x, y) {
    return { x: this.x + x * this.scale, y: this.y + y * this.scale };
  }

  /** Zooms by a factor about a point of the canvas that stays where it is. */
  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    if (zoom === 1) {
      this.fit();
      return;
    }
    const place = this.toMask(x, y);
    this.scale = zoom * this.fitting;
    this.x = x - place.x * this.scale;
    this.y = y - place.y * this.scale;
    this.#keep();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.#keep();
  }

  /** Moves so that a point of the mask is seen. */
  reveal(x, y) {
    const margin = Math.min(40, this.width / 8);
    const place = this.toCanvas(x, y);
    this.pan(
      Math.max(0, margin - place.x) + Math.min(0, this.width - margin - place.x),
      Math.max(0, margin - place.y) + Math.min(0, this.height - margin - place.y),
    );
  }

  // The square covers the canvas where it is larger, and is in the middle where it is smaller.
  #keep() {
    const kept = (offset, room) => {
      const length = this.side * this.scale;
      return length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, offset));
    };
    this.x = kept(this.x, this.width);
    this.y = kept(this.y, this.height);
  }
}
