// The panel of faces: which one is edited, and uploads.

import { trying } from "../core/announce.js";
import { byId, make } from "../core/dom.js";
import { Gallery } from "./gallery.js";

export function showFaces(studio, files) {
  const panel = byId("panel-faces");
  const gallery = new Gallery(studio, {
    label: "Face to edit",
    onchoose: (id) => trying(() => studio.open(id)),
    removable: (face) => trying(() => studio.removeFace(face.id)),
  });
  const upload = make("button", { type: "button", textContent: "Open a photo…", onclick: () => files.openPhoto() });
  const about = make("dl.about-face");
  const notes = make("ul.face-notes");
  panel.append(
    make("h2", { textContent: "Faces" }),
    upload,
    make("p.hint", { textContent: how(studio) }),
    gallery.element,
    make("h3", { textContent: "This face" }),
    about,
    notes,
  );

  const show = () => {
    gallery.show(studio.faces, studio.face?.id ?? null);
    const { face } = studio;
    if (face === null) return;
    byId("face-name").textContent = face.name;
    const rows = [
      ["Name", face.name],
      ["From", { data: "the run's data", drawn: "drawn", upload: "uploaded" }[face.source]],
      ["Photo", `${face.size[1]} × ${face.size[0]}${face.aligned ? "" : ", face found in it"}`],
      ["Mask", face.has_mask ? face.mask_source || "read" : "none yet"],
      ["Classes", face.label_map],
    ];
    about.replaceChildren(
      ...rows.flatMap(([term, text]) => [make("dt", { textContent: term }), make("dd", { textContent: text })]),
    );
    notes.replaceChildren(...face.notes.map((text) => make("li", { textContent: text })));
    byId("no-mask").hidden = face.has_mask;
  };
  studio.addEventListener("edit", show);
  studio.addEventListener("faces", show);
  byId("no-mask-open").addEventListener("click", () => files.openMask());
}

function how(studio) {
  if (studio.canAlign) return "The face is found in any photo, cut out, and its mask is read.";
  if (studio.canParse) return "A square around a face; its mask is read.";
  return "A square around a face; you open its mask after it.";
}
