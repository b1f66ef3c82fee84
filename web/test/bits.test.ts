import assert from "node:assert/strict";
import { test } from "node:test";
import { read, write } from "../src/bits";

const cases: number[][] = [
  [],
  [0],
  [69_999],
  [0, 1, 2, 3, 900, 901, 69_999],
  Array.from({ length: 70_000 }, (_, i) => i),
  Array.from({ length: 5_000 }, (_, i) => i * 14 + (i % 3)),
];

test("sets of points come back from text that needs no escapes", () => {
  for (const points of cases) {
    const text = write(Uint32Array.from(points));
    assert.match(text, /^[A-Za-z0-9_-]*$/);
    assert.deepEqual(Array.from(read(text, 70_000)), points);
  }
});

test("a run of points takes a few letters", () => {
  assert.ok(write(Uint32Array.from({ length: 70_000 }, (_, i) => i)).length < 8);
});

test("damaged text gives points that there are", () => {
  for (const text of ["?!", "zzzz____", "gICAgICAgIA", "AAAA".repeat(50)]) {
    assert.ok(Array.from(read(text, 10)).every((point) => point < 10));
  }
});
