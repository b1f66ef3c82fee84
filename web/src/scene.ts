// What the page is given: one JSON head, whose arrays stand in chunks beside it.

export interface ChunkRef {
  chunk: number;
  bytes: number;
}

export interface ArrayRef extends ChunkRef {
  dtype: "uint8" | "uint16" | "uint32" | "float32";
  shape: number[];
}

export interface QuantisedRef extends ArrayRef {
  low: number[];
  step: number[];
}

export interface PlaneHead {
  kind: "itself" | "pca" | "axes";
  names: [string, string];
  centre: number[];
  basis: [number[], number[]];
}

export type Role = "label" | "part" | "factor" | "error" | "score" | "pvalue";

export interface ColumnHead {
  name: string;
  role: Role;
  groups: string[];
  values: ArrayRef;
}

export interface EntryHead {
  name: string;
  kind: "real" | "count" | "boolean" | "category" | "date";
  categories: string[];
}

export interface ExampleHead {
  layout: "row" | "image" | "sequence" | "volume";
  shape: number[];
  low: number;
  high: number;
  columns: EntryHead[];
}

export interface PartHead {
  name: string;
  n: number;
  rows?: ArrayRef;
  ids?: ChunkRef;
}

export interface Metric {
  name: string;
  value: number;
  unit: string;
  meaning: string;
}

export interface DecoderRef extends ChunkRef {
  labels: string[]; // of a conditional model
  channels_last: boolean;
  differs: number; // from Python at most, over what an entry varies by
}

export interface SceneHead {
  format: number;
  version: string;
  title: string;
  recipe: string;
  n: number;
  notices: string[];
  latent: { shape: number[]; dims: number };
  plane: PlaneHead;
  places: QuantisedRef | null;
  spread: { mean: number[]; sd: number[] };
  codes?: QuantisedRef & { of: "all" | "held" };
  parts: PartHead[];
  columns: ColumnHead[];
  example: ExampleHead;
  held?: ArrayRef;
  originals?: ArrayRef;
  reconstructions?: ArrayRef;
  decoder: { why_not: string } | DecoderRef;
  runtime?: { chunk: number };
  history: { unit: string; epochs: Record<string, unknown>[] };
  metrics: Metric[];
  settings: Record<string, unknown>;
}

export const FORMAT = 1;

/** Reads the head of the page. */
export function readHead(): SceneHead {
  const head = JSON.parse(document.getElementById("head")?.textContent ?? "{}") as SceneHead;
  if (head.format !== FORMAT) {
    throw new Error(`this page holds format ${head.format}, and its program reads ${FORMAT}`);
  }
  return head;
}
