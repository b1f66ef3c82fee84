// A path from one code to another: a strip of what is decoded on the way, and a slider along it.

import type { Context } from "../context";
import { button, card, el } from "../dom";
import { spherical, straight } from "../paths";
import { hasPixels, paint, pixelCanvas, pixels } from "../pictures";

const STEPS = 8; // pictures of the strip
const SIDE = 36; // CSS pixels of one

export function pathPanel(context: Context): HTMLElement | null {
  const { head, store } = context;
  if ("why_not" in head.decoder) return null;
  let ends: [number[] | null, number[] | null] = [null, null];
  const note = el("p", { class: "soft" });
  const way = el("select", { "aria-label": "way of the path" });
  for (const name of ["straight", "spherical"]) way.append(el("option", {}, name));
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 1,
    step: "0.005",
    "aria-label": "place on the path",
  });
  const strip = el("div", { class: "strip" });
  const body = el("div", {}, strip, slider);
  const from = button("From here", () => choose(0), { title: "The path begins at the cross" });
  const to = button("To here", () => choose(1), { title: "The path ends at the cross" });
  const panel = card("path", "Path", el("div", { class: "row" }, from, to, way), note, body);

  function choose(end: 0 | 1): void {
    ends = end ? [ends[0], [...store.state.z]] : [[...store.state.z], ends[1]];
    slider.value = String(end);
    show();
  }

  function at(share: number): number[] | null {
    const [a, b] = ends;
    if (!a || !b) return null;
    return way.value === "straight" ? straight(a, b, share) : spherical(a, b, share);
  }

  function show(): void {
    const whole = ends[0] !== null && ends[1] !== null;
    body.hidden = !whole;
    note.hidden = whole;
    const other = ends[0] ? "another place and choose To here" : "a place and choose From here";
    note.textContent = `Move the cross to ${other}.`;
    if (whole && hasPixels(head.example)) void draw();
  }

  async function draw(): Promise<void> {
    const decoder = await context.decoder;
    const shares = Array.from({ length: STEPS }, (_, i) => i / (STEPS - 1));
    const codes = shares.map((share) => at(share)!);
    const x = await decoder?.decode(codes.flat(), store.state.label);
    if (!x) return;
    const size = x.length / STEPS;
    const made = shares.map((share, i) => {
      const canvas = pixelCanvas(
        head.example,
        `decoded at ${Math.round(100 * share)} % of the path`,
        SIDE,
      );
      paint(canvas, head.example, pixels(head.example, x, i * size));
      const go = () => {
        slider.value = String(share);
        store.set({ z: codes[i]! }, true);
      };
      return el("button", { type: "button", class: "thumb", onclick: go }, canvas);
    });
    strip.replaceChildren(...made);
  }

  slider.addEventListener("pointerdown", () => store.mark());
  slider.addEventListener("input", () => {
    const z = at(Number(slider.value));
    if (z) store.set({ z });
  });
  way.addEventListener("change", show);
  store.onChange((now, before) => {
    if (now.label !== before.label) show();
  });
  show();
  return panel;
}
