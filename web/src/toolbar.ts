// Tools over the map: what a drag does, zoom, steps back and forth, the search.

import type { Context } from "./context";
import { button, el, say } from "./dom";
import type { Tool } from "./map";
import { hasPixels } from "./pictures";

const TOOLS: { tool: Tool; text: string; title: string }[] = [
  { tool: "pan", text: "Move", title: "Drag moves the map; Shift and drag selects" },
  { tool: "lasso", text: "Lasso", title: "Drag draws around points; Ctrl or Cmd adds, Alt removes" },
  {
    tool: "rectangle",
    text: "Rectangle",
    title: "Drag selects a rectangle; Ctrl or Cmd adds, Alt removes",
  },
  { tool: "decode", text: "Decode", title: "Drag decodes every place that the pointer comes to" },
];

export function toolbar(context: Context, help: HTMLDialogElement): HTMLElement {
  const { store, map, head } = context;
  const decodes = "chunk" in head.decoder;
  const tools = TOOLS.filter(({ tool }) => decodes || tool !== "decode").map(
    ({ tool, text, title }) => {
      const choose = () => {
        map.tool = tool;
        show();
      };
      return { tool, element: button(text, choose, { title, class: "tool" }) };
    },
  );
  const grid = button("Pictures", () => store.set({ grid: !store.state.grid }, false), {
    title: "Cover the map with what the decoder makes of each place",
  });
  const undo = button("↶", () => back(context), { title: "Undo (Ctrl Z)", "aria-label": "undo" });
  const redo = button("↷", () => forth(context), {
    title: "Redo (Ctrl Shift Z)",
    "aria-label": "redo",
  });

  function show(): void {
    for (const { tool, element } of tools)
      element.setAttribute("aria-pressed", String(tool === map.tool));
    grid.setAttribute("aria-pressed", String(store.state.grid));
    undo.disabled = store.steps.back === 0;
    redo.disabled = store.steps.forth === 0;
    map.element.dataset.tool = map.tool;
  }

  store.onChange(show);
  show();
  return el(
    "div",
    { class: "toolbar", role: "toolbar", "aria-label": "map" },
    el("span", { class: "set" }, ...tools.map(({ element }) => element)),
    decodes && hasPixels(head.example) ? grid : null,
    el(
      "span",
      { class: "set" },
      button("+", () => map.zoom(1.5), { title: "Zoom in", "aria-label": "zoom in" }),
      button("−", () => map.zoom(1 / 1.5), { title: "Zoom out", "aria-label": "zoom out" }),
      button("All", () => map.reset(), { title: "Show all points (double click)" }),
    ),
    el("span", { class: "set" }, undo, redo),
    searchField(context),
    button("?", () => help.showModal(), { title: "Keys and gestures", "aria-label": "help" }),
  );
}

export function back({ store }: Context): void {
  say(store.undo() ? "Undone" : "Nothing to undo");
}

export function forth({ store }: Context): void {
  say(store.redo() ? "Done again" : "Nothing to do again");
}

/** A field that finds points by their id or by a value of their group. */
function searchField({ points, store, map }: Context): HTMLElement {
  const field = el("input", {
    type: "search",
    id: "search",
    placeholder: "Find id or label",
    "aria-label": "find points by id or label",
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const wanted = field.value.trim().toLowerCase();
    if (!wanted) return;
    const found: number[] = [];
    const columns = points.choices.filter((choice) => choice.groups);
    const groups = columns.map((choice) =>
      (choice.groups ?? []).map((name) => name.toLowerCase() === wanted),
    );
    for (let i = 0; i < points.n; i++) {
      const named = points.id(i).toLowerCase() === wanted;
      if (named || columns.some((choice, k) => groups[k]![choice.values[i]!])) found.push(i);
    }
    say(`${found.length} points found`);
    field.setCustomValidity(found.length ? "" : "no such id or label");
    field.reportValidity();
    if (found.length === 1) map.look(found[0]!);
    if (found.length) store.set({ selection: Uint32Array.from(found) }, true);
  });
  field.addEventListener("input", () => field.setCustomValidity(""));
  return field;
}
