// The history strip: every state of the edit, with a small picture of it. Undo and redo move in it.

import { announce, trying } from "../core/announce.js";
import { byId, make } from "../core/dom.js";

const SIDE = 56;

export function showHistory(studio, previews) {
  const strip = byId("history");
  const pictures = new Map(); // by state key
  const items = new Map();
  let edit = null;

  const pictureOf = (state) => {
    if (!pictures.has(state.key)) {
      const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": true });
      drawMask(canvas, state.ids, studio);
      pictures.set(state.key, canvas);
    }
    return pictures.get(state.key);
  };

  const itemOf = (state) => {
    if (!items.has(state.key)) {
      const word = make("span", { textContent: state.label });
      const button = make("button.moment", { type: "button", title: state.label }, pictureOf(state), word);
      button.addEventListener("click", () => edit.go(edit.states.indexOf(state)));
      items.set(state.key, make("li", {}, button));
    }
    return items.get(state.key);
  };

  const show = () => {
    if (edit !== studio.edit) {
      pictures.clear();
      items.clear();
      ({ edit } = studio);
    }
    if (edit === null) {
      strip.replaceChildren();
      return;
    }
    const { states, position } = edit;
    const kept = new Set(states.map((state) => state.key));
    for (const key of [...items.keys()]) {
      if (kept.has(key)) continue;
      items.delete(key);
      pictures.delete(key);
    }
    const wanted = states.map(itemOf);
    const same = wanted.length === strip.children.length && wanted.every((item, index) => item === strip.children[index]);
    if (!same) strip.replaceChildren(...wanted);
    wanted.forEach((item, index) => {
      const button = item.firstElementChild;
      item.classList.toggle("undone", index > position);
      if (index === position) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const current = wanted[position];
    strip.scrollLeft = current.offsetLeft + current.offsetWidth / 2 - strip.clientWidth / 2;
    byId("undo").disabled = position === 0;
    byId("redo").disabled = position === states.length - 1;
  };

  studio.addEventListener("edit", show);
  studio.addEventListener("state", show);
  previews.addEventListener("generated", ({ detail }) => {
    const canvas = detail.state && pictures.get(detail.state.key);
    if (canvas && detail.blob && detail.run === studio.options.run) trying(() => drawPicture(canvas, detail.blob));
  });

  byId("undo").addEventListener("click", () => undo(studio));
  byId("redo").addEventListener("click", () => redo(studio));
}

export function undo(studio) {
  const { edit } = studio;
  const { label } = edit?.current ?? {};
  announce(edit?.undo() ? `undone: ${label}` : "nothing to undo");
}

export function redo(studio) {
  const { edit } = studio;
  announce(edit?.redo() ? `done again: ${edit.current.label}` : "nothing to redo");
}

function drawMask(canvas, ids, { side, labelMap }) {
  const picture = new ImageData(SIDE, SIDE);
  const words = new Uint32Array(picture.data.buffer);
  for (let row = 0; row < SIDE; row += 1) {
    for (let column = 0; column < SIDE; column += 1) {
      const place = Math.floor(((row + 0.5) * side) / SIDE) * side + Math.floor(((column + 0.5) * side) / SIDE);
      words[row * SIDE + column] = labelMap.colours[ids[place]];
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

async function drawPicture(canvas, blob) {
  const picture = await createImageBitmap(blob);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, SIDE, SIDE);
  picture.close();
}
