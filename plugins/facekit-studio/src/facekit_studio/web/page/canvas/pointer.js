// Mouse, pen and fingers on the canvas: one paints, two move and zoom the picture.

const WHEEL = 0.0016;

export function listenToPointers(editor, tools) {
  const { canvas, view } = editor;
  const pointers = new Map(); // by id, where they are on the canvas
  let doing = null; // "tool", "pan", "pinch", or null

  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const maskPoint = (place) => view.toMask(place.x, place.y);
  const how = (event) => ({ shift: event.shiftKey, alt: event.altKey, touch: event.pointerType === "touch" });

  canvas.addEventListener("pointerdown", (event) => {
    if (pointers.size >= 2 || (event.button !== 0 && event.button !== 1)) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, placeOf(event));
    editor.cursor = null;
    if (pointers.size === 2) {
      if (doing === "tool") tools.current.cancel();
      doing = "pinch";
    } else if (event.button === 1 || tools.current.name === "hand") {
      doing = "pan";
    } else {
      doing = "tool";
      tools.begin(maskPoint(placeOf(event)), how(event));
    }
    editor.redraw();
  });

  canvas.addEventListener("pointermove", (event) => {
    const place = placeOf(event);
    if (!pointers.has(event.pointerId)) {
      editor.pointer = event.pointerType === "touch" ? null : maskPoint(place);
      tools.current.hover?.(maskPoint(place), how(event));
      editor.redraw();
      return;
    }
    const before = pointers.get(event.pointerId);
    if (doing === "tool") {
      const between = event.getCoalescedEvents?.() ?? [];
      for (const each of between.length ? between : [event]) {
        tools.current.move(maskPoint(placeOf(each)), how(event));
      }
      editor.pointer = event.pointerType === "touch" ? null : maskPoint(place);
    } else if (doing === "pan") {
      editor.pan(place.x - before.x, place.y - before.y);
    } else if (doing === "pinch" && pointers.size === 2) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, where]) => where);
      const apart = (where) => Math.max(1, Math.hypot(where.x - other.x, where.y - other.y));
      const middle = (where) => ({ x: (where.x + other.x) / 2, y: (where.y + other.y) / 2 });
      const [from, to] = [middle(before), middle(place)];
      editor.pan(to.x - from.x, to.y - from.y);
      editor.zoomBy(apart(place) / apart(before), to.x, to.y);
    }
    pointers.set(event.pointerId, place);
    editor.redraw();
  });

  const lift = (event, finished) => {
    if (!pointers.delete(event.pointerId)) return;
    if (doing === "tool") {
      if (finished) tools.current.end();
      else tools.current.cancel();
    }
    // After a pinch the finger that is still down paints nothing.
    if (pointers.size === 0) doing = null;
    else if (doing === "tool") doing = "pinch";
    editor.redraw();
  };
  canvas.addEventListener("pointerup", (event) => lift(event, true));
  canvas.addEventListener("pointercancel", (event) => lift(event, false));
  canvas.addEventListener("pointerleave", () => {
    editor.pointer = null;
    editor.redraw();
  });

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y } = placeOf(event);
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 24 : 1;
      if (event.shiftKey) editor.pan(-(event.deltaY + event.deltaX) * lines, 0);
      else editor.zoomBy(Math.exp(-event.deltaY * lines * WHEEL * (event.ctrlKey ? 6 : 1)), x, y);
    },
    { passive: false },
  );
}
