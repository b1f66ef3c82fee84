// What can be seen at a moment, and the link that brings it back.

import { read, write } from "./bits";
import type { View } from "./camera";

export interface State {
  view: View | null; // null: all points
  colour: string; // the key of a column
  hidden: number[]; // groups of that column that are not shown
  range: [number, number] | null; // of a column on a scale: what is shown
  selection: Uint32Array;
  pinned: number | null; // the point that is looked at
  z: number[];
  label: number; // that a conditional model decodes for
  grid: boolean; // whether decoded examples cover the window
  theme: "auto" | "light" | "dark";
}

const THEMES = ["auto", "light", "dark"] as const;

/** Writes a state as the part of an address behind ``#``; what is as at first is left out. */
export function toHash(state: State, first: State): string {
  const said = new URLSearchParams();
  if (state.view) said.set("v", [state.view.x, state.view.y, state.view.width].join(","));
  if (state.colour !== first.colour) said.set("c", state.colour);
  if (state.hidden.length) said.set("h", state.hidden.join(","));
  if (state.range) said.set("r", state.range.join(","));
  if (state.selection.length) said.set("s", write(state.selection));
  if (state.pinned !== null) said.set("p", String(state.pinned));
  if (state.z.join() !== first.z.join()) said.set("z", state.z.join(","));
  if (state.label) said.set("l", String(state.label));
  if (state.grid) said.set("g", "1");
  if (state.theme !== "auto") said.set("t", state.theme);
  return said.toString().replaceAll("%2C", ",");
}

/** Reads a state from an address; what it does not say, or says wrongly, is as at first. */
export function fromHash(hash: string, first: State, n: number): State {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...first };
  const view = numbers(said.get("v"), 3);
  if (view && view[2]! > 0) state.view = { x: view[0]!, y: view[1]!, width: view[2]! };
  state.colour = said.get("c") ?? first.colour;
  state.hidden = numbers(said.get("h")) ?? first.hidden;
  const range = numbers(said.get("r"), 2);
  if (range) state.range = [range[0]!, range[1]!];
  const selection = said.get("s");
  if (selection) state.selection = read(selection, n);
  const pinned = Number(said.get("p") ?? "x");
  if (Number.isInteger(pinned) && pinned >= 0 && pinned < n) state.pinned = pinned;
  state.z = numbers(said.get("z"), first.z.length) ?? first.z;
  const label = numbers(said.get("l"), 1);
  if (label) state.label = Math.max(0, Math.round(label[0]!));
  state.grid = said.get("g") === "1";
  state.theme = THEMES.find((theme) => theme === said.get("t")) ?? first.theme;
  return state;
}

function numbers(text: string | null, count?: number): number[] | null {
  if (!text) return null;
  const found = text.split(",").map(Number);
  const sound = found.every(Number.isFinite) && (count === undefined || found.length === count);
  return sound ? found : null;
}
