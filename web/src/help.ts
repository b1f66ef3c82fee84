// Keys and gestures: what they do, and what they are called.

import type { Context } from "./context";
import { button, el } from "./dom";
import { back, forth } from "./toolbar";

const LINES: [string, string][] = [
  ["Drag the cross", "decodes each place that it comes to"],
  ["Drag, wheel, double click", "move, zoom, show all"],
  ["Click a point", "keeps it, and the cross takes its code"],
  ["Shift and drag", "selects; with Ctrl or Cmd adds, with Alt removes"],
  ["Arrow keys", "move the cross; with Shift in large steps"],
  ["1 … 9", "go to the slider of a dimension"],
  ["+ and −, 0", "zoom, show all"],
  ["/", "search"],
  ["Ctrl Z, Ctrl Shift Z", "undo, redo"],
  ["Esc", "clears the selection"],
  ["?", "this help"],
];

export function helpDialog(): HTMLDialogElement {
  const list = el("dl", {});
  for (const [keys, text] of LINES) list.append(el("dt", {}, keys), el("dd", {}, text));
  const dialog = el("dialog", { "aria-label": "Keys and gestures" });
  dialog.append(
    el("h2", {}, "Keys and gestures"),
    list,
    button("Close", () => dialog.close()),
  );
  return dialog;
}

const STEPS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** Listens to keys; those that are meant for a field or a button stay with it. */
export function listenToKeys(context: Context, help: HTMLDialogElement): void {
  const { map, store } = context;
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const inField = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z" && !(inField && target.type !== "range")) {
      event.preventDefault();
      if (event.shiftKey) forth(context);
      else back(context);
      return;
    }
    if (inField || command || event.altKey || help.open) return;
    const step = STEPS[event.key];
    // Where the page scrolls, arrows are for that unless the map was chosen.
    const still = document.documentElement.scrollHeight <= window.innerHeight;
    if (step && (target === map.element || (still && target === document.body))) {
      event.preventDefault();
      const far = event.shiftKey ? 8 : 1;
      if (!event.repeat) store.mark();
      map.step(step[0] * far, step[1] * far);
    } else if (/^[1-9]$/.test(event.key)) {
      const sliders = document.querySelectorAll<HTMLInputElement>(".dial input[type=range]");
      sliders[Number(event.key) - 1]?.focus();
    } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search")?.focus();
    } else if (event.key === "?") help.showModal();
    else if (event.key === "Escape" && store.state.selection.length) {
      store.set({ selection: new Uint32Array() }, true);
    } else if (event.key === "+" || event.key === "=") map.zoom(1.5);
    else if (event.key === "-") map.zoom(1 / 1.5);
    else if (event.key === "0") map.reset();
  });
}
