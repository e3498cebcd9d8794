// Which pixels of a square mask a brush, a lasso or a fill means. All of it works on class ids and on flat arrays of
// 0 and 1, row by row; colours are for the eye only and never read back.

/** The part of a mask that something touched: `left` and `top` inside, `right` and `bottom` outside. */
export class Box {
  constructor(left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity) {
    Object.assign(this, { left, top, right, bottom });
  }

  static whole(side) {
    return new Box(0, 0, side, side);
  }

  get empty() {
    return this.right <= this.left || this.bottom <= this.top;
  }

  get width() {
    return this.right - this.left;
  }

  get height() {
    return this.bottom - this.top;
  }

  include(other) {
    this.left = Math.min(this.left, other.left);
    this.top = Math.min(this.top, other.top);
    this.right = Math.max(this.right, other.right);
    this.bottom = Math.max(this.bottom, other.bottom);
    return this;
  }
}

/** Where a brush of a whole diameter sits so that it covers as many pixels across: centres for odd ones, else corners. */
export function snapped(value, diameter) {
  return diameter % 2 ? Math.floor(value) + 0.5 : Math.round(value);
}

/**
 * Marks the pixels whose middle lies under a round brush that goes from one point to another.
 * Points are in pixels, (0, 0) being the corner of the first one.
 */
export function markStroke(marks, side, from, to, diameter) {
  const [x0, y0] = [snapped(from.x, diameter), snapped(from.y, diameter)];
  const [x1, y1] = [snapped(to.x, diameter), snapped(to.y, diameter)];
  const reach = (diameter / 2) ** 2 + 1e-6;
  const radius = diameter / 2;
  const box = new Box(
    Math.max(0, Math.floor(Math.min(x0, x1) - radius)),
    Math.max(0, Math.floor(Math.min(y0, y1) - radius)),
    Math.min(side, Math.ceil(Math.max(x0, x1) + radius)),
    Math.min(side, Math.ceil(Math.max(y0, y1) + radius)),
  );
  const [alongX, alongY] = [x1 - x0, y1 - y0];
  const length = alongX ** 2 + alongY ** 2;
  for (let row = box.top; row < box.bottom; row += 1) {
    for (let column = box.left; column < box.right; column += 1) {
      const [x, y] = [column + 0.5 - x0, row + 0.5 - y0];
      const share = length === 0 ? 0 : Math.min(1, Math.max(0, (x * alongX + y * alongY) / length));
      if ((x - share * alongX) ** 2 + (y - share * alongY) ** 2 <= reach) marks[row * side + column] = 1;
    }
  }
  return box;
}

/** Marks the inside of a closed line (even-odd), and the line itself. */
export function markPolygon(marks, side, points) {
  const box = new Box();
  points.forEach((point, index) => {
    box.include(markStroke(marks, side, point, points[(index + 1) % points.length], 1));
  });
  for (let row = Math.max(0, box.top); row < Math.min(side, box.bottom); row += 1) {
    const y = row + 0.5;
    const crossings = [];
    points.forEach((point, index) => {
      const next = points[(index + 1) % points.length];
      if (point.y <= y !== next.y <= y) {
        crossings.push(point.x + ((y - point.y) / (next.y - point.y)) * (next.x - point.x));
      }
    });
    crossings.sort((one, other) => one - other);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const first = Math.max(0, Math.ceil(crossings[pair] - 0.5));
      const last = Math.min(side - 1, Math.floor(crossings[pair + 1] - 0.5));
      for (let column = first; column <= last; column += 1) marks[row * side + column] = 1;
    }
  }
  return box;
}

/** Marks all that hangs together with a pixel in one class; neighbours share an edge. */
export function markFlood(marks, ids, side, column, row) {
  const wanted = ids[row * side + column];
  const waiting = [row * side + column];
  const box = new Box();
  while (waiting.length) {
    const place = waiting.pop();
    if (marks[place] || ids[place] !== wanted) continue;
    const y = Math.floor(place / side);
    let left = place;
    while (left > y * side && ids[left - 1] === wanted && !marks[left - 1]) left -= 1;
    let right = place;
    while (right + 1 < (y + 1) * side && ids[right + 1] === wanted && !marks[right + 1]) right += 1;
    for (let each = left; each <= right; each += 1) {
      marks[each] = 1;
      if (y > 0) waiting.push(each - side);
      if (y + 1 < side) waiting.push(each + side);
    }
    box.include(new Box(left - y * side, y, right + 1 - y * side, y + 1));
  }
  return box;
}

/** The runs of marked pixels, as edit scripts write them: `start+length`, row by row. */
export function runsOf(marks) {
  const runs = [];
  for (let place = 0; place < marks.length; place += 1) {
    if (!marks[place]) continue;
    const start = place;
    while (place + 1 < marks.length && marks[place + 1]) place += 1;
    runs.push(`${start}+${place + 1 - start}`);
  }
  return runs.join(" ");
}

/** What the pixels of some classes span; an empty box where there are none. */
export function extentOf(ids, side, classes) {
  const wanted = new Set(classes);
  const box = new Box();
  for (let place = 0; place < ids.length; place += 1) {
    if (!wanted.has(ids[place])) continue;
    const column = place % side;
    const row = (place - column) / side;
    if (column < box.left) box.left = column;
    if (column >= box.right) box.right = column + 1;
    if (row < box.top) box.top = row;
    if (row >= box.bottom) box.bottom = row + 1;
  }
  return box;
}

/** How many pixels each class has. */
export function countsOf(ids) {
  const counts = new Uint32Array(256);
  for (const identity of ids) counts[identity] += 1;
  return counts;
}

/** Whether two masks are the same. */
export function same(one, other) {
  return one.length === other.length && one.every((identity, place) => identity === other[place]);
}

/** The operations that turn one mask into another, one for each class that appears. */
export function operationsBetween(before, after, side, labelMap) {
  return labelMap.classes.flatMap(({ id, name }) => {
    const marks = new Uint8Array(after.length);
    let some = false;
    for (let place = 0; place < after.length; place += 1) {
      if (after[place] === id && before[place] !== id) {
        marks[place] = 1;
        some = true;
      }
    }
    return some ? [setRuns(name, marks, side)] : [];
  });
}

/** The operation of edit scripts that gives marked pixels a class. */
export function setRuns(region, marks, side, only = null) {
  const operation = { do: "set", region, runs: { size: [side, side], runs: runsOf(marks) } };
  return only === null ? operation : { ...operation, only };
}
