// Decoded pictures over the whole window: what the decoder makes of every part of the plane.

import { type Size, toPixels, toPlace, type View } from "./camera";
import type { Decoder } from "./decoder";
import { el } from "./dom";
import { extent, pixels } from "./pictures";
import { moveTo, type Place } from "./plane";
import type { SceneHead } from "./scene";

const CELL = 58; // CSS pixels
const WAIT = 90; // milliseconds after the last move of the view

interface Sheet {
  view: View;
  size: Size; // of the window that it was made for
  reach: Place; // of the sheet, in that window's pixels; its last row may lie beyond
  canvas: HTMLCanvasElement;
}

/** Decodes a sheet of pictures for a view, and draws it wherever the view has gone since. */
export class Grid {
  private sheet: Sheet | null = null;
  private made = ""; // what the sheet is made from, or will be
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly head: SceneHead,
    private readonly decoder: Promise<Decoder | null>,
    private readonly redraw: () => void,
  ) {}

  /** Draws the sheet there is, and decodes another one where the view is another. */
  draw(
    context: CanvasRenderingContext2D,
    view: View,
    size: Size,
    z: readonly number[],
    label: number,
  ): void {
    const { sheet } = this;
    if (sheet) this.paint(context, sheet, view, size);
    // What lies off the plane is the same wherever in it the cursor is.
    const off = moveTo(this.head.plane, z, [0, 0]).map((value) => value.toFixed(6));
    const made = JSON.stringify([view, size, label, off]);
    if (made === this.made) return;
    this.made = made;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.decode(view, size, z, label), sheet ? WAIT : 0);
  }

  private paint(context: CanvasRenderingContext2D, sheet: Sheet, view: View, size: Size): void {
    const left = toPixels(view, size, toPlace(sheet.view, sheet.size, [0, 0]));
    const right = toPixels(view, size, toPlace(sheet.view, sheet.size, sheet.reach));
    context.imageSmoothingEnabled = false;
    context.drawImage(sheet.canvas, left[0], left[1], right[0] - left[0], right[1] - left[1]);
  }

  private async decode(view: View, size: Size, z: readonly number[], label: number): Promise<void> {
    const decoder = await this.decoder;
    if (!decoder) return;
    const { height, width } = extent(this.head.example);
    const columns = Math.max(1, Math.round(size.width / CELL));
    const side = size.width / columns;
    const tall = (side * height) / width;
    const rows = Math.max(1, Math.ceil(size.height / tall));
    const canvas = el("canvas");
    canvas.width = columns * width;
    canvas.height = rows * height;
    const sheet: Sheet = { view, size, reach: [size.width, rows * tall], canvas };
    this.sheet = sheet;
    const entries = this.head.example.shape.reduce((a, b) => a * b, 1);
    for (let row = 0; row < rows; row++) {
      const codes = Array.from({ length: columns }, (_, column) => {
        const pixel: Place = [(column + 0.5) * side, (row + 0.5) * tall];
        return moveTo(this.head.plane, z, toPlace(view, size, pixel));
      });
      const x = await decoder.decode(codes.flat(), label);
      if (this.sheet !== sheet || !x) return; // another view by now
      const context = canvas.getContext("2d")!;
      for (let column = 0; column < columns; column++) {
        const bytes = pixels(this.head.example, x, column * entries);
        context.putImageData(new ImageData(bytes, width, height), column * width, row * height);
      }
      this.redraw();
    }
  }
}
