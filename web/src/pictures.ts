// An example as a picture: its own pixels, or lines of a signal.

import { css, differenceColour, groupColour } from "./colours";
import { el } from "./dom";
import type { ExampleHead } from "./scene";

/** Whether an example is drawn by its pixels. */
export function hasPixels(example: ExampleHead): boolean {
  return example.layout === "image" || example.layout === "volume";
}

/** Channels, height and width of what is drawn; of a volume its middle slice. */
export function extent(example: ExampleHead): {
  channels: number;
  height: number;
  width: number;
  skip: number;
} {
  const shape = example.shape;
  const [channels, height, width] = [shape[0]!, shape[shape.length - 2]!, shape[shape.length - 1]!];
  const slices = shape.slice(1, -2).reduce((a, b) => a * b, 1);
  return { channels, height, width, skip: Math.floor(slices / 2) * height * width };
}

/** The bytes (RGBA) of an example: raw values become shades between the example's low and high. */
export function pixels(
  example: ExampleHead,
  x: ArrayLike<number>,
  from = 0,
): Uint8ClampedArray<ArrayBuffer> {
  const { channels, height, width, skip } = extent(example);
  const plane = height * width;
  const stride = example.shape.slice(1).reduce((a, b) => a * b, 1);
  const scale = 255 / (example.high - example.low || 1);
  const made = new Uint8ClampedArray(4 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 4; c++) {
      const channel = channels >= 3 ? c : 0;
      const alpha = c === 3 && channels !== 4;
      const value = alpha ? 255 : (x[from + channel * stride + skip + i]! - example.low) * scale;
      made[4 * i + c] = value;
    }
  }
  return made;
}

/** The bytes of a difference, blue where less was made and orange where more was. */
export function differencePixels(
  example: ExampleHead,
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  dark: boolean,
): Uint8ClampedArray<ArrayBuffer> {
  const { channels, height, width, skip } = extent(example);
  const plane = height * width;
  const stride = example.shape.slice(1).reduce((a, b) => a * b, 1);
  const span = example.high - example.low || 1;
  const made = new Uint8ClampedArray(4 * plane);
  const seen = Math.min(channels, 3);
  for (let i = 0; i < plane; i++) {
    let sum = 0;
    for (let c = 0; c < seen; c++) {
      const at = c * stride + skip + i;
      sum += (after[at]! - before[at]!) / span / seen;
    }
    made.set([...differenceColour(sum, dark), 255], 4 * i);
  }
  return made;
}

/** Puts bytes on a canvas that has as many pixels as the example. */
export function paint(
  canvas: HTMLCanvasElement,
  example: ExampleHead,
  bytes: Uint8ClampedArray<ArrayBuffer>,
): void {
  const { height, width } = extent(example);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")!.putImageData(new ImageData(bytes, width, height), 0, 0);
}

/** A canvas for an example's pixels, shown at ``side`` CSS pixels or the next whole multiple below. */
export function pixelCanvas(example: ExampleHead, label: string, side: number): HTMLCanvasElement {
  const { height, width } = extent(example);
  const most = Math.max(height, width);
  const shown = most <= side ? Math.floor(side / most) * most : side;
  const canvas = el("canvas", { class: "pixels", role: "img", "aria-label": label });
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${(shown * width) / most}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  return canvas;
}

const MOST_LINES = 6; // of a signal's features

/** Draws signals as lines over their steps: the original strong, the reconstruction broken. */
export function drawLines(
  canvas: HTMLCanvasElement,
  example: ExampleHead,
  signals: { x: ArrayLike<number>; broken: boolean }[],
  dark: boolean,
): void {
  const [steps, features] =
    example.layout === "sequence" ? (example.shape as [number, number]) : [example.shape[0]!, 1];
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 280;
  const height = canvas.clientHeight || 120;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  const shown = Math.min(features, MOST_LINES);
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { x } of signals) {
    for (let k = 0; k < steps * features; k++) {
      if (k % features >= shown || Number.isNaN(x[k]!)) continue;
      low = Math.min(low, x[k]!);
      high = Math.max(high, x[k]!);
    }
  }
  const at = (step: number, value: number): [number, number] => [
    3 + ((width - 6) * step) / Math.max(1, steps - 1),
    height - 4 - ((height - 8) * (value - low)) / (high - low || 1),
  ];
  for (const { x, broken } of signals) {
    context.setLineDash(broken ? [4, 3] : []);
    context.lineWidth = broken ? 1.75 : 1.5;
    context.globalAlpha = broken ? 1 : 0.75;
    for (let f = 0; f < shown; f++) {
      context.strokeStyle = css(groupColour(f + (broken && shown === 1 ? 2 : 0), dark));
      context.beginPath();
      let open = false;
      for (let step = 0; step < steps; step++) {
        const value = x[step * features + f]!;
        if (Number.isNaN(value)) {
          open = false;
          continue;
        }
        if (open) context.lineTo(...at(step, value));
        else context.moveTo(...at(step, value));
        open = true;
      }
      context.stroke();
    }
  }
}
