// The points: where they lie, what they are called, their values, originals and codes.

import type { Box } from "./camera";
import { MISSING, SHADES } from "./colours";
import type { ColumnHead, SceneHead } from "./scene";
import { type Chunks, type Numbers, valueAt } from "./unpack";
import { shown } from "./values";

const MOST_ENTRIES = 200; // of a row, that points can be coloured by

/** What points can be coloured and filtered by. */
export interface Choice {
  key: string;
  name: string;
  groups: string[] | null; // null: a scale
  values: ArrayLike<number>; // one for each point: a group's number, or a value; NaN where there is none
  low: number;
  high: number;
  text(value: number): string;
}

export class Points {
  readonly n: number;
  readonly box: Box;
  readonly choices: Choice[] = [];
  private readonly starts: number[] = [0];
  private readonly slots: Int32Array; // of each point among the originals, -1 where it is not

  private constructor(
    readonly head: SceneHead,
    readonly places: Float32Array,
    private readonly numbers: Numbers,
    private readonly held: Numbers,
    private readonly rows: (Numbers | null)[],
    private readonly names: (string[] | null)[],
    private readonly codes: Numbers | null,
  ) {
    this.n = head.n;
    for (const part of head.parts) this.starts.push(this.starts.at(-1)! + part.n);
    this.slots = new Int32Array(this.n).fill(-1);
    held.forEach((point, slot) => {
      this.slots[point] = slot;
    });
    this.box = boxOf(head, places);
  }

  /** Reads what is needed to draw the points. */
  static async read(head: SceneHead, chunks: Chunks): Promise<Points> {
    const none = new Uint32Array();
    const numbers = head.places ? await chunks.array(head.places) : none;
    const places = new Float32Array(2 * head.n);
    for (let i = 0; i < places.length; i++) places[i] = valueAt(head.places!, numbers, i >> 1, i & 1);
    const points = new Points(
      head,
      places,
      numbers,
      head.held ? await chunks.array(head.held) : none,
      await Promise.all(head.parts.map((part) => (part.rows ? chunks.array(part.rows) : null))),
      await Promise.all(head.parts.map((part) => (part.ids ? chunks.lines(part.ids) : null))),
      head.codes ? await chunks.array(head.codes) : null,
    );
    const values = await Promise.all(head.columns.map((column) => chunks.array(column.values)));
    head.columns.forEach((column, i) => {
      points.choices.push(choiceOf(column, `${i}`, values[i]!));
    });
    return points;
  }

  /** Adds the entries of rows to what points can be coloured by, once the originals are read. */
  addEntries(originals: Numbers): void {
    const { example } = this.head;
    if (example.layout !== "row") return;
    const width = example.shape[0]!;
    if (width > MOST_ENTRIES) return;
    for (let entry = 0; entry < width; entry++) {
      const column = example.columns[entry];
      const values = new Float32Array(this.n).fill(Number.NaN);
      this.held.forEach((point, slot) => {
        values[point] = originals[slot * width + entry]!;
      });
      const words = column?.kind === "category" ? column.categories : null;
      const groups = column?.kind === "boolean" ? ["false", "true"] : words;
      this.choices.push({
        key: `x${entry}`,
        name: column?.name ?? `x${entry}`,
        groups: groups && groups.length < MISSING ? groups : null,
        values,
        ...ends(values),
        text: (value) => shown(column, value),
      });
    }
  }

  /** The part that a point is of, and its number among the part's examples. */
  origin(point: number): { part: string; row: number; id: string | null } {
    let at = 0;
    while (at + 2 < this.starts.length && point >= this.starts[at + 1]!) at++;
    const place = point - this.starts[at]!;
    const row = this.rows[at]?.[place] ?? place;
    return { part: this.head.parts[at]?.name ?? "", row, id: this.names[at]?.[place] ?? null };
  }

  /** What a point is called: the name that the data give it, else part and row. */
  id(point: number): string {
    const { part, row, id } = this.origin(point);
    if (id !== null) return id;
    return part && this.head.parts.length > 1 ? `${part} ${row}` : String(row);
  }

  /** The place of a point among the originals, -1 where it is not. */
  slot(point: number): number {
    return this.slots[point] ?? -1;
  }

  /** The code of a point, or null where the page does not hold it. */
  code(point: number): number[] | null {
    const { dims } = this.head.latent;
    if (!this.codes) {
      if (this.head.plane.kind !== "itself") return null;
      return Array.from({ length: dims }, (_, k) => valueAt(this.head.places!, this.numbers, point, k));
    }
    const row = this.head.codes!.of === "all" ? point : this.slot(point);
    if (row < 0) return null;
    return Array.from({ length: dims }, (_, k) => valueAt(this.head.codes!, this.codes!, row, k));
  }

  choice(key: string): Choice | undefined {
    return this.choices.find((choice) => choice.key === key);
  }
}

/** The numbers of colours (N,) that a column gives to its points. */
export function shades(choice: Choice | undefined, n: number): Uint8Array {
  const made = new Uint8Array(n);
  if (!choice) return made;
  const span = choice.high - choice.low || 1;
  for (let i = 0; i < n; i++) {
    const value = choice.values[i]!;
    if (Number.isNaN(value)) made[i] = MISSING;
    else if (choice.groups) made[i] = value;
    else {
      const share = Math.max(0, Math.min(1, (value - choice.low) / span));
      made[i] = Math.round(share * (SHADES - 1));
    }
  }
  return made;
}

function choiceOf(column: ColumnHead, key: string, values: Numbers): Choice {
  const groups = column.groups.length ? column.groups : null;
  const text = (value: number) => (groups ? (groups[value] ?? "") : shown(undefined, value));
  return { key, name: column.name, groups, values, ...ends(values), text };
}

/** The ends of a scale: of long tails the colours leave the outermost hundredth out. */
function ends(values: ArrayLike<number>): { low: number; high: number } {
  const every = Math.max(1, Math.floor(values.length / 20_000));
  const some: number[] = [];
  for (let i = 0; i < values.length; i += every) if (Number.isFinite(values[i]!)) some.push(values[i]!);
  some.sort((a, b) => a - b);
  const at = (share: number) => some[Math.round(share * (some.length - 1))] ?? 0;
  return { low: at(0.01), high: at(0.99) };
}

function boxOf(head: SceneHead, places: Float32Array): Box {
  if (!places.length) return { low: [-3, -3], high: [3, 3] };
  const { low, step } = head.places!;
  const high = low.map((value, k) => value + 65535 * step[k]!);
  return { low: [low[0]!, low[1]!], high: [high[0]!, high[1]!] };
}
