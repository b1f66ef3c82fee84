// Points on a plain canvas, for browsers without WebGL2: slower, and the same picture.

import { type Size, toPixels, type View } from "./camera";
import { HIDDEN, type Look, type Painter, SELECTED } from "./painter";

export class CanvasPainter implements Painter {
  readonly kind = "canvas";
  private readonly context: CanvasRenderingContext2D;
  private shades: Uint8Array = new Uint8Array();
  private flags: Uint8Array = new Uint8Array();
  private palette: Uint8Array = new Uint8Array(1024);

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly places: Float32Array,
  ) {
    this.context = canvas.getContext("2d")!;
  }

  mark(shades: Uint8Array, flags: Uint8Array): void {
    this.shades = shades;
    this.flags = flags;
  }

  colours(palette: Uint8Array): void {
    this.palette = palette;
  }

  draw(view: View, size: Size, look: Look): void {
    const { canvas, context } = this;
    canvas.width = Math.round(size.width * look.ratio);
    canvas.height = Math.round(size.height * look.ratio);
    context.scale(look.ratio, look.ratio);
    const selected = this.flags.some((flag) => flag === SELECTED);
    const passes: [number | null, number][] = selected
      ? [
          [0, look.dim],
          [SELECTED, 1],
        ]
      : [[null, look.opacity]];
    for (const [wanted, opacity] of passes) this.pass(view, size, look, wanted, opacity);
  }

  /** Draws the points of one kind, colour by colour: to change it takes longer than to draw. */
  private pass(view: View, size: Size, look: Look, wanted: number | null, opacity: number): void {
    const { context, palette } = this;
    const byShade = new Map<number, number[]>();
    for (let i = 0; i < this.shades.length; i++) {
      const flag = this.flags[i]!;
      if (flag & HIDDEN || (wanted !== null && (flag & SELECTED) !== wanted)) continue;
      const shade = this.shades[i]!;
      const list = byShade.get(shade);
      if (list) list.push(i);
      else byShade.set(shade, [i]);
    }
    context.globalAlpha = opacity;
    for (const [shade, points] of byShade) {
      const [r, g, b] = palette.slice(4 * shade, 4 * shade + 3);
      context.fillStyle = `rgb(${r} ${g} ${b})`;
      for (const point of points) {
        const [x, y] = toPixels(view, size, [this.places[2 * point]!, this.places[2 * point + 1]!]);
        if (x < -9 || y < -9 || x > size.width + 9 || y > size.height + 9) continue;
        if (look.size < 4) context.fillRect(x - look.size / 2, y - look.size / 2, look.size, look.size);
        else {
          context.beginPath();
          context.arc(x, y, look.size / 2, 0, 7);
          context.fill();
        }
      }
    }
  }
}
