// What draws the points: WebGL2 where there is, else a plain canvas.

import type { Size, View } from "./camera";

export const HIDDEN = 1; // a point's flags
export const SELECTED = 2;

export interface Look {
  size: number; // of a point, CSS pixels
  opacity: number;
  dim: number; // opacity of what is not selected, while something is
  ratio: number; // device pixels for one CSS pixel
}

export interface Painter {
  readonly kind: "webgl2" | "canvas";
  /** Takes the number of each point's colour, and its flags. */
  mark(shades: Uint8Array, flags: Uint8Array): void;
  /** Takes the 256 colours, RGBA. */
  colours(palette: Uint8Array): void;
  draw(view: View, size: Size, look: Look): void;
}

/** The size of points by how many share the window and how near they are looked at. */
export function pointSize(n: number, size: Size, zoom: number): number {
  const first = Math.max(1.8, Math.min(9, 0.55 * Math.sqrt((size.width * size.height) / (n + 1))));
  return Math.min(14, first * Math.max(1, zoom) ** 0.35);
}

export function pointOpacity(n: number, zoom: number): number {
  return Math.min(1, Math.max(0.35, (60 / Math.sqrt(n + 1)) * Math.max(1, zoom) ** 0.3 + 0.25));
}
