// The panels beside the picture, one at a time.

import { byId } from "../core/dom.js";

const KEYS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export function makeTabs() {
  const tabs = [...byId("tabs").querySelectorAll("[role=tab]")];

  const open = (tab, focus = false) => {
    for (const each of tabs) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
  };

  for (const tab of tabs) {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const place = tabs.indexOf(tab);
      let next = null;
      if (event.key in KEYS) next = tabs[(place + KEYS[event.key] + tabs.length) % tabs.length];
      if (event.key === "Home") [next] = tabs;
      if (event.key === "End") next = tabs.at(-1);
      if (next === null) return;
      event.preventDefault();
      open(next, true);
    });
  }
  open(tabs[1]);
  return { open: (number) => tabs[number] && open(tabs[number], true) };
}
