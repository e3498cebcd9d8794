// What class ids mean, in words that people use.

const WORDS = {
  eye_g: "glasses",
  l_eye: "left eye",
  r_eye: "right eye",
  l_brow: "left brow",
  r_brow: "right brow",
  l_ear: "left ear",
  r_ear: "right ear",
  ear_r: "earring",
  u_lip: "upper lip",
  l_lip: "lower lip",
  neck_l: "necklace",
  cloth: "clothes",
  eye: "eyes",
  brow: "brows",
  ear: "ears",
  mouth: "inner mouth",
};

// Parts that people think of as one thing.
const TOGETHER = {
  mouth: ["mouth", "u_lip", "l_lip"],
  eyes: ["l_eye", "r_eye"],
  brows: ["l_brow", "r_brow"],
  ears: ["l_ear", "r_ear"],
  "eyes and brows": ["l_eye", "r_eye", "l_brow", "r_brow", "eye", "brow"],
};

/** A label map of the server, with words. */
export class LabelMap {
  constructor(name, { classes, mirrored }) {
    this.name = name;
    this.classes = classes.map((entry) => ({ ...entry, word: WORDS[entry.name] ?? entry.name.replaceAll("_", " ") }));
    this.byName = new Map(this.classes.map((entry) => [entry.name, entry]));
    this.colours = new Uint32Array(256);
    const bytes = new Uint8Array(this.colours.buffer);
    this.classes.forEach(({ id, colour }) => bytes.set([...colour, 255], 4 * id));
    this.parts = this.#parts(mirrored);
  }

  /** The id of a class; undefined where there is none of that name. */
  idOf(name) {
    return this.byName.get(name)?.id;
  }

  has(...names) {
    return names.every((name) => this.byName.has(name));
  }

  wordOf(id) {
    return this.classes[id]?.word ?? `class ${id}`;
  }

  /** The part that a class is moved with: a mouth as a whole, everything else by itself. */
  partOf(id) {
    const { name } = this.classes[id];
    const mouth = this.parts.find((part) => part.key === "mouth");
    return mouth?.classes.includes(name) ? mouth : this.parts.find((part) => part.key === `class:${name}`);
  }

  part(key) {
    return this.parts.find((part) => part.key === key);
  }

  #parts(mirrored) {
    const groups = new Map();
    for (const [word, names] of Object.entries(TOGETHER)) {
      const known = names.filter((name) => this.byName.has(name));
      if (known.length > 1) groups.set(known.join(), { key: word, word, classes: known });
    }
    for (const pair of mirrored) {
      if (![...groups.values()].some((group) => pair.every((name) => group.classes.includes(name)))) {
        groups.set(pair.join(), { key: pair.join("+"), word: pair.join(" and "), classes: pair });
      }
    }
    const single = this.classes.map(({ name, word }) => ({ key: `class:${name}`, word, classes: [name] }));
    return [...groups.values(), ...single];
  }
}

/** A region of an operation: one name, or several. */
export function regionOf(names) {
  return names.length === 1 ? names[0] : names;
}

/** A word with a capital letter, for the beginning of a line. */
export function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
