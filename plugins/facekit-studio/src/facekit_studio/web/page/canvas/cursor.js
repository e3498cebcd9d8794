// Painting by keyboard: arrows move a cross, Space paints while it is held, Enter puts the brush down and lifts it.

import { announce } from "../core/announce.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAR = 8;

export function listenToKeys(editor, tools, studio) {
  const { canvas } = editor;
  let held = false; // Space
  let down = false; // the brush
  let last = null; // where the cross was when the picture was left

  const begin = () => {
    const { alone } = tools.current;
    down = tools.begin(editor.cursor, { shift: false, alt: false, touch: false }) && !alone;
    if (alone) tools.current.end();
  };
  const lift = () => {
    down = false;
    tools.current.end();
  };

  const appear = () => {
    if (editor.cursor) return;
    const { x, y } = last ?? editor.pointer ?? { x: studio.side / 2, y: studio.side / 2 };
    editor.cursor = { x: Math.floor(x) + 0.5, y: Math.floor(y) + 0.5 };
  };

  const where = () => {
    const pixel = editor.pixelAt(editor.cursor);
    const id = studio.edit?.ids[pixel.row * studio.side + pixel.column];
    const word = id === undefined ? "" : `, ${studio.labelMap.wordOf(id)}`;
    announce(`column ${pixel.column}, row ${pixel.row}${word}`);
  };

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow && studio.edit) {
      event.preventDefault();
      const steps = event.shiftKey ? FAR : 1;
      if (tools.current.nudge) {
        tools.current.nudge(arrow[0] * steps, arrow[1] * steps);
        return;
      }
      appear();
      const moved = (value, by) => Math.min(studio.side - 0.5, Math.max(0.5, value + by * steps));
      editor.cursor = { x: moved(editor.cursor.x, arrow[0]), y: moved(editor.cursor.y, arrow[1]) };
      if (down) tools.current.move(editor.cursor, { shift: false, alt: false, touch: false });
      editor.view.reveal(editor.cursor.x, editor.cursor.y);
      where();
    } else if ((event.key === " " || event.key === "Enter") && studio.edit) {
      event.preventDefault();
      if (event.repeat || tools.current.nudge) return;
      appear();
      if (event.key === " ") {
        held = true;
        if (!down) begin();
      } else if (down) {
        lift();
        announce("brush lifted");
      } else {
        begin();
        if (down) announce("brush down; arrows paint, Enter lifts it");
      }
    } else if (event.key === "Escape" && down) {
      event.stopPropagation();
      down = false;
      tools.current.cancel();
      announce("given up");
    }
    editor.redraw();
  });

  canvas.addEventListener("keyup", (event) => {
    if (event.key === " " && held) {
      held = false;
      if (down) lift();
      editor.redraw();
    }
  });

  canvas.addEventListener("pointerdown", () => {
    last = null; // the cross appears where the mouse was
  });

  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible") && !tools.current.nudge) appear();
    editor.redraw();
  });
  canvas.addEventListener("blur", () => {
    if (down) lift();
    held = false;
    last = editor.cursor ?? last;
    editor.cursor = null;
    editor.redraw();
  });
}
