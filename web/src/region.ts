// Which points lie inside a line that was drawn, and what that does to a selection.

import type { Place } from "./plane";

export type How = "replace" | "add" | "remove";

/** What a selection does by the keys that are held: Ctrl or Cmd adds, Alt removes. */
export function howBy(keys: { ctrlKey: boolean; metaKey: boolean; altKey: boolean }): How {
  if (keys.altKey) return "remove";
  return keys.ctrlKey || keys.metaKey ? "add" : "replace";
}

/** The corners of the rectangle between two places. */
export function rectangle(a: Place, b: Place): Place[] {
  return [a, [b[0], a[1]], b, [a[0], b[1]]];
}

/** Whether a place lies inside a closed line: whether a ray from it crosses the line oddly often. */
export function inside(line: readonly Place[], x: number, y: number): boolean {
  let found = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [ax, ay] = line[i]!;
    const [bx, by] = line[j]!;
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) found = !found;
  }
  return found;
}

/** The points, rising, that lie inside a closed line and are shown. */
export function within(
  line: readonly Place[],
  places: Float32Array,
  shown: (point: number) => boolean,
): Uint32Array {
  const xs = line.map((place) => place[0]);
  const ys = line.map((place) => place[1]);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const found: number[] = [];
  for (let i = 0; i < places.length / 2; i++) {
    const x = places[2 * i]!;
    const y = places[2 * i + 1]!;
    if (x < left || x > right || y < low || y > high) continue;
    if (shown(i) && inside(line, x, y)) found.push(i);
  }
  return Uint32Array.from(found);
}

/** A selection, rising, after points were chosen. */
export function combined(before: Uint32Array, chosen: Uint32Array, how: How): Uint32Array {
  if (how === "replace") return chosen;
  const set = new Set(before);
  for (const point of chosen) {
    if (how === "add") set.add(point);
    else set.delete(point);
  }
  return Uint32Array.from(set).sort();
}
