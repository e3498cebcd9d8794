// Small helpers for building the page. Nothing here parses HTML, so no text can become markup.

/** Makes an element: properties, attributes (with a dash, or `role`), listeners (`on…`), and children. */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value === true ? "" : value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of the sprite in index.html. */
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "icon");
  picture.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  picture.append(use);
  return picture;
}

export const byId = (id) => document.getElementById(id);

let unique = 0;

/** An id that no other element has. */
export function freshId(prefix) {
  unique += 1;
  return `${prefix}-${unique}`;
}

/** A slider with its name and its value; `shown` turns the value into words. */
export function slider({ label, min, max, step, value, shown, oninput, id = freshId("slider") }) {
  const output = make("output", { htmlFor: id, value: shown(value) });
  const input = make("input", { type: "range", id, min, max, step, value });
  const tell = () => {
    output.value = shown(Number(input.value));
    input.setAttribute("aria-valuetext", output.value);
  };
  input.addEventListener("input", () => {
    tell();
    oninput(Number(input.value));
  });
  tell();
  const element = make("div.slider", {}, make("label", { for: id, textContent: label }), output, input);
  return {
    element,
    input,
    set(next) {
      input.value = next;
      tell();
    },
  };
}

/** A choice from a list: `options` are `[value, word]`. */
export function choice({ label, options, value, onchange, id = freshId("choice") }) {
  const input = make("select", { id, onchange: () => onchange?.(input.value) });
  const fill = (entries, chosen) => {
    input.replaceChildren(...entries.map(([key, word]) => make("option", { value: key, textContent: word })));
    input.value = chosen;
    if (input.selectedIndex < 0) input.selectedIndex = 0;
  };
  fill(options, value);
  return { element: make("div.choice", {}, make("label", { for: id, textContent: label }), input), input, fill };
}

/** A box to tick. */
export function tick({ label, checked = false, onchange }) {
  const input = make("input", { type: "checkbox", checked, onchange: () => onchange?.(input.checked) });
  return { element: make("label.tick", {}, input, make("span", { textContent: label })), input };
}

/** Calls a function at most once in a frame. */
export function framed(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      action();
    });
  };
}
