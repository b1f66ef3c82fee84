import assert from "node:assert/strict";
import { test } from "node:test";
import { Near } from "../src/near";
import { nearest, spherical, straight } from "../src/paths";
import { hasSecond, moveTo, offPlane, project } from "../src/plane";
import { combined, howBy, inside, rectangle, within } from "../src/region";
import type { PlaneHead } from "../src/scene";

/** Numbers in [0, 1) that are the same every time. */
function numbers(n: number): Float32Array {
  let seed = 1;
  return Float32Array.from({ length: n }, () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  });
}

const places = numbers(4000);
const box = { low: [0, 0] as [number, number], high: [1, 1] as [number, number] };

test("the nearest point is the one that a look at all finds", () => {
  const near = new Near(places, box);
  const asked = numbers(400);
  for (let k = 0; k < 200; k++) {
    const [x, y] = [asked[2 * k]! * 1.2 - 0.1, asked[2 * k + 1]! * 1.2 - 0.1];
    let best = -1;
    let least = 0.05 ** 2;
    for (let i = 0; i < 2000; i++) {
      const far = (places[2 * i]! - x) ** 2 + (places[2 * i + 1]! - y) ** 2;
      if (i % 3 && far <= least) [best, least] = [i, far];
    }
    assert.equal(
      near.find([x, y], 0.05, (i) => i % 3 !== 0),
      best,
    );
  }
});

test("points in one place are found", () => {
  const near = new Near(new Float32Array(20).fill(0.5), { low: [0.5, 0.5], high: [0.5, 0.5] });
  assert.notEqual(
    near.find([0.5, 0.5], 0.1, () => true),
    -1,
  );
  assert.equal(
    near.find([0.8, 0.5], 0.1, () => true),
    -1,
  );
});

test("a line takes exactly what lies inside it", () => {
  const line = rectangle([0.2, 0.3], [0.6, 0.4]);
  const found = within(line, places, () => true);
  const wanted = Array.from({ length: 2000 }, (_, i) => i).filter((i) => {
    const [x, y] = [places[2 * i]!, places[2 * i + 1]!];
    return x > 0.2 && x < 0.6 && y > 0.3 && y < 0.4;
  });
  assert.deepEqual(Array.from(found), wanted);
  const star: [number, number][] = [
    [0, 0],
    [4, 0],
    [4, 4],
    [2, 1],
    [0, 4],
  ];
  assert.ok(inside(star, 0.5, 1) && inside(star, 3.5, 1) && !inside(star, 2, 3));
});

test("keys add to a selection and take from it", () => {
  const keys = { ctrlKey: false, metaKey: false, altKey: false };
  assert.equal(howBy(keys), "replace");
  assert.equal(howBy({ ...keys, metaKey: true }), "add");
  assert.equal(howBy({ ...keys, ctrlKey: true, altKey: true }), "remove");
  const [before, chosen] = [Uint32Array.of(1, 5), Uint32Array.of(2, 5)];
  assert.deepEqual(Array.from(combined(before, chosen, "replace")), [2, 5]);
  assert.deepEqual(Array.from(combined(before, chosen, "add")), [1, 2, 5]);
  assert.deepEqual(Array.from(combined(before, chosen, "remove")), [1]);
});

test("a code moves in the plane, and keeps what lies off it", () => {
  const plane: PlaneHead = {
    kind: "pca",
    names: ["a", "b"],
    centre: [1, 2, 3],
    basis: [
      [0.6, 0.8, 0],
      [-0.8, 0.6, 0],
    ],
  };
  const moved = moveTo(plane, [4, 4, 4], [0.5, -2]);
  const place = project(plane, moved);
  assert.ok(Math.hypot(place[0] - 0.5, place[1] + 2) < 1e-12);
  assert.equal(moved[2], 4);
  assert.ok(Math.abs(offPlane(plane, moved) - 1) < 1e-12);
  assert.ok(hasSecond(plane));
});

test("paths begin and end at their ends, and an arc keeps its length", () => {
  const [a, b] = [
    [3, 0, 0],
    [0, 0, 3],
  ];
  for (const way of [straight, spherical]) {
    for (const [share, end] of [
      [0, a],
      [1, b],
    ] as const) {
      way(a!, b!, share).forEach((value, i) => {
        assert.ok(Math.abs(value - end![i]!) < 1e-12);
      });
    }
  }
  assert.ok(Math.abs(Math.hypot(...spherical(a!, b!, 0.3)) - 3) < 1e-12);
  assert.deepEqual(straight(a!, b!, 0.5), [1.5, 0, 1.5]);
  assert.deepEqual(spherical([1, 0], [-1, 0], 0.5), [0, 0]);
  assert.deepEqual(spherical([0, 0], [2, 0], 0.5), [1, 0]);
});

test("neighbours are those that a sort by distance puts first", () => {
  const code = (point: number) => (point === 9 ? null : places.subarray(2 * point, 2 * point + 2));
  const far = (point: number) =>
    (places[2 * point]! - places[10]!) ** 2 + (places[2 * point + 1]! - places[11]!) ** 2;
  const wanted = Array.from({ length: 300 }, (_, i) => i)
    .filter((i) => i !== 5 && i !== 9)
    .sort((x, y) => far(x) - far(y))
    .slice(0, 6);
  assert.deepEqual(nearest(code, 300, 5, 6), wanted);
  assert.deepEqual(nearest(code, 300, 9, 6), []);
});
