// Which point is nearest to a place, without looking at all of them.

import type { Box } from "./camera";
import type { Place } from "./plane";

/** A grid over the points: each cell lists those that lie in it. */
export class Near {
  private readonly side: number;
  private readonly starts: Uint32Array;
  private readonly order: Uint32Array;

  /** Sorts points, x and y in turn, into the cells of a grid over a box. */
  constructor(
    private readonly places: Float32Array,
    private readonly box: Box,
  ) {
    const n = places.length / 2;
    this.side = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(n / 4))));
    this.starts = new Uint32Array(this.side * this.side + 1);
    this.order = new Uint32Array(n);
    const cells = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      const cell = this.column(places[2 * i]!) + this.side * this.row(places[2 * i + 1]!);
      cells[i] = cell;
      this.starts[cell + 1]!++;
    }
    for (let c = 0; c < this.side * this.side; c++) this.starts[c + 1]! += this.starts[c]!;
    const next = this.starts.slice();
    for (let i = 0; i < n; i++) this.order[next[cells[i]!]!++] = i;
  }

  /** The nearest point within a distance for which ``shown`` holds; -1 where there is none. */
  find(place: Place, within: number, shown: (point: number) => boolean): number {
    let best = -1;
    let least = within * within;
    const left = this.column(place[0] - within);
    const right = this.column(place[0] + within);
    for (let row = this.row(place[1] - within); row <= this.row(place[1] + within); row++) {
      const first = this.starts[row * this.side + left]!;
      const last = this.starts[row * this.side + right + 1]!;
      for (let k = first; k < last; k++) {
        const point = this.order[k]!;
        const dx = this.places[2 * point]! - place[0];
        const dy = this.places[2 * point + 1]! - place[1];
        const distance = dx * dx + dy * dy;
        if (distance <= least && shown(point)) {
          best = point;
          least = distance;
        }
      }
    }
    return best;
  }

  private column(x: number): number {
    return this.cell(x, this.box.low[0], this.box.high[0]);
  }

  private row(y: number): number {
    return this.cell(y, this.box.low[1], this.box.high[1]);
  }

  private cell(value: number, low: number, high: number): number {
    const share = (value - low) / (high - low || 1);
    return Math.max(0, Math.min(this.side - 1, Math.floor(share * this.side)));
  }
}
