// Sets of points as short text, for a link.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Writes rising numbers as text: the gaps between them and how long runs without a gap are. */
export function write(points: Uint32Array): string {
  const bytes: number[] = [];
  let next = 0;
  for (let i = 0; i < points.length; ) {
    let run = 1;
    while (i + run < points.length && points[i + run] === points[i]! + run) run++;
    push(bytes, points[i]! - next);
    push(bytes, run - 1);
    next = points[i]! + run;
    i += run;
  }
  return toText(bytes);
}

/** Reads numbers that ``write`` wrote; those that are no point, or damaged text, are left out. */
export function read(text: string, n: number): Uint32Array {
  const bytes = fromText(text);
  const points: number[] = [];
  let at = 0;
  let next = 0;
  const pull = (): number => {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || factor > 2 ** 35) return Number.NaN;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const first = next + pull();
    const last = first + pull();
    if (!(last < n)) break;
    for (let point = first; point <= last; point++) points.push(point);
    next = last + 1;
  }
  return Uint32Array.from(points);
}

function push(bytes: number[], value: number): void {
  while (value >= 128) {
    bytes.push((value % 128) + 128);
    value = Math.floor(value / 128);
  }
  bytes.push(value);
}

function toText(bytes: number[]): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const rest = bytes.length - i;
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let k = 0; k <= Math.min(rest, 3); k++) text += LETTERS[(word >> (18 - 6 * k)) & 63];
  }
  return text;
}

function fromText(text: string): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i += 4) {
    const part = text.slice(i, i + 4);
    let word = 0;
    for (let k = 0; k < 4; k++) word = (word << 6) | Math.max(0, LETTERS.indexOf(part[k] ?? "A"));
    for (let k = 0; k < part.length - 1; k++) bytes.push((word >> (16 - 8 * k)) & 255);
  }
  return bytes;
}
