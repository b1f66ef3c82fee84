// From the plane to the window and back. A view is the place in its middle and how wide it is.

import type { Place } from "./plane";

export interface View {
  x: number;
  y: number;
  width: number; // of the window, in the plane's units
}

export interface Size {
  width: number; // CSS pixels
  height: number;
}

export interface Box {
  low: Place;
  high: Place;
}

/** The view that shows all of a box with a margin. */
export function fit(box: Box, size: Size): View {
  const wide = box.high[0] - box.low[0] || 1;
  const high = box.high[1] - box.low[1] || 1;
  const width = 1.12 * Math.max(wide, (high * size.width) / size.height);
  return { x: (box.low[0] + box.high[0]) / 2, y: (box.low[1] + box.high[1]) / 2, width };
}

export function toPixels(view: View, size: Size, place: Place): Place {
  const scale = size.width / view.width;
  return [size.width / 2 + (place[0] - view.x) * scale, size.height / 2 - (place[1] - view.y) * scale];
}

export function toPlace(view: View, size: Size, pixel: Place): Place {
  const scale = view.width / size.width;
  return [view.x + (pixel[0] - size.width / 2) * scale, view.y - (pixel[1] - size.height / 2) * scale];
}

/** Zooms by a factor about a pixel, which keeps its place. */
export function zoomed(view: View, size: Size, pixel: Place, factor: number): View {
  const before = toPlace(view, size, pixel);
  const width = view.width / factor;
  const share = width / view.width;
  return {
    x: before[0] + (view.x - before[0]) * share,
    y: before[1] + (view.y - before[1]) * share,
    width,
  };
}

/** Moves the view along with a drag. */
export function panned(view: View, size: Size, dx: number, dy: number): View {
  const scale = view.width / size.width;
  return { ...view, x: view.x - dx * scale, y: view.y + dy * scale };
}
