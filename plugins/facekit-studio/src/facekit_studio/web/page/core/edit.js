// One face's edit: every state it went through, each with its class ids and the operations that lead to them.

const MOST_STATES = 400;

let count = 0;

/**
 * A state of an edit. It never changes, so that undo is exact.
 *
 * `operations` lead from the face's own mask to `ids`. `look` is null for the face's own, else
 * `{reference: face or null, blends: [{face, amount, regions}]}`; a blend without regions is of all of them. `session` says which control made the state, from which
 * `base`, so that the control can be adjusted further without piling up operations.
 */
export class EditState {
  constructor({ ids, operations, look = null, label, session = null }) {
    count += 1;
    Object.assign(this, { key: count, ids, operations, look, label, session });
    Object.freeze(this);
  }
}

export class Edit extends EventTarget {
  #states;
  #position = 0;
  #working = null;

  constructor(face, ids, side) {
    super();
    Object.assign(this, { face, side });
    this.#states = [new EditState({ ids, operations: [], label: "Opened" })];
  }

  get states() {
    return this.#states;
  }

  get position() {
    return this.#position;
  }

  get current() {
    return this.#states[this.#position];
  }

  get start() {
    return this.#states[0];
  }

  get dirty() {
    return this.current.operations.length > 0 || this.current.look !== null;
  }

  /** The class ids that are shown: those of the stroke under way, or of the current state. */
  get ids() {
    return this.#working ?? this.current.ids;
  }

  /** Begins a stroke and returns a copy of the ids to paint on; `touched` tells what changed. */
  begin() {
    this.#working = this.current.ids.slice();
    return this.#working;
  }

  touched(box) {
    this.dispatchEvent(new CustomEvent("ids", { detail: { box } }));
  }

  /** Gives a stroke up. */
  cancel() {
    if (this.#working === null) return;
    this.#working = null;
    this.touched(null);
  }

  /** Adds a state after the current one; what was undone is gone. */
  push(values) {
    this.#working = null;
    const kept = this.#states.slice(0, this.#position + 1);
    // The first state is kept: it is the face as it was opened.
    if (kept.length >= MOST_STATES) kept.splice(1, 1);
    this.#states = [...kept, new EditState(values)];
    this.#position = this.#states.length - 1;
    this.#changed();
  }

  /** Puts a state in the place of the current one. */
  amend(values) {
    this.#working = null;
    this.#states = [...this.#states.slice(0, this.#position), new EditState(values)];
    this.#changed();
  }

  go(position) {
    const wanted = Math.min(Math.max(position, 0), this.#states.length - 1);
    this.#working = null;
    if (wanted === this.#position) return false;
    this.#position = wanted;
    this.#changed();
    return true;
  }

  undo() {
    return this.go(this.#position - 1);
  }

  redo() {
    return this.go(this.#position + 1);
  }

  #changed() {
    this.dispatchEvent(new CustomEvent("state"));
    this.touched(null);
  }
}

/** A look without operations is the face's own. */
export function tidyLook(look) {
  return look === null || (look.reference === null && look.blends.length === 0) ? null : look;
}
