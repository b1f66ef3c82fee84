// An original beside what the model makes of it, or an example that was decoded alone.

import { css, groupColour } from "../colours";
import { el } from "../dom";
import { differencePixels, drawLines, hasPixels, paint, pixelCanvas, pixels } from "../pictures";
import type { ExampleHead } from "../scene";
import type { Numbers } from "../unpack";
import { shown } from "../values";

const MOST_ROWS = 60; // of a table; rows of more entries are drawn as lines

/** The least and the largest value of each entry of rows, so that bars mean something. */
export interface Extents {
  low: number[];
  high: number[];
}

/** Shows examples in an element of the page, and draws them anew as often as is wanted. */
export class Comparison {
  readonly element = el("div", { class: "comparison" });
  private drawn = "";
  private canvases: HTMLCanvasElement[] = [];
  private cells: { text: HTMLElement; bar: HTMLElement }[][] = [];

  constructor(
    private readonly example: ExampleHead,
    private readonly extents: Extents | null,
    private readonly side: number,
  ) {}

  /** Shows the original, where there is one, and what was made, where there is that. */
  show(before: ArrayLike<number> | null, after: ArrayLike<number> | null, dark: boolean): void {
    const kind = `${before ? "b" : ""}${after ? "a" : ""}`;
    if (kind !== this.drawn) this.lay(kind, before !== null, after !== null);
    if (!kind) return;
    if (hasPixels(this.example)) this.showPixels(before, after, dark);
    else if (this.cells.length) this.showRows(before, after);
    else this.showLines(before, after, dark);
  }

  private lay(kind: string, before: boolean, after: boolean): void {
    this.drawn = kind;
    this.element.replaceChildren();
    this.canvases = [];
    this.cells = [];
    if (hasPixels(this.example)) this.layPixels(before, after);
    else if (this.example.layout === "row" && this.example.shape[0]! <= MOST_ROWS)
      this.layRows(before, after);
    else if (before || after) {
      const canvas = el("canvas", {
        class: "lines",
        role: "img",
        "aria-label": lineLabel(before, after),
      });
      this.canvases = [canvas];
      this.element.append(canvas, el("p", { class: "soft" }, lineLabel(before, after)));
    }
  }

  private layPixels(before: boolean, after: boolean): void {
    const names = [
      ...(before ? ["original"] : []),
      ...(after ? [before ? "reconstruction" : "decoded"] : []),
    ];
    if (before && after) names.push("difference");
    for (const name of names) {
      const canvas = pixelCanvas(this.example, name, this.side);
      this.canvases.push(canvas);
      this.element.append(el("figure", {}, canvas, el("figcaption", {}, name)));
    }
  }

  private layRows(before: boolean, after: boolean): void {
    const both = before && after;
    const body = el("tbody");
    for (let i = 0; i < this.example.shape[0]!; i++) {
      const row = el("tr", {}, el("th", { scope: "row" }, this.example.columns[i]?.name ?? `x${i}`));
      this.cells.push([]);
      for (let k = 0; k < (both ? 2 : 1); k++) {
        const text = el("span");
        const bar = el("span", { class: `bar ${k ? "made" : ""}`, "aria-hidden": "true" });
        row.append(el("td", {}, text, el("span", { class: "track" }, bar)));
        this.cells[i]!.push({ text, bar });
      }
      body.append(row);
    }
    const names = both ? ["original", "reconstruction"] : [before ? "original" : "decoded"];
    const head = el("tr", {}, el("th", { scope: "col" }, "column"));
    for (const name of names) head.append(el("th", { scope: "col" }, name));
    if (before || after)
      this.element.append(el("table", { class: "values" }, el("thead", {}, head), body));
  }

  private showPixels(
    before: ArrayLike<number> | null,
    after: ArrayLike<number> | null,
    dark: boolean,
  ): void {
    const shownNow = [before, after].filter((x) => x !== null).map((x) => pixels(this.example, x));
    if (before && after) shownNow.push(differencePixels(this.example, before, after, dark));
    shownNow.forEach((bytes, i) => {
      paint(this.canvases[i]!, this.example, bytes);
    });
  }

  private showRows(before: ArrayLike<number> | null, after: ArrayLike<number> | null): void {
    const given = [before, after].filter((x) => x !== null);
    this.cells.forEach((cells, entry) => {
      const column = this.example.columns[entry];
      cells.forEach(({ text, bar }, k) => {
        const value = given[k]![entry]!;
        text.textContent = shown(column, value);
        const low = this.extents?.low[entry] ?? 0;
        const span = (this.extents?.high[entry] ?? 1) - low || 1;
        const share = Math.max(0, Math.min(1, (value - low) / span));
        bar.style.width = column?.kind === "category" || Number.isNaN(value) ? "0" : `${100 * share}%`;
      });
      const differ = cells.length > 1 && cells[0]!.text.textContent !== cells[1]!.text.textContent;
      const words = column?.kind === "category" || column?.kind === "boolean";
      cells.at(-1)!.text.classList.toggle("differs", differ && words);
    });
  }

  private showLines(
    before: ArrayLike<number> | null,
    after: ArrayLike<number> | null,
    dark: boolean,
  ): void {
    const signals = [
      ...(before ? [{ x: before, broken: false }] : []),
      ...(after ? [{ x: after, broken: before !== null }] : []),
    ];
    drawLines(this.canvases[0]!, this.example, signals, dark);
  }
}

/** Finds the extents of the entries of rows. */
export function extentsOf(example: ExampleHead, originals: Numbers | null): Extents | null {
  if (example.layout !== "row" || !originals?.length) return null;
  const width = example.shape[0]!;
  const low = new Array<number>(width).fill(Number.POSITIVE_INFINITY);
  const high = new Array<number>(width).fill(Number.NEGATIVE_INFINITY);
  originals.forEach((value, i) => {
    const entry = i % width;
    if (value < low[entry]!) low[entry] = value;
    if (value > high[entry]!) high[entry] = value;
  });
  return { low, high };
}

/** Reads one original, in the data's own units, from those that the page holds. */
export function originalAt(example: ExampleHead, stored: Numbers, slot: number): Float32Array {
  const size = example.shape.reduce((a, b) => a * b, 1);
  const row = Float32Array.from(stored.subarray(slot * size, (slot + 1) * size));
  if (!hasPixels(example)) return row;
  const step = (example.high - example.low) / 255;
  return row.map((byte) => example.low + step * byte);
}

/** A small square in a group's colour. */
export function swatch(group: number, dark: boolean): HTMLElement {
  const made = el("span", { class: "swatch", "aria-hidden": "true" });
  made.style.background = css(groupColour(group, dark));
  return made;
}

function lineLabel(before: boolean, after: boolean): string {
  if (before && after) return "original (strong) and reconstruction (broken)";
  return before ? "original" : "decoded";
}
