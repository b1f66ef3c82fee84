// What the points are coloured by, and a legend that filters.

import { css, scaleColour } from "../colours";
import type { Context } from "../context";
import { button, card, el, say } from "../dom";
import type { Choice } from "../points";
import { short } from "../values";
import { swatch } from "./comparison";

const BARS = 48; // of a histogram

export function legendPanel(context: Context): HTMLElement {
  const { points, store } = context;
  const choice = el("select", { "aria-label": "colour by" });
  const legend = el("div", { class: "legend" });
  const panel = card("colour", "Colour", el("label", { class: "row" }, "by", choice), legend);
  choice.addEventListener("change", () => {
    store.set({ colour: choice.value, hidden: [], range: null }, true);
  });

  /** Lists the columns; there are more of them once the originals are read. */
  function list(): void {
    const chosen = store.state.colour;
    choice.replaceChildren(
      el("option", { value: "" }, "nothing"),
      ...points.choices.map((one) => el("option", { value: one.key }, one.name)),
    );
    choice.value = points.choice(chosen) ? chosen : "";
  }

  function show(): void {
    choice.value = store.state.colour;
    const column = points.choice(store.state.colour);
    if (!column) legend.replaceChildren();
    else if (column.groups) legend.replaceChildren(groupsOf(column, column.groups));
    else legend.replaceChildren(scaleOf(context, column));
  }

  function groupsOf(column: Choice, groups: string[]): HTMLElement {
    const hidden = new Set(store.state.hidden);
    const counts = new Array<number>(groups.length).fill(0);
    for (let i = 0; i < points.n; i++) counts[column.values[i]!]!++;
    const items = groups.map((name, group) =>
      el(
        "button",
        {
          type: "button",
          class: "group",
          "aria-pressed": String(!hidden.has(group)),
          title: "Click hides or shows; double click shows this one alone",
          onclick: () => toggle(group),
          ondblclick: () => alone(group, groups.length),
        },
        swatch(group, context.dark()),
        el("span", { class: "text" }, name),
        el("span", { class: "count" }, String(counts[group])),
      ),
    );
    const all = hidden.size ? button("Show all", () => store.set({ hidden: [] }, true)) : null;
    return el("div", {}, el("div", { class: "groups" }, ...items), all);
  }

  function toggle(group: number): void {
    const hidden = new Set(store.state.hidden);
    if (!hidden.delete(group)) hidden.add(group);
    store.set({ hidden: [...hidden].sort((a, b) => a - b) }, true);
    say(`${context.map.countShown()} points are shown`);
  }

  function alone(group: number, n: number): void {
    const hidden = Array.from({ length: n }, (_, i) => i).filter((i) => i !== group);
    store.set({ hidden }, true);
  }

  store.onChange((now, before) => {
    const kinds = ["colour", "hidden", "range", "theme"] as const;
    if (kinds.some((kind) => now[kind] !== before[kind])) show();
  });
  list();
  show();
  void context.originals.then(() => {
    list();
    show();
  });
  return panel;
}

/** A scale with a histogram; its two ends filter. */
function scaleOf(context: Context, column: Choice): HTMLElement {
  const { store, points } = context;
  const counts = new Array<number>(BARS).fill(0);
  const span = column.high - column.low || 1;
  let missing = 0;
  for (let i = 0; i < points.n; i++) {
    const value = column.values[i]!;
    if (Number.isNaN(value)) missing++;
    else {
      const share = (value - column.low) / span;
      counts[Math.max(0, Math.min(BARS - 1, Math.floor(share * BARS)))]!++;
    }
  }
  const most = Math.max(...counts, 1);
  const bars = el("div", {
    class: "histogram",
    role: "img",
    "aria-label": `histogram of ${column.name}`,
  });
  counts.forEach((count, i) => {
    const bar = el("span");
    bar.style.height = `${(100 * count) / most}%`;
    bar.style.background = css(scaleColour(i / (BARS - 1), context.dark()));
    bars.append(bar);
  });
  const [low, high] = store.state.range ?? [column.low, column.high];
  const ends = (["least", "most"] as const).map((name, end) => {
    const slider = el("input", {
      type: "range",
      min: column.low,
      max: column.high,
      "aria-label": `${name} ${column.name} that is shown`,
    });
    slider.step = String(span / 500);
    slider.value = String(end ? high : low);
    slider.addEventListener("change", () => {
      const range: [number, number] = [
        ...(store.state.range ?? [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]),
      ];
      const outermost = end ? Number(slider.value) >= column.high : Number(slider.value) <= column.low;
      // At its end a slider leaves nothing out, not even what lies beyond the colours.
      range[end] = outermost
        ? end
          ? Number.MAX_SAFE_INTEGER
          : Number.MIN_SAFE_INTEGER
        : Number(slider.value);
      const open = range[0] === Number.MIN_SAFE_INTEGER && range[1] === Number.MAX_SAFE_INTEGER;
      store.set({ range: open ? null : range }, true);
      say(`${context.map.countShown()} points are shown`);
    });
    return slider;
  });
  return el(
    "div",
    { class: "scale" },
    bars,
    el("div", { class: "ends" }, el("span", {}, short(column.low)), el("span", {}, short(column.high))),
    ...ends,
    missing ? el("p", { class: "soft" }, `${missing} points have no value here (grey).`) : null,
  );
}
