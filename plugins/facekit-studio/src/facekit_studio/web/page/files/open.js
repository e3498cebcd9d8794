// Opening files: photos, masks and scripts, by buttons and by dropping them on the page.

import { announce, complain, note, trying } from "../core/announce.js";
import { byId, make } from "../core/dom.js";
import { operationsBetween, same } from "../core/pixels.js";
import { server } from "../core/server.js";

const PICTURES = "image/png,image/jpeg,image/webp";
const SCRIPTS = ".yaml,.yml,.json";
const MOST_STEPS = 40; // states that a script is opened as
const LOOKS = ["reference", "blend_reference"];

export class Opening {
  constructor(studio) {
    this.studio = studio;
    this.aligned = byId("open-aligned");
    byId("open-aligned-box").hidden = !studio.canAlign;
    byId("open-photo").addEventListener("click", () => this.openPhoto());
    byId("open-mask").addEventListener("click", () => this.openMask());
    byId("open-script").addEventListener("click", () => this.openScript());
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      for (const file of event.dataTransfer.files) this.dropped(file);
    });
  }

  openPhoto() {
    this.#choose(PICTURES, (file) => this.photo(file));
  }

  openReference() {
    this.#choose(PICTURES, (file) => this.reference(file));
  }

  openMask() {
    this.#choose("image/png", (file) => this.mask(file));
  }

  openScript() {
    this.#choose(SCRIPTS, (file) => this.script(file));
  }

  dropped(file) {
    if (/\.(ya?ml|json)$/i.test(file.name)) return this.script(file);
    if (this.studio.face && !this.studio.face.has_mask && file.type === "image/png") return this.mask(file);
    return this.photo(file);
  }

  #choose(accept, take) {
    const input = make("input", { type: "file", accept });
    input.addEventListener("change", () => input.files[0] && take(input.files[0]));
    input.click();
  }

  async #upload(file) {
    const { studio } = this;
    if (file.size > studio.limits.upload_bytes) {
      note(`${file.name} is larger than ${Math.round(studio.limits.upload_bytes / 1e6)} MB`);
      return undefined;
    }
    announce(`opening ${file.name}`);
    document.body.classList.add("busy");
    const face = await trying(() => server.addFace(file, { aligned: this.aligned.checked }));
    document.body.classList.remove("busy");
    if (face) studio.addFace(face);
    return face;
  }

  async photo(file) {
    const face = await this.#upload(file);
    if (!face) return;
    await trying(() => this.studio.open(face.id));
    note([`${face.name} is opened`, ...face.notes].join("; "));
  }

  async reference(file) {
    const face = await this.#upload(file);
    if (!face) return;
    if (!face.has_mask) {
      await this.photo_without_mask(face);
      return;
    }
    const look = this.studio.edit.current.look ?? { reference: null, blends: [] };
    this.studio.setLook({ ...look, reference: face.id }, { label: "Look", session: "reference" });
  }

  async photo_without_mask(face) {
    await trying(() => this.studio.open(face.id));
    note(`${face.name} needs its mask before others can take its look`);
  }

  /** A mask: that of a photo that has none, else one to go on from, as operations. */
  async mask(file) {
    const { studio } = this;
    const { face, side, labelMap } = studio;
    if (!face.has_mask) {
      const changed = await trying(() => server.setMask(face.id, file, face.label_map));
      if (!changed) return;
      studio.addFace(changed);
      await trying(() => studio.open(changed.id));
      note(`the mask of ${changed.name} is read`);
      return;
    }
    const ids = await trying(() => server.readMask(file, face.label_map));
    if (!ids || studio.face !== face) return;
    const { edit } = studio;
    const { current, start } = edit;
    if (same(ids, current.ids)) {
      note("this mask is the one that is shown");
      return;
    }
    edit.push({
      ids,
      operations: operationsBetween(start.ids, ids, side, labelMap),
      look: current.look,
      label: "Mask opened",
    });
    note(`the mask of ${file.name} is shown`);
  }

  /** A script, from the face as it was opened. What was edited before can be undone to. */
  async script(file) {
    const { studio } = this;
    const { face, edit } = studio;
    if (edit === null) {
      note("this face needs its mask before a script can edit it");
      return;
    }
    const script = await trying(async () => server.readScript(await file.text(), face.label_map));
    if (!script) return;
    document.body.classList.add("busy");
    try {
      const states = await this.#steps(script.operations);
      if (studio.edit !== edit) return;
      for (const state of states) edit.push(state);
      byId("script-name").value = script.name;
      const notes = states.flatMap((state) => state.notes);
      note([`${file.name}: ${script.operations.length} operations`, ...notes].join("; "));
    } catch (error) {
      complain(error);
    } finally {
      document.body.classList.remove("busy");
    }
  }

  async #steps(operations) {
    const { studio } = this;
    const { start } = studio.edit;
    const shapes = operations.filter((operation) => !LOOKS.includes(operation.do));
    const looks = operations.filter((operation) => LOOKS.includes(operation.do));
    const states = [];
    let [ids, done] = [start.ids, []];
    const size = Math.max(1, Math.ceil(shapes.length / MOST_STEPS));
    for (let place = 0; place < shapes.length; place += size) {
      const some = shapes.slice(place, place + size);
      const result = await server.apply(ids, studio.side, studio.face.label_map, some);
      ({ ids } = result);
      done = [...done, ...some];
      states.push({ ids, operations: done, look: null, label: titleOf(some), notes: result.notes });
    }
    if (looks.length || states.length === 0) {
      states.push({ ids, operations: done, look: this.#look(looks), label: looks.length ? "Look" : "Script", notes: [] });
    }
    return states;
  }

  #look(operations) {
    let look = null;
    for (const { do: what, photo, amount = 1, regions: given } of operations) {
      const face = this.studio.faces.find((each) => each.files.photo === photo || (each.aligned && each.name === photo));
      if (!face) throw new Error(`the studio has no photo ${photo}; open it first`);
      const regions = [given ?? []].flat();
      if (what === "reference" && regions.length === 0) {
        look = { reference: face.id, blends: [] };
        continue;
      }
      const blend = { face: face.id, amount, ...(regions.length ? { regions } : {}) };
      look = { reference: look?.reference ?? null, blends: [...(look?.blends ?? []), blend] };
    }
    return look;
  }
}

function titleOf(operations) {
  const [{ do: what, region }] = operations;
  const word = [what.replaceAll("_", " "), Array.isArray(region) ? region.join(", ") : region].filter(Boolean).join(" ");
  return operations.length === 1 ? word : `${word} and ${operations.length - 1} more`;
}
