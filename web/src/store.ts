// The state of the page: who changes it says so here, and who shows it is told.

import type { State } from "./state";

type Listener = (state: State, before: State) => void;

const KEPT = 200; // steps that can be taken back
type Remembered = Pick<State, "colour" | "hidden" | "range" | "selection" | "pinned" | "z">;

/** Holds the state, and the steps that led to it. */
export class Store {
  private readonly listeners: Listener[] = [];
  private readonly past: Remembered[] = [];
  private future: Remembered[] = [];

  constructor(private now: State) {}

  get state(): State {
    return this.now;
  }

  /** Calls a function after each change. */
  onChange(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Changes the state; a step can be taken back, what happens on the way (a drag) cannot. */
  set(change: Partial<State>, step = false): void {
    if (step) this.mark();
    const before = this.now;
    this.now = { ...before, ...change };
    for (const listener of this.listeners) listener(this.now, before);
  }

  /** Remembers the state before a change that takes several moves. */
  mark(): void {
    this.past.push(remembered(this.now));
    if (this.past.length > KEPT) this.past.shift();
    this.future = [];
  }

  undo(): boolean {
    return this.step(this.past, this.future);
  }

  redo(): boolean {
    return this.step(this.future, this.past);
  }

  get steps(): { back: number; forth: number } {
    return { back: this.past.length, forth: this.future.length };
  }

  private step(from: Remembered[], to: Remembered[]): boolean {
    const found = from.pop();
    if (!found) return false;
    to.push(remembered(this.now));
    this.set(found);
    return true;
  }
}

function remembered(state: State): Remembered {
  const { colour, hidden, range, selection, pinned, z } = state;
  return { colour, hidden, range, selection, pinned, z };
}
