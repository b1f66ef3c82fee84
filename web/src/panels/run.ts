// How training went and what was measured.

import { css, groupColour } from "../colours";
import type { Context } from "../context";
import { card, el } from "../dom";
import { short } from "../values";

const ASIDE = new Set(["epoch", "step", "seconds", "lr_factor", "diagnoses"]);
const MOST_LINES = 6;

export function runPanel(context: Context): HTMLElement {
  const { head } = context;
  const rows = head.metrics.map((metric) =>
    el(
      "tr",
      { title: metric.meaning },
      el("th", { scope: "row" }, metric.name),
      el("td", {}, short(metric.value)),
      el("td", { class: "soft" }, metric.unit),
    ),
  );
  const curves = curvesOf(head.history.epochs);
  const canvas = el("canvas", { class: "loss", role: "img", "aria-label": "loss curves" });
  const keys = el("div", { class: "keys" });
  const draw = () => {
    if (canvas.clientWidth) drawCurves(canvas, curves, context.dark());
    keys.replaceChildren(
      ...curves.map((curve, i) => {
        const mark = el("span", { class: "swatch", "aria-hidden": "true" });
        mark.style.background = css(groupColour(i, context.dark()));
        return el("span", {}, mark, `${curve.name} ${short(curve.values.at(-1)!)}`);
      }),
    );
  };
  const details = el(
    "details",
    { hidden: !rows.length && !curves.length },
    el("summary", {}, "Training and figures"),
    ...(curves.length
      ? [canvas, keys, el("p", { class: "soft" }, `${head.history.unit}, by epoch`)]
      : []),
    rows.length ? el("table", {}, el("tbody", {}, ...rows)) : null,
  );
  details.addEventListener("toggle", draw);
  context.store.onChange((now, before) => {
    if (now.theme !== before.theme) draw();
  });
  return card("run", "Run", findingsOf(head.history.epochs), details, settingsOf(head.settings));
}

/** What the doctor of the training found after the last epoch. */
function findingsOf(epochs: Record<string, unknown>[]): HTMLElement | null {
  const found = epochs.at(-1)?.diagnoses;
  if (!Array.isArray(found) || !found.length) return null;
  const items = (found as { message: string; suggestion: string }[]).map((one) =>
    el("li", {}, `${one.message}; try ${one.suggestion}`),
  );
  return el(
    "ul",
    { class: "findings", "aria-label": "what the doctor of the training found" },
    ...items,
  );
}

function settingsOf(settings: Record<string, unknown>): HTMLElement {
  const rows = Object.entries(settings).map(([name, value]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, typeof value === "string" ? value : JSON.stringify(value)),
    ),
  );
  const table = el("table", { class: "settings" }, el("tbody", {}, ...rows));
  return el("details", {}, el("summary", {}, "Settings"), table);
}

interface Curve {
  name: string;
  values: number[];
}

function curvesOf(epochs: Record<string, unknown>[]): Curve[] {
  const names = new Set(epochs.flatMap((epoch) => Object.keys(epoch)));
  return [...names]
    .filter((name) => !ASIDE.has(name))
    .map((name) => ({
      name: name.replaceAll("_", " "),
      values: epochs
        .map((epoch) => epoch[name])
        .filter((value): value is number => typeof value === "number"),
    }))
    .filter((curve) => curve.values.length > 1)
    .slice(0, MOST_LINES);
}

function drawCurves(canvas: HTMLCanvasElement, curves: Curve[], dark: boolean): void {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  const all = curves.flatMap((curve) => curve.values).sort((a, b) => a - b);
  const low = all[0]!;
  const high = all[Math.floor(0.98 * (all.length - 1))]! || low + 1;
  curves.forEach((curve, i) => {
    context.strokeStyle = css(groupColour(i, dark));
    context.lineWidth = 1.75;
    context.setLineDash(curve.name.startsWith("validation") ? [4, 3] : []);
    context.beginPath();
    curve.values.forEach((value, k) => {
      const x = 2 + ((width - 4) * k) / (curve.values.length - 1);
      context.lineTo(x, height - 4 - ((height - 8) * (value - low)) / (high - low || 1));
    });
    context.stroke();
  });
}
