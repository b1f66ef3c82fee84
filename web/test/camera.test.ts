import assert from "node:assert/strict";
import { test } from "node:test";
import { fit, panned, toPixels, toPlace, type View, zoomed } from "../src/camera";

const size = { width: 800, height: 600 };
const view: View = { x: 1, y: -2, width: 4 };

test("a place goes to a pixel and back", () => {
  const back = toPlace(view, size, toPixels(view, size, [1.7, -2.4]));
  assert.ok(Math.hypot(back[0] - 1.7, back[1] + 2.4) < 1e-12);
  assert.deepEqual(toPixels(view, size, [1, -2]), [400, 300]);
});

test("the place under the pointer stays while one zooms", () => {
  const pixel: [number, number] = [130, 420];
  const near = zoomed(view, size, pixel, 3);
  const [before, after] = [toPlace(view, size, pixel), toPlace(near, size, pixel)];
  assert.ok(Math.hypot(before[0] - after[0], before[1] - after[1]) < 1e-12);
  assert.ok(Math.abs(near.width - view.width / 3) < 1e-12);
});

test("a drag takes the place with it", () => {
  const place = toPlace(view, size, [100, 100]);
  const after = toPixels(panned(view, size, 30, -20), size, place);
  assert.ok(Math.hypot(after[0] - 130, after[1] - 80) < 1e-9);
});

test("all of a box is in the window", () => {
  const shown = fit({ low: [0, 0], high: [1, 10] }, size);
  const [x, y] = toPixels(shown, size, [1, 10]);
  assert.ok(x < 800 && y > 0);
});
