// Asks the runs to paint what is shown: soon after it changed, the newest only, one picture at a time for each run.

import { ServerError, packed, server } from "../core/server.js";

const SOON = 70; // milliseconds without a change
const LATEST = 220; // while changes go on
const AGAIN = 1000; // when the server is busy

const client = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");

/** Paints for one run. */
class TinyGenerator {
  #wanted = null;
  #busy = false;
  #sequence = 0;

  constructor(tell) {
    this.tell = tell;
  }

  want(wanted) {
    this.#wanted = wanted;
    if (!this.#busy) this.#work();
  }

  async #work() {
    this.#busy = true;
    try {
      await this.#paint();
    } finally {
      this.#busy = false;
    }
  }

  async #paint() {
    while (this.#wanted !== null) {
      const wanted = this.#wanted;
      this.#wanted = null;
      this.#sequence += 1;
      const start = performance.now();
      try {
        const body = { ...wanted.body(), client, sequence: this.#sequence };
        const generated = await server.preview(body);
        this.tell({ ...wanted, ...generated, waited: performance.now() - start, newest: this.#wanted === null });
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        if (error.status === 503) {
          await new Promise((resolve) => setTimeout(resolve, AGAIN));
          this.#wanted ??= wanted;
        } else if (error.status !== 409 || this.#wanted === null) {
          this.tell({ ...wanted, error, newest: this.#wanted === null });
        }
      }
    }
  }
}

/**
 * Events: `painting` and `generated`, with `{run, state, tuned, blob, milliseconds, local, waited, newest}` or `{run, error,
 * newest}`; `newest` is false where another picture follows.
 */
export class Previews extends EventTarget {
  #generators = new Map();
  #timer = null;
  #since = null;

  constructor(studio) {
    super();
    this.studio = studio;
    for (const name of ["edit", "ids"]) studio.addEventListener(name, () => this.#soon());
    studio.tunings.addEventListener("tunings", ({ detail }) => {
      if (detail.state !== "tuning" && detail.face === studio.face?.id) this.#soon();
    });
    let before = studio.options;
    studio.addEventListener("options", () => {
      const { options } = studio;
      if (options.putBack !== before.putBack || options.shownRuns !== before.shownRuns) this.#soon();
      before = options;
    });
  }

  #soon() {
    const now = performance.now();
    this.#since ??= now;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), Math.max(0, Math.min(SOON, this.#since + LATEST - now)));
  }

  #ask() {
    this.#since = null;
    const { studio } = this;
    const { edit, face, side } = studio;
    if (edit === null) return;
    const { ids, current } = edit;
    const shown = ids === current.ids ? ids : ids.slice(); // a stroke goes on painting on its ids
    let mask = null; // packed once for all runs
    for (const run of studio.runs) {
      if (!studio.options.shownRuns.includes(run.id)) continue;
      if (!this.#generators.has(run.id)) {
        this.#generators.set(run.id, new TinyGenerator((told) => this.#tell("generated", told)));
      }
      // A run that fills holes paints nothing but what it puts back.
      const into = studio.options.putBack || run.inputs.includes("hole") ? face.id : null;
      const own = into === null ? { face: face.id, blends: [] } : null;
      const look = run.inputs.includes("reference") ? (studio.wantedLook(current.look) ?? own) : null;
      const tuned = studio.tunings.has(run.id, face.id);
      const body = () => {
        mask ??= packed(shown, side);
        return { run: run.id, mask, label_map: face.label_map, look, into, tuned: tuned ? face.id : null };
      };
      this.#tell("painting", { run: run.id });
      this.#generators.get(run.id).want({ run: run.id, face, tuned, state: ids === current.ids ? current : null, body });
    }
  }

  #tell(name, detail) {
    if (name === "generated" && detail.face !== this.studio.face) return;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
