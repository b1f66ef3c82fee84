// From base64 of gzip, as it stands in the page, to typed arrays.

import type { ArrayRef, ChunkRef, QuantisedRef } from "./scene";

export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float32Array;

/** Decodes base64 into bytes. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const native = (Uint8Array as unknown as { fromBase64?: (t: string) => Uint8Array<ArrayBuffer> })
    .fromBase64;
  if (native) return native.call(Uint8Array, text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Decompresses gzip. */
export async function gunzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Puts the bytes of float32 together again, whose lowest bytes stand first, then the next ones. */
export function joinPlanes(bytes: Uint8Array): Float32Array {
  const n = bytes.length / 4;
  const joined = new Uint8Array(bytes.length);
  for (let plane = 0; plane < 4; plane++) {
    for (let i = 0; i < n; i++) joined[4 * i + plane] = bytes[plane * n + i]!;
  }
  return new Float32Array(joined.buffer);
}

/** Reads an array of the bytes of its chunk. */
export function asNumbers(bytes: Uint8Array<ArrayBuffer>, dtype: ArrayRef["dtype"]): Numbers {
  switch (dtype) {
    case "uint8":
      return bytes;
    case "uint16":
      return new Uint16Array(bytes.buffer);
    case "uint32":
      return new Uint32Array(bytes.buffer);
    case "float32":
      return joinPlanes(bytes);
  }
}

/** A number of a quantised array: of a row, and of a column of it. */
export function valueAt(ref: QuantisedRef, numbers: Numbers, row: number, column: number): number {
  const width = ref.low.length;
  return ref.low[column]! + ref.step[column]! * numbers[row * width + column]!;
}

/** The chunks of a page, each decompressed once, when it is first asked for. */
export class Chunks {
  private readonly found = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();

  constructor(private readonly text: (chunk: number) => string) {}

  /** Reads the chunks that stand in the page. */
  static ofPage(): Chunks {
    return new Chunks((chunk) => {
      const element = document.getElementById(`chunk-${chunk}`);
      const text = element?.textContent ?? "";
      element?.remove(); // its text takes a third more than the bytes do
      return text;
    });
  }

  bytes(ref: { chunk: number }): Promise<Uint8Array<ArrayBuffer>> {
    let found = this.found.get(ref.chunk);
    if (!found) {
      found = gunzip(fromBase64(this.text(ref.chunk)));
      this.found.set(ref.chunk, found);
    }
    return found;
  }

  async array(ref: ArrayRef): Promise<Numbers> {
    return asNumbers(await this.bytes(ref), ref.dtype);
  }

  /** Reads lines of text. */
  async lines(ref: ChunkRef): Promise<string[]> {
    return new TextDecoder().decode(await this.bytes(ref)).split("\n");
  }
}
