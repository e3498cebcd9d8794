// What the page knows: the runs, the faces, the face being edited, and what is chosen. Parts of the page listen to its
// events: `edit` (another face), `state` (another state of its edit), `ids` (pixels changed), `options`, `faces`.

import { Edit, tidyLook } from "./edit.js";
import { LabelMap } from "./label_map.js";
import { same } from "./pixels.js";
import { server } from "./server.js";
import { Tunings } from "./tunings.js";

const STARTING = {
  tool: "brush",
  classId: 0,
  brushSize: 8,
  opacity: 0.55,
  maskShown: true,
  backdrop: "photo",
  only: "",
  view: "both",
  compare: false,
  putBack: true,
};

export class Studio extends EventTarget {
  #edits = new Map();
  #photos = new Map();
  #addresses = new Map();
  #ticket = 0;

  constructor(told) {
    super();
    this.version = told.facekit;
    this.side = told.side;
    this.runs = told.runs;
    this.faces = told.faces;
    this.limits = told.limits;
    this.operations = told.operations;
    this.canAlign = told.can_align;
    this.canParse = told.can_parse;
    this.labelMaps = new Map(Object.entries(told.label_maps).map(([name, map]) => [name, new LabelMap(name, map)]));
    this.tunings = new Tunings();
    this.edit = null;
    this.face = null;
    this.options = { ...STARTING, run: told.runs[0].id, shownRuns: told.runs.map((run) => run.id) };
    const first = this.labelMaps.get(told.runs[0].label_map);
    this.options.classId = first.idOf("hair") ?? Math.min(1, first.classes.length - 1);
    this.options.brushSize = Math.max(2, Math.round(this.side / 16));
  }

  get labelMap() {
    return this.labelMaps.get(this.face?.label_map ?? this.runs[0].label_map);
  }

  get run() {
    return this.runs.find((run) => run.id === this.options.run);
  }

  /** Changes what is chosen. */
  choose(changes) {
    const before = this.options;
    this.options = { ...before, ...changes };
    if (Object.keys(changes).some((key) => before[key] !== changes[key])) this.#tell("options");
  }

  faceOf(id) {
    return this.faces.find((face) => face.id === id);
  }

  /** Faces whose looks and parts an edit of the current face can name. */
  get others() {
    return this.faces.filter((face) => face.has_mask && face.label_map === this.face?.label_map);
  }

  /** Opens a face; its edit, where there was one, goes on. */
  async open(id) {
    const face = this.faceOf(id);
    this.#ticket += 1;
    const ticket = this.#ticket;
    let edit = this.#edits.get(id) ?? null;
    if (edit === null && face.has_mask) {
      const ids = await server.ids(id);
      edit = this.#edits.get(id) ?? new Edit(face, ids, this.side);
      if (!this.#edits.has(id)) this.#watch(edit);
      this.#edits.set(id, edit);
    }
    if (ticket !== this.#ticket) return;
    this.edit?.cancel();
    this.face = face;
    this.edit = edit;
    this.choose({ classId: Math.min(this.options.classId, this.labelMap.classes.length - 1), only: "" });
    this.#tell("edit");
  }

  #watch(edit) {
    edit.addEventListener("state", () => edit === this.edit && this.#tell("state"));
    edit.addEventListener("ids", (event) => edit === this.edit && this.#tell("ids", event.detail));
  }

  /** Whether any face has an edit that closing the page would lose. */
  get dirty() {
    return [...this.#edits.values()].some((edit) => edit.dirty);
  }

  /** A face's photo as a file. */
  fileOf(id) {
    if (!this.#photos.has(id)) this.#photos.set(id, server.photo(id));
    return this.#photos.get(id);
  }

  /** The address of a face's photo, for pictures of this page. */
  async photoOf(id) {
    if (!this.#addresses.has(id)) this.#addresses.set(id, URL.createObjectURL(await this.fileOf(id)));
    return this.#addresses.get(id);
  }

  addFace(face) {
    this.faces = [...this.faces.filter((each) => each.id !== face.id), face];
    this.#edits.delete(face.id);
    this.tunings.drop(face.id);
    this.#tell("faces");
  }

  async removeFace(id) {
    await server.removeFace(id);
    this.faces = this.faces.filter((face) => face.id !== id);
    this.#edits.delete(id);
    this.tunings.drop(id);
    if (this.face?.id === id && this.faces.length) await this.open(this.faces[0].id);
    this.#tell("faces");
  }

  /**
   * Applies operations to the mask.
   *
   * With a `session`, a control that made the current state adjusts it: operations start from the state before, and the
   * new state takes the place of the current one where `gesture` is the same too. Returns the notes of the operations,
   * or null where something newer came between.
   */
  async apply(operations, { label, session = null, gesture = null, data = null }) {
    const edit = this.edit;
    const before = edit.current;
    const again = session !== null && before.session?.key === session;
    const base = again ? before.session.base : before;
    this.#ticket += 1;
    const ticket = this.#ticket;
    const result = operations.length
      ? await server.apply(base.ids, this.side, this.face.label_map, operations)
      : { ids: base.ids, notes: [] };
    const moved = edit.current !== before && !(again && edit.current.session?.base === base);
    if (ticket !== this.#ticket || edit !== this.edit || moved) return null;
    if (!again && same(result.ids, base.ids)) return result.notes.length ? result.notes : ["nothing changed"];
    const values = {
      ids: result.ids,
      operations: [...base.operations, ...operations],
      look: before.look,
      label,
      session: session === null ? null : { key: session, base, gesture, data },
    };
    if (again && before.session.gesture === gesture) edit.amend(values);
    else edit.push(values);
    return result.notes;
  }

  /** Adds what a tool painted by hand: ids, and the operation that makes them. */
  painted(ids, operation, label) {
    const { operations, look } = this.edit.current;
    this.edit.push({ ids, operations: [...operations, operation], look, label });
  }

  /** Changes the look; changes of one control follow each other as one state. */
  setLook(look, { label, session }) {
    const before = this.edit.current;
    const again = before.session?.key === session;
    const values = { ...before, look: tidyLook(look), label, session: { key: session, base: before, gesture: null } };
    if (again) this.edit.amend(values);
    else this.edit.push(values);
  }

  /** The operations of a look. */
  lookOperations(look) {
    if (look === null) return [];
    const named = (id) => {
      const { photo, mask } = this.faceOf(id).files;
      return { photo, mask };
    };
    const start = look.reference === null ? [] : [{ do: "reference", ...named(look.reference) }];
    const towards = ({ face, amount, regions = [] }) => {
      if (regions.length === 0) return { do: "blend_reference", ...named(face), amount };
      if (amount === 1) return { do: "reference", ...named(face), regions };
      return { do: "blend_reference", ...named(face), amount, regions };
    };
    return [...start, ...look.blends.map(towards)];
  }

  /** The look as previews ask for it. */
  wantedLook(look) {
    return look === null ? null : { face: look.reference ?? this.face.id, blends: look.blends };
  }

  /** All operations of the edit. A run without references cannot follow a look, so those are left out for it. */
  script(run) {
    const { operations, look } = this.edit.current;
    return run.inputs.includes("reference") ? [...operations, ...this.lookOperations(look)] : operations;
  }

  #tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
