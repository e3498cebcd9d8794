// The operations of edit scripts that no brush does: what each is called, what it asks, and what it becomes.
//
// A field is a slider, a choice, a box to tick, or one of the page's lists: `part` (parts of the label map), `class`
// (its classes) and `face` (other faces). `needs` names the classes without which an operation means nothing.

import { regionOf } from "../core/label_map.js";

const percent = (value) => `${Math.round(100 * value)} %`;
const amount = (value = 0.5, min = 0) => ({ name: "amount", kind: "slider", label: "Amount", min, max: 1, step: 0.05, value, shown: percent });
const by = { name: "by", kind: "slider", label: "By", min: 0.005, max: 0.15, step: 0.005, value: 0.02, shown: (value) => `${(100 * value).toFixed(1)} %` };
const part = { name: "part", kind: "part", label: "Part" };

export const GROUPS = [
  {
    title: "Mouth and brows",
    cards: [
      {
        key: "open_mouth",
        button: "Open mouth",
        needs: ["u_lip", "l_lip", "mouth"],
        fields: [amount()],
        build: (values) => ({ do: "open_mouth", amount: values.amount }),
      },
      {
        key: "close_mouth",
        button: "Close mouth",
        needs: ["u_lip", "l_lip", "mouth"],
        fields: [],
        build: () => ({ do: "close_mouth" }),
      },
      {
        key: "raise_brows",
        button: "Raise brows",
        needs: [],
        needsOne: ["l_brow", "r_brow", "brow"],
        fields: [amount(0.4, -1)],
        build: (values) => ({ do: "raise_brows", amount: values.amount }),
      },
    ],
  },
  {
    title: "Glasses and hat",
    cards: [
      {
        key: "add_glasses",
        button: "Add glasses",
        needs: ["eye_g"],
        fields: [
          {
            name: "shape",
            kind: "choice",
            label: "Lenses",
            options: [
              ["round", "round"],
              ["rectangular", "rectangular"],
            ],
          },
          { name: "size", kind: "slider", label: "Size", min: 0.5, max: 1.6, step: 0.05, value: 1, shown: percent },
          { name: "tinted", kind: "tick", label: "Tinted" },
        ],
        build: ({ shape, size, tinted }) => ({ do: "add_glasses", shape, size, tinted }),
      },
      {
        key: "remove_glasses",
        button: "Remove glasses",
        does: "remove",
        needs: ["eye_g"],
        fields: [],
        build: () => ({ do: "remove", region: "eye_g" }),
      },
      {
        key: "remove_hat",
        button: "Remove hat",
        does: "remove",
        needs: ["hat"],
        fields: [],
        build: () => ({ do: "remove", region: "hat" }),
      },
    ],
  },
  {
    title: "A part",
    cards: [
      { key: "grow", button: "Grow", fields: [part, by], build: (values) => ({ do: "grow", region: values.part, by: values.by }) },
      { key: "shrink", button: "Shrink", fields: [part, by], build: (values) => ({ do: "shrink", region: values.part, by: values.by }) },
      { key: "remove", button: "Remove", fields: [part], build: (values) => ({ do: "remove", region: values.part }) },
      {
        key: "replace",
        button: "Replace",
        fields: [part, { name: "with", kind: "class", label: "With" }],
        build: (values) => ({ do: "replace", region: values.part, by: values.with }),
      },
    ],
  },
  {
    title: "From another face",
    cards: [
      {
        key: "copy_part",
        button: "Copy part",
        fields: [
          { name: "face", kind: "face", label: "Face" },
          part,
          { name: "fit", kind: "tick", label: "Fit to this face", value: true },
          { name: "keep", kind: "tick", label: "Keep this face's own" },
        ],
        build: ({ face, part: region, fit, keep }) => ({ do: "copy_part", region, mask: face, fit, keep }),
      },
      {
        key: "interpolate",
        button: "Go towards",
        fields: [{ name: "face", kind: "face", label: "Face" }, amount()],
        build: (values) => ({ do: "interpolate", mask: values.face, amount: values.amount }),
      },
    ],
  },
  {
    title: "The whole mask",
    cards: [{ key: "mirror", button: "Mirror", fields: [], build: () => ({ do: "mirror" }) }],
  },
];

/** The operation a card does. */
export const operationOf = (card) => card.does ?? card.key;

/** Whether an operation means something in a label map. */
export function fits(card, labelMap) {
  const one = card.needsOne === undefined || card.needsOne.some((name) => labelMap.has(name));
  return one && labelMap.has(...(card.needs ?? []));
}

/** The region that a part of the label map is in operations. */
export const partRegion = (labelMap, key) => regionOf(labelMap.part(key).classes);
