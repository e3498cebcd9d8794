// The bar above the picture: options of the tool, and how picture and mask are shown.

import { byId, choice, make, slider, tick } from "../core/dom.js";
import { capital } from "../core/label_map.js";

const VIEWS = [
  ["mask", "Edit"],
  ["both", "Both"],
  ["result", "Result"],
];

export function showOptions(studio, editor, tools) {
  const size = slider({
    label: "Size",
    min: 1,
    max: Math.round(studio.side / 2),
    step: 1,
    value: studio.options.brushSize,
    shown: (value) => `${value} px`,
    oninput: (brushSize) => studio.choose({ brushSize }),
  });
  size.element.classList.add("for-brush");
  const only = choice({ label: "Over", options: [], value: "", onchange: (value) => studio.choose({ only: value }) });
  only.element.classList.add("for-painting");
  const opacity = slider({
    label: "Mask",
    min: 0,
    max: 1,
    step: 0.05,
    value: studio.options.opacity,
    shown: (value) => `${Math.round(100 * value)} %`,
    oninput: (value) => studio.choose({ opacity: value, maskShown: true }),
  });
  const backdrop = choice({
    label: "On",
    options: [
      ["photo", "photo"],
      ["result", "result"],
      ["none", "nothing"],
    ],
    value: studio.options.backdrop,
    onchange: (value) => studio.choose({ backdrop: value }),
  });
  for (const { element } of [opacity, backdrop]) element.classList.add("for-ground");
  const transform = transformFields(studio, editor, tools.transform);
  byId("tool-options").append(size.element, only.element, transform, opacity.element, backdrop.element);

  const views = VIEWS.map(([view, word]) =>
    make("button", { type: "button", textContent: word, data: { view }, onclick: () => studio.choose({ view }) }),
  );
  byId("views").append(...views);
  const compare = tick({ label: "Before/after", onchange: (on) => studio.choose({ compare: on }) });
  const putBack = tick({ label: "In the photo", checked: true, onchange: (on) => studio.choose({ putBack: on }) });
  putBack.element.title = "Changes only what the edit changes, as the exported picture does";
  byId("view-options").append(compare.element, putBack.element);
  byId("showing").append(...runTicks(studio));

  let overs = null;
  const show = () => {
    const { options, labelMap } = studio;
    size.set(options.brushSize);
    opacity.set(options.maskShown ? options.opacity : 0);
    backdrop.input.value = options.backdrop;
    compare.input.checked = options.compare;
    putBack.input.checked = options.putBack;
    if (overs !== labelMap) {
      overs = labelMap;
      only.fill([["", "all classes"], ...labelMap.classes.map(({ name, word }) => [name, word])], options.only);
    }
    only.input.value = options.only;
    byId("tool-options").dataset.tool = options.tool;
    for (const button of views) button.setAttribute("aria-pressed", String(button.dataset.view === options.view));
  };
  studio.addEventListener("options", show);
  studio.addEventListener("edit", show);
  show();

  const zoom = byId("zoom");
  const tellZoom = () => {
    zoom.textContent = `${Math.round(100 * editor.view.zoom)} %`;
  };
  editor.canvas.addEventListener("zoomed", tellZoom);
  byId("zoom-in").addEventListener("click", () => editor.zoomBy(1.5));
  byId("zoom-out").addEventListener("click", () => editor.zoomBy(1 / 1.5));
  zoom.addEventListener("click", () => editor.fit());
  tellZoom();
}

function runTicks(studio) {
  if (studio.runs.length < 2) return [];
  const boxes = studio.runs.map((run) =>
    tick({
      label: run.id,
      checked: true,
      onchange: (on) => {
        const kept = studio.options.shownRuns.filter((id) => id !== run.id);
        const shown = on ? [...kept, run.id] : kept;
        studio.choose({ shownRuns: studio.runs.map((each) => each.id).filter((id) => shown.includes(id)) });
      },
    }),
  );
  return [make("fieldset.runs", {}, make("legend", { textContent: "Runs" }), ...boxes.map((box) => box.element))];
}

function transformFields(studio, editor, transform) {
  const part = choice({ label: "Part", options: [], value: "", onchange: (key) => transform.select(key || null) });
  const number = (label, unit, step, read, write) => {
    const input = make("input", {
      type: "number",
      step,
      "aria-label": `${label}, ${unit}`,
      onchange: () => input.value !== "" && transform.set(write(Number(input.value))),
    });
    return { input, read, element: make("label.number", {}, make("span", { textContent: label, "aria-hidden": true }), input) };
  };
  const fields = [
    number("→", "pixels to the right", 1, (live) => live.x, (x) => ({ x })),
    number("↓", "pixels down", 1, (live) => live.y, (y) => ({ y })),
    number("W%", "width in percent", 1, (live) => Math.round(100 * live.across), (value) => ({ across: value / 100 })),
    number("H%", "height in percent", 1, (live) => Math.round(100 * live.down), (value) => ({ down: value / 100 })),
    number("°", "degrees clockwise", 1, (live) => Math.round(live.degrees), (degrees) => ({ degrees })),
  ];
  let parts = null;
  const show = () => {
    if (parts !== studio.labelMap) {
      parts = studio.labelMap;
      part.fill([["", "click a part"], ...parts.parts.map(({ key, word }) => [key, capital(word)])], "");
    }
    part.input.value = transform.part?.key ?? "";
    for (const { input, read } of fields) {
      input.disabled = transform.part === null;
      if (document.activeElement !== input) input.value = transform.part === null ? "" : read(transform.live);
    }
  };
  editor.canvas.addEventListener("transformed", show);
  return make("div.transform.for-transform", {}, part.element, ...fields.map((field) => field.element));
}
