// The panel of looks: whose hair, skin and light the image takes, and how far it goes to those of another face.

import { byId, choice, make, slider } from "../core/dom.js";
import { capital } from "../core/label_map.js";
import { Gallery } from "./gallery.js";

const WHOLE = "Another look repaints the whole square";
const NO_LOOK = Object.freeze({ reference: null, blends: [] });

export function showLook(studio, files) {
  const panel = byId("panel-look");
  const look = () => studio.edit?.current.look ?? NO_LOOK;

  const change = (changes, session, word, id, own = "Own look") => {
    if (studio.edit === null) return;
    const label = id === null ? own : `${word} ${studio.faceOf(id).name}`;
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
  const wordOf = (regions) => regions.split(",").map((name) => studio.labelMap.byName.get(name)?.word ?? name).join(", ");
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
      const word = wordOf(wanted);
      if (wanted === "") change({ blends: next }, "blend ", "Towards", id);
      else change({ blends: next }, `blend ${wanted}`, `${capital(word)} of`, id, `Own ${word}`);
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
      const wanted = region.input.value;
      const word = wanted === "" ? "Towards" : `${capital(wordOf(wanted))} of`;
      change({ blends: next }, `blend ${wanted}`, word, chosen.face);
    },
  });
  const [first, second] = [make("img", { alt: "" }), make("img", { alt: "" })];
  const blend = make("div.blend", {}, first, amounts.element, second);
  const hint = make("p.hint");
  const earlier = make("p.hint", { hidden: true });
  const none = make("p.hint", { textContent: "No run that is shown takes a reference, so the look is their own." });
  const upload = make("button", { type: "button", textContent: "Open a photo as reference…", onclick: () => files.openReference() });
  const body = make(
    "div",
    {},
    hint,
    blend,
    earlier,
    reference.element,
    region.element,
    towards.element,
    upload,
  );
  panel.append(make("h2", { textContent: "Look" }), none, body);

  const show = async () => {
    const shownRuns = studio.runs.filter((run) => studio.options.shownRuns.includes(run.id));
    const takes = shownRuns.some((run) => run.inputs.includes("reference"));
    none.hidden = takes;
    body.hidden = !takes;
    // Regions can only be mixed by a run that has a style for each.
    const mixes = shownRuns.some((run) => run.mixes_regions);
    region.element.hidden = !mixes;
    hint.textContent = mixes ? `${WHOLE}, and that of a region the region alone.` : `${WHOLE}.`;
    const { face } = studio;
    if (face === null) return;
    const { reference: chosen, blends } = look();
    const { byName } = studio.labelMap;
    const several = blends.map(regionOf).filter((regions) => regions !== "" && !byName.has(regions));
    const options = [...byName.keys(), ...new Set(several)].map((name) => [name, capital(wordOf(name))]);
    region.fill([["", "All"], ...options], mixes ? region.input.value : "");
    reference.show(studio.others, chosen);
    const current = blends[place()];
    towards.show(studio.others, current?.face ?? null);
    if (current) amounts.set(current.amount);
    const others = blends.filter((blend) => blend !== current);
    earlier.hidden = others.length === 0;
    const told = ({ face: id, amount, ...rest }) => {
      const share = regionOf(rest) !== "" && amount === 1 ? "" : `${Math.round(100 * amount)} % of `;
      return `${share}${regionOf(rest) && `${wordOf(regionOf(rest))} of `}${studio.faceOf(id)?.name}`;
    };
    earlier.textContent = `Also: ${others.map(told).join(", then ")}.`;
    blend.hidden = current === undefined;
    if (current === undefined) return;
    const shown = [chosen ?? face.id, current.face];
    [first.src, second.src] = await Promise.all(shown.map((id) => studio.photoOf(id)));
  };
  for (const name of ["edit", "state", "faces", "options"]) studio.addEventListener(name, show);
}
