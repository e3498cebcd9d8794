// The panel of looks: whose hair, skin and light the image takes, and how far it goes to those of another face.

import { byId, choice, make, slider } from "../core/dom.js";
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
  // Each region has a blend of its own, and all of them together have another.
  const region = choice({ label: "Region", options: [["", "All"]], value: "", onchange: () => show() });
  const regionOf = ({ regions = [] }) => regions.join();
  const place = () => look().blends.findLastIndex((blend) => regionOf(blend) === region.input.value);
  const towards = new Gallery(studio, {
    label: "Towards",
    none: "None",
    onchoose: (id) => {
      const { blends } = look();
      const wanted = region.input.value;
      const kept = blends.filter((_, index) => index !== place());
      const amount = blends[place()]?.amount ?? (wanted === "" ? Number(amounts.input.value) : 1);
      const next = id === null ? kept : [...kept, { face: id, amount, ...(wanted === "" ? {} : { regions: wanted.split(",") }) }];
      change({ blends: next }, `blend ${wanted}`, "Towards", id);
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
      const chosen = blends[place()];
      if (chosen === undefined) return;
      const next = blends.map((blend) => (blend === chosen ? { ...blend, amount } : blend));
      change({ blends: next }, `blend ${region.input.value}`, "Towards", chosen.face);
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
    make("p.hint", { textContent: "Another look repaints the whole square, and that of a region the region alone." }),
    blend,
    earlier,
    reference.element,
    region.element,
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
    const { byName } = studio.labelMap;
    const wordOf = (regions) => regions.split(",").map((name) => byName.get(name)?.word ?? name).join(", ");
    const several = blends.map(regionOf).filter((regions) => regions !== "" && !byName.has(regions));
    const options = [...byName.keys(), ...new Set(several)].map((name) => [name, wordOf(name)]);
    region.fill([["", "All"], ...options], region.input.value);
    reference.show(studio.others, chosen);
    const current = blends[place()];
    towards.show(studio.others, current?.face ?? null);
    if (current) amounts.set(current.amount);
    const others = blends.filter((blend) => blend !== current);
    earlier.hidden = others.length === 0;
    const told = ({ face: id, amount, ...rest }) =>
      `${Math.round(100 * amount)} % of ${studio.faceOf(id)?.name}${regionOf(rest) && ` for ${wordOf(regionOf(rest))}`}`;
    earlier.textContent = `Also: ${others.map(told).join(", then ")}.`;
    blend.hidden = current === undefined;
    if (current === undefined) return;
    const shown = [chosen ?? face.id, current.face];
    [first.src, second.src] = await Promise.all(shown.map((id) => studio.photoOf(id)));
  };
  for (const name of ["edit", "state", "faces", "options"]) studio.addEventListener(name, show);
}
