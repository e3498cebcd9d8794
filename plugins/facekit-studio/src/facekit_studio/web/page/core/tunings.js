// Runs that are tuned to faces. The server tunes; the page asks how far it is.

import { ServerError, server } from "./server.js";

const AGAIN = 500; // milliseconds between questions
const NOTHING = Object.freeze({ state: "none", done: 0, steps: 0, note: "", error: null });

const keyOf = (run, face) => `${run} ${face}`;

/** Events: `tunings`, with `{run, face, state}`; `state` is `none`, `tuning`, `tuned` or `failed`. */
export class Tunings extends EventTarget {
  #known = new Map();

  of(run, face) {
    return this.#known.get(keyOf(run, face)) ?? NOTHING;
  }

  /** Whether a run paints a face as it is tuned to it. */
  has(run, face) {
    return this.of(run, face).state === "tuned";
  }

  /** Tunes a run to a face, and returns when it is done, or given up. Throws what the server refuses. */
  async begin(run, face) {
    this.#set(run, face, await server.tune(run, face));
    while (this.of(run, face).state === "tuning") {
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
      if (this.of(run, face).state !== "tuning") return;
      let told;
      try {
        told = await server.tuning(run, face);
      } catch (error) {
        if (error instanceof ServerError) this.#set(run, face, { ...NOTHING, state: "failed", error });
        throw error;
      }
      if (this.of(run, face).state === "tuning") this.#set(run, face, told);
    }
  }

  /** Gives up tuning, or takes it back. */
  async forget(run, face) {
    await server.forgetTuning(run, face);
    this.#set(run, face, NOTHING);
  }

  /** Forgets a face that is gone, or has another mask. */
  drop(face) {
    for (const key of [...this.#known.keys()].filter((each) => each.endsWith(` ${face}`))) this.#known.delete(key);
  }

  #set(run, face, told) {
    this.#known.set(keyOf(run, face), told);
    this.dispatchEvent(new CustomEvent("tunings", { detail: { run, face, state: told.state } }));
  }
}
