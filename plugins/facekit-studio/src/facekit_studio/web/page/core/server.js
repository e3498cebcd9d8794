// Speaks with the studio's server. Every request carries the token of the address; nothing is asked of anyone else.

const token = new URLSearchParams(location.search).get("token") ?? "";

/** What the server refused, in its own words. */
export class ServerError extends Error {
  constructor({ message, where = null, remedy = null, problems = [] }, status) {
    super(message);
    Object.assign(this, { where, remedy, problems, status });
  }

  /** The message and what to do, as one text. */
  get told() {
    return this.remedy ? `${this.message}: ${this.remedy}` : this.message;
  }
}

async function ask(path, { method = "GET", json, body } = {}) {
  const headers = { "X-Facekit-Token": token };
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  }
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, cache: "no-store", credentials: "omit" });
  } catch {
    throw new ServerError({ message: "the studio does not answer", remedy: "is `facekit studio` still running?" }, 0);
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => null);
  throw new ServerError(told?.error ?? { message: `the studio answered with ${answer.status}` }, answer.status);
}

const asJson = async (path, options) => (await ask(path, options)).json();
const asBlob = async (path, options) => (await ask(path, options)).blob();
const post = (json) => ({ method: "POST", json });
const at = (face) => `/api/faces/${encodeURIComponent(face)}`;
const named = (values) => new URLSearchParams(values).toString();

/** A mask as the server reads it. */
export function packed(ids, side) {
  const letters = [];
  for (let start = 0; start < ids.length; start += 0x8000) {
    letters.push(String.fromCharCode(...ids.subarray(start, start + 0x8000)));
  }
  return { size: [side, side], ids: btoa(letters.join("")) };
}

function unpacked(mask) {
  return Uint8Array.from(atob(mask.ids), (letter) => letter.charCodeAt(0));
}

export const server = {
  packed,
  state: () => asJson("/api/state"),
  photo: (face) => asBlob(`${at(face)}/photo`),
  ids: async (face) => unpacked(await asJson(`${at(face)}/ids`)),
  addFace: (file, { aligned }) =>
    asJson(`/api/faces?${named({ name: file.name, aligned: aligned ? "1" : "0" })}`, { method: "POST", body: file }),
  setMask: (face, file, labelMap) =>
    asJson(`${at(face)}/mask?${named({ name: file.name, label_map: labelMap })}`, { method: "PUT", body: file }),
  removeFace: (face) => ask(at(face), { method: "DELETE" }),
  readMask: async (file, labelMap) =>
    unpacked((await asJson(`/api/mask/read?${named({ label_map: labelMap })}`, { method: "POST", body: file })).mask),

  async apply(ids, side, labelMap, operations) {
    const told = await asJson("/api/apply", post({ mask: packed(ids, side), label_map: labelMap, operations }));
    return { ids: unpacked(told.mask), notes: told.notes };
  },

  lint: async (ids, side, labelMap, run) =>
    (await asJson("/api/lint", post({ mask: packed(ids, side), label_map: labelMap, run }))).findings,

  async preview(wanted) {
    const answer = await ask("/api/preview", post(wanted));
    return {
      blob: await answer.blob(),
      milliseconds: Number(answer.headers.get("X-Facekit-Milliseconds")),
      local: answer.headers.get("X-Facekit-Local") === "1",
    };
  },

  tune: (run, face) => asJson("/api/tuning", post({ run, face })),
  tuning: (run, face) => asJson(`/api/tuning?${named({ run, face })}`),
  forgetTuning: (run, face) => ask(`/api/tuning?${named({ run, face })}`, { method: "DELETE" }),

  exportPicture: (wanted) => asBlob("/api/export/picture", post(wanted)),
  exportBundle: (wanted) => asBlob("/api/export/bundle", post(wanted)),
  exportMask: (ids, side, labelMap) =>
    asBlob("/api/export/mask", post({ mask: packed(ids, side), label_map: labelMap })),
  writeScript: (script) => asBlob("/api/script/write", post(script)),
  readScript: (text, labelMap) => asJson("/api/script/read", post({ text, label_map: labelMap })),
};
