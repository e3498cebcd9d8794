// The panel of looks: whose hair, skin and light are painted, and how far it goes to those of another face.

import { byId, make, slider } from "../core/dom.js";
import { Gallery } from "./gallery.js";

const NO_LOOK = Object.freeze({ reference: null, blends: [] });

export function showLook(studio, files) {
  const panel = byId("panel-look");
  const look = () => studio.edit?.current.look ?? NO_LOOK;

  const change = (changes, session, word, id) => {
    if (studio.edit === null) return;
    const label = id === null ? "Own look" : `${word} ${studio.faceOf(id).name}`;
    studio.setLook({ ...look(), ...changes }, { label, session });
  };

  const reference = new Gallery(studio, {
    label: "Look of",
    none: "Own",
    onchoose: (id) => change({ reference: id }, "reference", "Look of", id),
  });
  const towards = new Gallery(studio, {
    label: "Towards",
    none: "None",
    onchoose: (id) => {
      const { blends } = look();
      const kept = blends.slice(0, -1);
      const amount = blends.at(-1)?.amount ?? Number(amounts.input.value);
      const next = id === null ? kept : [...kept, { face: id, amount }];
      change({ blends: next }, "blend", "Towards", id);
    },
  });
  const amounts = slider({
    label: "How far",
    min: 0,
    max: 1,
    step: 0.02,
    value: 0.5,
    shown: (value) => `${Math.round(100 * value)} %`,
    oninput: (amount) => {
      const { blends } = look();
      if (blends.length === 0) return;
      const next = [...blends.slice(0, -1), { ...blends.at(-1), amount }];
      change({ blends: next }, "blend", "Towards", next.at(-1).face);
    },
  });
  const [first, second] = [make("img", { alt: "" }), make("img", { alt: "" })];
  const blend = make("div.blend", {}, first, amounts.element, second);
  const earlier = make("p.hint", { hidden: true });
  const none = make("p.hint", { textContent: "No run that is shown takes a reference, so the look is their own." });
  const upload = make("button", { type: "button", textContent: "Open a photo as reference…", onclick: () => files.openReference() });
  const body = make(
    "div",
    {},
    make("p.hint", { textContent: "Another look repaints the whole square." }),
    blend,
    earlier,
    reference.element,
    towards.element,
    upload,
  );
  panel.append(make("h2", { textContent: "Look" }), none, body);

  const show = async () => {
    const takes = studio.runs.some((run) => run.inputs.includes("reference") && studio.options.shownRuns.includes(run.id));
    none.hidden = takes;
    body.hidden = !takes;
    const { face } = studio;
    if (face === null) return;
    const { reference: chosen, blends } = look();
    reference.show(studio.others, chosen);
    towards.show(studio.others, blends.at(-1)?.face ?? null);
    if (blends.length) amounts.set(blends.at(-1).amount);
    earlier.hidden = blends.length < 2;
    const before = blends.slice(0, -1).map((blend) => `${Math.round(100 * blend.amount)} % of ${studio.faceOf(blend.face)?.name}`);
    earlier.textContent = `Before that: ${before.join(", then ")}.`;
    blend.hidden = blends.length === 0;
    if (blends.length === 0) return;
    const shown = [chosen ?? face.id, blends.at(-1).face];
    [first.src, second.src] = await Promise.all(shown.map((id) => studio.photoOf(id)));
  };
  for (const name of ["edit", "state", "faces", "options"]) studio.addEventListener(name, show);
}
