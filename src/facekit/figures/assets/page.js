"use strict";

function shown(value) {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}

for (const plot of document.querySelectorAll(".plot")) {
  const data = JSON.parse(plot.dataset.chart);
  const canvas = plot.querySelector(".canvas");
  const cursor = plot.querySelector(".cursor");
  const readout = plot.querySelector(".readout");
  const width = plot.querySelector("svg").viewBox.baseVal.width;
  const hidden = new Set();

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const along = Math.min(1, Math.max(0, (share - data.left) / (data.right - data.left)));
    const wanted = data.first + along * (data.last - data.first);
    let step = null;
    const rows = [];
    data.series.forEach((series, index) => {
      if (hidden.has(index)) return;
      let best = 0;
      series.steps.forEach((candidate, at) => {
        if (Math.abs(candidate - wanted) < Math.abs(series.steps[best] - wanted)) best = at;
      });
      if (step === null || Math.abs(series.steps[best] - wanted) < Math.abs(step - wanted)) step = series.steps[best];
      rows.push([index, series.name, series.values[best]]);
    });
    if (step === null) return leave();
    readout.replaceChildren();
    const heading = document.createElement("b");
    heading.textContent = "step " + step.toLocaleString("en");
    readout.append(heading);
    for (const [index, name, value] of rows) {
      const row = document.createElement("div");
      const swatch = document.createElement("span");
      swatch.className = "swatch c" + (index % 8);
      row.append(swatch, name + "  " + shown(value));
      readout.append(row);
    }
    const at = data.left + ((step - data.first) / (data.last - data.first)) * (data.right - data.left);
    cursor.setAttribute("x1", at * width);
    cursor.setAttribute("x2", at * width);
    cursor.style.visibility = "visible";
    readout.hidden = false;
    const left = at * box.width;
    const room = readout.offsetWidth + 14;
    readout.style.left = (left + room > box.width ? Math.max(0, left - room) : left + 14) + "px";
  }

  function leave() {
    cursor.style.visibility = "hidden";
    readout.hidden = true;
  }

  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", leave);
  for (const key of plot.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const index = Number(key.dataset.series);
      const off = !hidden.has(index);
      off ? hidden.add(index) : hidden.delete(index);
      key.setAttribute("aria-pressed", String(!off));
      plot.querySelector(`.series[data-series="${index}"]`).classList.toggle("off", off);
    });
  }
}

for (const box of document.querySelectorAll(".timeline")) {
  const slider = box.querySelector("input");
  const frames = box.querySelectorAll("img");
  const output = box.querySelector("output");
  const show = () => {
    frames.forEach((frame, index) => { frame.hidden = index !== Number(slider.value); });
    output.textContent = "step " + Number(frames[slider.value].dataset.step).toLocaleString("en");
  };
  slider.addEventListener("input", show);
  show();
}

for (const box of document.querySelectorAll(".copyable")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = box.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page opened from a file may not use the clipboard: select the text for the reader instead.
      getSelection().selectAllChildren(box.querySelector("pre"));
      button.textContent = "Selected";
      return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
}
