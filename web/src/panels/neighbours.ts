// The examples whose codes are nearest to that of the example that is kept.

import type { Context } from "../context";
import { el } from "../dom";
import { nearest } from "../paths";
import { hasPixels, paint, pixelCanvas, pixels } from "../pictures";
import { originalAt } from "./comparison";

const COUNT = 6;
const SIDE = 44; // CSS pixels of a picture

/** A row of the kept example's neighbours; a click keeps one of them instead. */
export function neighbours(context: Context): HTMLElement {
  const { head, points, store, map } = context;
  const row = el("div", { class: "strip" });
  const title = el("p", { class: "soft" });
  const element = el("div", { class: "neighbours" }, title, row);
  // Where the codes of all points are not in the page, their places in the plane are.
  const inPlane = head.codes?.of === "held";
  const place = (point: number) => points.places.subarray(2 * point, 2 * point + 2);

  async function show(): Promise<void> {
    const point = store.state.pinned;
    element.hidden = point === null;
    if (point === null) return;
    const found = nearest(inPlane ? place : (other) => points.code(other), points.n, point, COUNT);
    title.textContent = `nearest in ${inPlane ? "the plane of the map" : "latent space"}`;
    element.hidden = found.length === 0;
    const stored = hasPixels(head.example) ? await context.originals : null;
    const decoder = hasPixels(head.example) ? await context.decoder.catch(() => null) : null;
    const made = found.map(async (other) => {
      const label = points.id(other);
      const slot = points.slot(other);
      const code = points.code(other);
      const x =
        stored && slot >= 0
          ? originalAt(head.example, stored, slot)
          : code && decoder && (await decoder.decode(code));
      const look = { type: "button", class: "thumb", title: label, onclick: () => map.look(other) };
      if (!x) return el("button", look, label);
      const canvas = pixelCanvas(head.example, label, SIDE);
      paint(canvas, head.example, pixels(head.example, x));
      return el("button", { ...look, class: slot >= 0 ? "thumb" : "thumb made" }, canvas);
    });
    const all = await Promise.all(made);
    if (store.state.pinned === point) row.replaceChildren(...all);
  }

  store.onChange((now, before) => {
    if (now.pinned !== before.pinned) void show();
  });
  void show();
  return element;
}
