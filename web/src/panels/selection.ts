// The points that were selected: a table, a file, their names.

import type { Context } from "../context";
import { button, card, download, el, say } from "../dom";
import { cell } from "../values";

const MOST = 100; // rows of the table
const MOST_COLUMNS = 6;

export function selectionPanel(context: Context): HTMLElement {
  const { points, store, map } = context;
  const count = el("p", { class: "name", "aria-live": "polite" });
  const body = el("div", {
    class: "scroll",
    tabindex: 0,
    role: "region",
    "aria-label": "selected examples",
  });
  const clear = button("Clear", () => store.set({ selection: new Uint32Array() }, true));
  const ids = button("Copy ids", () => void copy());
  const file = button("Download CSV", () => download("selection.csv", "text/csv", csv(context)));
  const every = button("Select what is shown", () => {
    const shown = Uint32Array.from({ length: points.n }, (_, i) => i).filter(map.shown);
    store.set({ selection: shown }, true);
  });
  const row = el("div", { class: "row" }, file, ids, clear);
  const panel = card("selection", "Selection", count, row, body, el("div", { class: "row" }, every));

  async function copy(): Promise<void> {
    const text = Array.from(store.state.selection, (point) => points.id(point)).join("\n");
    if (await copied(text)) say("The ids are in the clipboard");
  }

  function show(): void {
    const { selection } = store.state;
    count.textContent = selection.length
      ? `${selection.length} of ${points.n} points`
      : "Nothing is selected: hold Shift and draw around points.";
    row.hidden = selection.length === 0;
    body.hidden = selection.length === 0;
    panel.dataset.count = String(selection.length);
    if (selection.length) body.replaceChildren(table());
    else body.replaceChildren();
  }

  function table(): HTMLElement {
    const columns = points.choices.slice(0, MOST_COLUMNS);
    const head = el("tr", {}, el("th", { scope: "col" }, "example"));
    for (const column of columns) head.append(el("th", { scope: "col" }, column.name));
    const rows = Array.from(store.state.selection.subarray(0, MOST), (point) => {
      const look = el(
        "button",
        { type: "button", class: "link", onclick: () => map.look(point) },
        points.id(point),
      );
      const cells = columns.map((column) => el("td", {}, column.text(column.values[point]!)));
      return el("tr", {}, el("th", { scope: "row" }, look), ...cells);
    });
    const more = store.state.selection.length - rows.length;
    return el(
      "div",
      {},
      el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)),
      more > 0 ? el("p", { class: "soft" }, `and ${more} more, which the CSV file holds.`) : null,
    );
  }

  store.onChange((now, before) => {
    if (now.selection !== before.selection) show();
  });
  show();
  return panel;
}

/** Writes the selected points with all that the page knows of them as CSV. */
export function csv(context: Context): string {
  const { points, store, head } = context;
  // The part stands in front, beside the row that is counted in it.
  const columns = points.choices.filter((_, i) => head.columns[i]?.role !== "part");
  const dims = Array.from({ length: head.latent.dims }, (_, i) => `z${i}`);
  const names = ["id", "part", "row", ...columns.map((choice) => choice.name), ...dims];
  const lines = Array.from(store.state.selection, (point) => {
    const { part, row } = points.origin(point);
    const values = columns.map((choice) => {
      const value = choice.values[point]!;
      return Number.isNaN(value)
        ? ""
        : choice.groups
          ? choice.text(value)
          : exact(choice.text(value), value);
    });
    const code = points.code(point)?.map(String) ?? dims.map(() => "");
    return [points.id(point), part, String(row), ...values, ...code];
  });
  return `${[names, ...lines].map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** A number with all its digits; dates and words as they are shown. */
function exact(text: string, value: number): string {
  return Number.isFinite(Number(text)) || text === "–" ? String(Number(value.toPrecision(7))) : text;
}

/** Puts text into the clipboard; from a file there may be no right to, so there is an older way. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "aside", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
