// The panel of classes: what the tools paint.

import { byId, make } from "../core/dom.js";
import { capital } from "../core/label_map.js";
import { countsOf } from "../core/pixels.js";

export function showClasses(studio) {
  const list = byId("classes");
  let labelMap = null;

  const build = () => {
    ({ labelMap } = studio);
    list.replaceChildren(
      ...labelMap.classes.map(({ id, name, word, colour }) => {
        const input = make("input.unseen", {
          type: "radio",
          name: "class",
          value: String(id),
          onchange: () => studio.choose({ classId: id }),
        });
        const swatch = make("span.swatch", { "aria-hidden": true });
        swatch.style.setProperty("--colour", `rgb(${colour.join(" ")})`);
        const share = make("span.share", { "aria-hidden": true });
        return make(
          "label.class",
          { data: { class: name }, title: `${name}, class ${id}` },
          input,
          swatch,
          make("span.word", { textContent: capital(word) }),
          share,
        );
      }),
    );
  };

  const choose = () => {
    if (labelMap !== studio.labelMap) build();
    const { classId } = studio.options;
    for (const input of list.querySelectorAll("input")) {
      const chosen = Number(input.value) === classId;
      if (chosen && !input.checked) reveal(input.closest("label"), byId("panel-paint"));
      input.checked = chosen;
    }
  };

  const count = () => {
    if (studio.edit === null) return;
    const counts = countsOf(studio.edit.ids);
    const all = studio.side ** 2;
    list.querySelectorAll(".share").forEach((share, id) => {
      const percent = (100 * counts[id]) / all;
      share.textContent = counts[id] === 0 ? "–" : percent < 0.1 ? "<0.1 %" : `${percent.toFixed(1)} %`;
      share.closest("label").classList.toggle("absent", counts[id] === 0);
    });
  };

  studio.addEventListener("options", choose);
  studio.addEventListener("edit", () => {
    choose();
    count();
  });
  studio.addEventListener("state", count);
  choose();
}

// Scrolls the panel only: on a phone the page itself would jump away from the picture.
function reveal(entry, panel) {
  const [place, room] = [entry.getBoundingClientRect(), panel.getBoundingClientRect()];
  if (place.height === 0) return;
  panel.scrollTop += Math.min(0, place.top - room.top - 12) + Math.max(0, place.bottom - room.bottom + 12);
}
