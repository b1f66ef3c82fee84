// The point under the pointer, or the one that was clicked: original, reconstruction, difference, values.

import type { Context } from "../context";
import { card, el } from "../dom";
import { Comparison, originalAt, swatch } from "./comparison";
import { neighbours } from "./neighbours";

const MOST_FACTS = 8;

export function inspectPanel(context: Context): HTMLElement {
  const { head, points, store, map } = context;
  const name = el("p", { class: "name" }, "Point at the map to see an example; click to keep it.");
  const facts = el("dl", { class: "facts" });
  const note = el("p", { class: "soft" });
  const pictures = new Comparison(head.example, context.extents, 104);
  const panel = card("inspect", "Example", name, pictures.element, note, facts, neighbours(context));
  let last = 0;

  async function show(point: number): Promise<void> {
    last += 1;
    const turn = last;
    panel.dataset.point = String(point);
    if (point < 0) {
      pictures.show(null, null, context.dark());
      facts.replaceChildren();
      note.textContent = "";
      name.textContent = points.n
        ? "Point at the map to see an example; click to keep it."
        : "There are no points.";
      return;
    }
    name.textContent = points.id(point) + (store.state.pinned === point ? " (kept)" : "");
    facts.replaceChildren(...factsOf(point));
    const [before, after] = await Promise.all([original(point), reconstruction(point)]);
    if (turn !== last) return; // the pointer is elsewhere by now
    pictures.show(before, after, context.dark());
    note.textContent = noteOf(before !== null, after !== null);
    panel.dataset.shown = String(point);
  }

  async function original(point: number): Promise<ArrayLike<number> | null> {
    const slot = points.slot(point);
    const stored = slot < 0 ? null : await context.originals;
    return stored && originalAt(head.example, stored, slot);
  }

  async function reconstruction(point: number): Promise<ArrayLike<number> | null> {
    const slot = points.slot(point);
    const stored = slot < 0 ? null : await context.reconstructions;
    if (stored) return originalAt(head.example, stored, slot);
    const code = points.code(point);
    const decoder = code && (await context.decoder);
    return decoder ? decoder.decode(code, labelOf(point)) : null;
  }

  function labelOf(point: number): number {
    const labels = "labels" in head.decoder ? head.decoder.labels : [];
    const own = points.choices.find((_, i) => head.columns[i]?.role === "label");
    return Math.max(0, own ? labels.indexOf(own.text(own.values[point]!)) : 0);
  }

  function factsOf(point: number): HTMLElement[] {
    const shown = points.choices.filter((choice) => !choice.key.startsWith("x")).slice(0, MOST_FACTS);
    return shown.flatMap((choice) => {
      const value = choice.values[point]!;
      const mark =
        choice.groups && choice.key === store.state.colour ? swatch(value, context.dark()) : "";
      return [el("dt", {}, choice.name), el("dd", {}, mark, choice.text(value))];
    });
  }

  const again = () => void show(map.hovered >= 0 ? map.hovered : (store.state.pinned ?? -1));
  map.onHover = again;
  store.onChange((state, before) => {
    if (
      state.pinned !== before.pinned ||
      state.theme !== before.theme ||
      state.colour !== before.colour
    )
      again();
  });
  again();
  return panel;
}

function noteOf(original: boolean, reconstruction: boolean): string {
  if (original && reconstruction) return "";
  if (original) return "This page holds no code of this example to decode.";
  return reconstruction
    ? "The page holds no original of this example; this is what its code decodes to."
    : "The page holds neither the original nor the code of this example.";
}
