import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHash, type State, toHash } from "../src/state";
import { Store } from "../src/store";

const first: State = {
  view: null,
  colour: "0",
  hidden: [],
  range: null,
  selection: new Uint32Array(),
  pinned: null,
  z: [0.1, -0.2],
  label: 0,
  grid: false,
  theme: "auto",
};

test("a link brings a state back exactly", () => {
  const state: State = {
    view: { x: 0.1 + 0.2, y: -1e-7, width: 1 / 3 },
    colour: "x3",
    hidden: [1, 4],
    range: [-0.3, 5.000000001],
    selection: Uint32Array.from([2, 3, 90]),
    pinned: 17,
    z: [Math.PI, -1e-300],
    label: 3,
    grid: true,
    theme: "dark",
  };
  assert.deepEqual(fromHash(`#${toHash(state, first)}`, first, 100), state);
});

test("what is as at first is not in the link", () => {
  assert.equal(toHash(first, first), "");
  assert.deepEqual(fromHash("", first, 100), first);
});

test("a damaged link leaves things as they were", () => {
  const hash = "#v=1,2&z=1&h=a&p=400&r=1&s=%00&t=pink&l=NaN&v=NaN,1,1";
  assert.deepEqual(fromHash(hash, first, 100), first);
});

test("steps are taken back and forth, and moves on the way are not steps", () => {
  const store = new Store(first);
  store.set({ z: [1, 1] }, true);
  store.mark();
  store.set({ z: [2, 2] });
  store.set({ z: [3, 3] });
  assert.ok(store.undo());
  assert.deepEqual(store.state.z, [1, 1]);
  assert.ok(store.undo());
  assert.deepEqual(store.state.z, first.z);
  assert.ok(!store.undo());
  assert.ok(store.redo() && store.redo());
  assert.deepEqual(store.state.z, [3, 3]);
  store.set({ colour: "1" }, true);
  assert.ok(!store.redo());
});
