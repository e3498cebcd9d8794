// Tells people what happened: to screen readers in a live region, to all in a note that goes away.

import { byId, icon, make } from "./dom.js";
import { ServerError } from "./server.js";

const SHOWN = 6000;
const MOST_NOTES = 3;

/** Says something to screen readers when they have time. */
export function announce(text) {
  const region = byId("live");
  // The same words twice are told twice.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

/** Shows a note that goes away by itself. */
export function note(text) {
  show(text, "status");
  announce(text);
}

/** Shows a note that stays until it is closed: what failed, and what to do. */
export function complain(error) {
  if (!(error instanceof ServerError)) console.error(error);
  const text = error instanceof ServerError ? error.told : `this is a defect of the page: ${error.message}`;
  show(text, "alert", (error.problems ?? []).slice(0, 8));
}

function show(text, role, problems = []) {
  const close = make("button.quiet", { type: "button", "aria-label": "Close this note" }, icon("close"));
  const lines = problems.map(({ line, column, message, remedy }) =>
    make("li", { textContent: `line ${line}, column ${column}: ${message}${remedy ? `; ${remedy}` : ""}` }),
  );
  const body = make("div", {}, make("p", { textContent: text }), lines.length ? make("ul", {}, ...lines) : null);
  // The live region says notes; only what failed interrupts.
  const element = make("div.note", { role: role === "alert" ? "alert" : null, data: { kind: role } }, body, close);
  close.addEventListener("click", () => element.remove());
  const notes = byId("notes");
  notes.append(element);
  while (notes.children.length > MOST_NOTES) notes.firstElementChild.remove();
  if (role !== "alert") setTimeout(() => element.remove(), SHOWN);
}

/** Runs something that may fail, and shows what failed. */
export async function trying(action) {
  try {
    return await action();
  } catch (error) {
    complain(error);
    return undefined;
  }
}
