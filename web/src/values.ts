// Numbers and values as a reader sees them.

import type { EntryHead } from "./scene";

/** Writes a number to four significant digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** Writes a value of a table's column in the column's own terms. */
export function shown(column: EntryHead | undefined, value: number): string {
  if (Number.isNaN(value)) return "missing";
  switch (column?.kind) {
    case "category": {
      const place = Math.max(0, Math.min(column.categories.length - 1, Math.round(value)));
      return column.categories[place] ?? "";
    }
    case "boolean":
      return value >= 0.5 ? "true" : "false";
    case "date":
      return day(value);
    default:
      return short(value);
  }
}

/** Writes days since 1970 as a date. */
export function day(days: number): string {
  const date = new Date(days * 86_400_000);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString().slice(0, 10);
}

/** Writes a cell of a CSV file; what a spreadsheet would take for a formula is kept as text. */
export function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Places for marks on an axis: round numbers, about one for each 90 pixels. */
export function ticks(low: number, high: number, pixels: number): number[] {
  const wanted = Math.max(2, pixels / 90);
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= raw) ?? raw;
  const found: number[] = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++)
    found.push(Number((k * step).toPrecision(12)));
  return found;
}
