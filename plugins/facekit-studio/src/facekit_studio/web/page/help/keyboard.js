// Keyboard shortcuts of the whole page; those of the picture are in canvas/cursor.js.

import { announce } from "../core/announce.js";
import { byId, make } from "../core/dom.js";
import { redo, undo } from "../panels/history.js";

const TYPING = "input[type=text], input[type=number], textarea, select";
const VIEWS = ["both", "mask", "result"];
const OFF = "facekit-single-keys-off";

export async function listenToShortcuts({ studio, editor, tools, tabs, opening, saving }) {
  const dialog = byId("help");
  const { transform } = tools;
  const moving = () => studio.options.tool === "transform";

  const resize = (factor) => {
    if (moving()) {
      transform.scaleBy(factor > 1 ? 1.05 : 1 / 1.05);
      return;
    }
    const { brushSize } = studio.options;
    const next = factor > 1 ? Math.max(brushSize + 1, Math.round(brushSize * factor)) : Math.min(brushSize - 1, Math.round(brushSize * factor));
    studio.choose({ brushSize: Math.min(Math.round(studio.side / 2), Math.max(1, next)) });
    announce(`brush of ${studio.options.brushSize} pixels`);
  };
  const nextClass = (by) => {
    const { length } = studio.labelMap.classes;
    studio.choose({ classId: (studio.options.classId + by + length) % length });
    announce(studio.labelMap.wordOf(studio.options.classId));
  };
  const use = (tool) => () => studio.choose({ tool });
  const view = () => {
    const next = VIEWS[(VIEWS.indexOf(studio.options.view) + 1) % VIEWS.length];
    studio.choose({ view: next });
    announce({ both: "both", mask: "the picture to edit", result: "the result" }[next]);
  };

  const single = {
    b: use("brush"),
    f: use("fill"),
    l: use("lasso"),
    i: use("eyedropper"),
    m: use("transform"),
    h: use("hand"),
    "[": () => resize(1 / 1.2),
    "]": () => resize(1.2),
    "{": () => moving() && transform.turnBy(-2),
    "}": () => moving() && transform.turnBy(2),
    ",": () => nextClass(-1),
    ".": () => nextClass(1),
    g: () => editor.canvas.focus({ focusVisible: true }),
    "+": () => editor.zoomBy(1.25),
    "=": () => editor.zoomBy(1.25),
    "-": () => editor.zoomBy(1 / 1.25),
    0: () => editor.fit(),
    o: () => {
      studio.choose({ maskShown: !studio.options.maskShown });
      announce(studio.options.maskShown ? "mask shown" : "mask hidden");
    },
    v: view,
    c: () => {
      studio.choose({ compare: !studio.options.compare });
      announce(studio.options.compare ? "before and after" : "after");
    },
    "?": () => dialog.showModal(),
  };
  for (let number = 1; number <= 5; number += 1) single[number] = () => tabs.open(number - 1);
  const withControl = {
    z: () => undo(studio),
    Z: () => redo(studio),
    y: () => redo(studio),
    o: () => opening.openPhoto(),
    s: () => saving.picture(),
  };

  const off = byId("single-keys-off");
  off.checked = localStorage.getItem(OFF) === "1";
  off.addEventListener("change", () => localStorage.setItem(OFF, off.checked ? "1" : "0"));

  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      tools.current.cancel();
      if (moving()) transform.select(null);
      editor.redraw();
      return;
    }
    if (event.target.closest?.(TYPING) || event.altKey) return;
    const control = event.ctrlKey || event.metaKey;
    if (!control && off.checked && event.key !== "?") return;
    const key = event.shiftKey && control ? event.key.toUpperCase() : event.key;
    const action = control ? withControl[key] : (single[key] ?? single[key.toLowerCase()]);
    if (!action) return;
    event.preventDefault();
    action();
  });

  byId("open-help").addEventListener("click", () => dialog.showModal());
  byId("close-help").addEventListener("click", () => dialog.close());
  byId("shortcuts").append(...(await tables()));
}

/** The shortcuts as help shows them, from the list that documentation has too. */
async function tables() {
  const rows = await (await fetch(new URL("shortcuts.json", import.meta.url))).json();
  return [...new Set(rows.map((row) => row.group))].map((group) => {
    const lines = rows.filter((row) => row.group === group);
    const cells = lines.map(({ keys, what }) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, ...keys.split(" ").map((key) => (key === "…" ? key : make("kbd", { textContent: key })))),
        make("td", { textContent: what }),
      ),
    );
    return make("table", {}, make("caption", { textContent: group }), make("tbody", {}, ...cells));
  });
}
