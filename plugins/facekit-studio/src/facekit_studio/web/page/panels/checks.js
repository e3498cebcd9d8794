// The panel of checks: what looks wrong in the mask before an image is generated from it.

import { byId, make } from "../core/dom.js";
import { announce, trying } from "../core/announce.js";
import { server } from "../core/server.js";

const SOON = 350;

export function showChecks(studio, editor) {
  const list = make("ul.findings");
  const verdict = make("p.verdict", { textContent: "Not looked at yet." });
  byId("panel-checks").append(make("h2", { textContent: "Checks" }), verdict, list);
  let timer = null;
  let ticket = 0;

  const look = async () => {
    const { edit, face, side, options } = studio;
    if (edit === null) {
      show([], "This face has no mask yet.");
      return;
    }
    ticket += 1;
    const own = ticket;
    const findings = await trying(() => server.lint(edit.current.ids, side, face.label_map, options.run));
    if (own !== ticket || findings === undefined) return;
    show(findings, findings.length ? `${findings.length} to look at` : "Nothing looks wrong.");
  };

  const show = (findings, text) => {
    const before = verdict.textContent;
    verdict.textContent = text;
    const count = byId("checks-count");
    count.textContent = findings.length || "";
    count.hidden = findings.length === 0;
    byId("tab-checks").setAttribute("aria-label", findings.length ? `Checks, ${findings.length} to look at` : "Checks");
    list.replaceChildren(...findings.map((finding) => line(finding)));
    if (findings.length && text !== before) announce(`checks: ${findings[0].message}`);
  };

  const line = ({ level, message, remedy, region }) => {
    const id = studio.labelMap.idOf(region);
    const find = make("button", {
      type: "button",
      textContent: "Show it",
      "aria-label": `Show ${region} in the picture`,
      onclick: () => {
        studio.choose({ classId: id });
        editor.flash([id]);
      },
    });
    return make(
      "li",
      { data: { level } },
      make("strong", { textContent: message }),
      make("span", { textContent: remedy }),
      id === undefined ? null : find,
    );
  };

  let run = studio.options.run;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, SOON);
  };
  studio.addEventListener("edit", soon);
  studio.addEventListener("state", soon);
  studio.addEventListener("options", () => {
    if (run === studio.options.run) return;
    ({ run } = studio.options);
    soon();
  });
}
