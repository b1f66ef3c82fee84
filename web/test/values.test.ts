import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { groupColour, MISSING, palette, scaleColour } from "../src/colours";
import { channelsFirst } from "../src/decoder";
import { differencePixels, pixels } from "../src/pictures";
import { type Choice, shades } from "../src/points";
import type { ExampleHead } from "../src/scene";
import { Chunks, joinPlanes, valueAt } from "../src/unpack";
import { cell, day, short, shown, ticks } from "../src/values";

const picture: ExampleHead = { layout: "image", shape: [1, 2, 2], low: 0, high: 1, columns: [] };

test("numbers and values are written for readers", () => {
  assert.deepEqual([1234.5678, 0.000012345, 0, Number.NaN, 2e9].map(short), [
    "1235",
    "1.23e-5",
    "0",
    "–",
    "2.00e+9",
  ]);
  const pet = { name: "pet", kind: "category" as const, categories: ["cat", "dog"] };
  assert.equal(shown(pet, 1), "dog");
  assert.equal(shown(pet, Number.NaN), "missing");
  assert.equal(shown({ name: "old", kind: "boolean", categories: [] }, 0), "false");
  assert.equal(day(19_000.5), "2022-01-08");
});

test("cells of CSV are quoted, and none is a formula", () => {
  assert.deepEqual(['a,"b"', "=1+1", "-3.5", "@x", "plain"].map(cell), [
    '"a,""b"""',
    "'=1+1",
    "-3.5",
    "'@x",
    "plain",
  ]);
});

test("marks of an axis are round and lie within", () => {
  assert.deepEqual(ticks(-1, 1, 400), [-1, -0.5, 0, 0.5, 1]);
});

test("chunks are read once, and bytes of float32 come together again", async () => {
  const values = Float32Array.of(1.5, -2, 3e8);
  const bytes = new Uint8Array(values.buffer);
  const planes = Uint8Array.from({ length: 12 }, (_, i) => bytes[4 * (i % 3) + Math.floor(i / 3)]!);
  assert.deepEqual(joinPlanes(planes), values);
  let asked = 0;
  const chunks = new Chunks(() => {
    asked += 1;
    return gzipSync(planes).toString("base64");
  });
  const ref = { chunk: 0, bytes: 12, dtype: "float32" as const, shape: [3] };
  assert.deepEqual(await chunks.array(ref), values);
  assert.deepEqual(await chunks.array(ref), values);
  assert.equal(asked, 1);
  const quantised = { ...ref, low: [10, -1], step: [0.5, 2] };
  assert.equal(valueAt(quantised, Uint16Array.of(0, 0, 4, 3), 1, 1), 5);
});

test("pixels are shades between low and high, of one channel or three", () => {
  assert.deepEqual(
    Array.from(pixels(picture, [0, 0.5, 1, 2]).slice(4, 12)),
    [128, 128, 128, 255, 255, 255, 255, 255],
  );
  const colours: ExampleHead = { ...picture, shape: [3, 1, 2], high: 255 };
  assert.deepEqual(Array.from(pixels(colours, [1, 2, 3, 4, 5, 6])), [1, 3, 5, 255, 2, 4, 6, 255]);
});

test("a difference is orange where more was made, blue where less, paper where it is none", () => {
  const [more, less, none] = [0, 1, 2].map((i) =>
    Array.from(
      differencePixels(picture, [0, 1, 0.5, 0], [1, 0, 0.5, 0], false).slice(4 * i, 4 * i + 3),
    ),
  );
  assert.ok(more![0]! > more![2]! && less![2]! > less![0]!);
  assert.deepEqual(none, [250, 250, 248]);
});

test("channels that stand last are brought to the front", () => {
  // Two places of three channels.
  assert.deepEqual(
    Array.from(channelsFirst(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 1, 2])),
    [1, 4, 2, 5, 3, 6],
  );
});

test("groups and scales have their colours, and what has no value is grey", () => {
  const scale: Choice = {
    key: "a",
    name: "a",
    groups: null,
    values: [0, 5, 10, 99, Number.NaN],
    low: 0,
    high: 10,
    text: String,
  };
  assert.deepEqual(Array.from(shades(scale, 5)), [0, 127, 253, 253, MISSING]);
  assert.deepEqual(
    Array.from(shades({ ...scale, groups: ["x", "y"], values: [1, 0, 1] }, 3)),
    [1, 0, 1],
  );
  const colours = new Set(Array.from({ length: 10 }, (_, i) => groupColour(i, false).join()));
  assert.equal(colours.size, 10);
  assert.deepEqual(
    Array.from(palette(null, false).slice(4 * MISSING, 4 * MISSING + 3)),
    [140, 140, 140],
  );
  assert.deepEqual(Array.from(palette(2, true).slice(4, 7)), groupColour(1, true));
  assert.deepEqual(scaleColour(0, false), [68, 1, 84]);
});
