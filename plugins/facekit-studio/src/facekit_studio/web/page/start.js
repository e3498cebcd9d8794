// Puts the page together once the server has said what is there.

import { Editor } from "./canvas/editor.js";
import { listenToKeys } from "./canvas/cursor.js";
import { listenToPointers } from "./canvas/pointer.js";
import { trying } from "./core/announce.js";
import { byId } from "./core/dom.js";
import { ServerError, server } from "./core/server.js";
import { Studio } from "./core/studio.js";
import { Opening } from "./files/open.js";
import { Saving } from "./files/save.js";
import { listenToShortcuts } from "./help/keyboard.js";
import { showChecks } from "./panels/checks.js";
import { showClasses } from "./panels/classes.js";
import { showFaces } from "./panels/faces.js";
import { showHistory } from "./panels/history.js";
import { showLook } from "./panels/look.js";
import { showOptions } from "./panels/options.js";
import { showShape } from "./panels/shape.js";
import { makeTabs } from "./panels/tabs.js";
import { showTuning } from "./panels/tuning.js";
import { Previews } from "./preview/previews.js";
import { showResults } from "./preview/results.js";
import { Tools } from "./tools/tools.js";

async function start() {
  const studio = new Studio(await server.state());
  const editor = new Editor(studio, byId("canvas"));
  const tools = new Tools(studio, editor);
  const previews = new Previews(studio);
  listenToPointers(editor, tools);
  listenToKeys(editor, tools, studio);

  const opening = new Opening(studio);
  const saving = new Saving(studio);
  showResults(studio, previews, editor);
  showOptions(studio, editor, tools);
  showFaces(studio, opening);
  showClasses(studio);
  showShape(studio);
  showLook(studio, opening);
  showTuning(studio);
  showChecks(studio, editor);
  showHistory(studio, previews);
  const tabs = makeTabs();
  await listenToShortcuts({ studio, editor, tools, tabs, opening, saving });

  addEventListener("beforeunload", (event) => {
    if (studio.dirty) event.preventDefault();
  });
  document.body.classList.remove("starting");
  const first = studio.faces.find((face) => face.has_mask) ?? studio.faces[0];
  if (first) await trying(() => studio.open(first.id));
  else tabs.open(0);
  document.body.dataset.ready = "true";
}

try {
  await start();
} catch (error) {
  byId("starting-text").textContent = error instanceof ServerError ? error.told : `The page has a defect: ${error.message}`;
  byId("starting").setAttribute("role", "alert");
  if (!(error instanceof ServerError)) throw error;
}
