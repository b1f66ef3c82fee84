// What lies over the points: marks of the axes, rings about points, the cursor, a line that is drawn.

import { type Size, toPixels, toPlace, type View } from "./camera";
import type { Place } from "./plane";
import { short, ticks } from "./values";

export interface Overlay {
  view: View;
  size: Size;
  style: CSSStyleDeclaration; // whose colours are those of the page
  twoAxes: boolean;
  rings: Place[];
  cursor: Place | null;
  line: readonly Place[];
}

const ARMS = [
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
] as const;

export function drawOverlay(context: CanvasRenderingContext2D, over: Overlay): void {
  const colour = (name: string) => over.style.getPropertyValue(name);
  drawMarks(context, over, colour("--soft"), colour("--paper"));
  for (const place of over.rings) {
    ring(context, over, place, 7, colour("--paper"), 4.5);
    ring(context, over, place, 7, colour("--ink"), 2);
  }
  if (over.cursor) {
    drawCursor(context, over, over.cursor, colour("--paper"), 6);
    drawCursor(context, over, over.cursor, colour("--accent"), 2.5);
  }
  if (over.line.length > 1) drawLine(context, over, colour("--accent"));
}

function drawMarks(
  context: CanvasRenderingContext2D,
  over: Overlay,
  soft: string,
  paper: string,
): void {
  const { view, size } = over;
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 3;
  context.strokeStyle = paper;
  context.fillStyle = soft;
  const write = (text: string, x: number, y: number) => {
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  };
  const [left, top] = toPlace(view, size, [0, 0]);
  const [right, bottom] = toPlace(view, size, [size.width, size.height]);
  context.textAlign = "center";
  for (const tick of ticks(left, right, size.width)) {
    const x = toPixels(view, size, [tick, 0])[0];
    if (x > 40 && x < size.width - 20) write(short(tick), x, size.height - 6);
  }
  if (!over.twoAxes) return;
  context.textAlign = "left";
  for (const tick of ticks(bottom, top, size.height)) {
    const y = toPixels(view, size, [0, tick])[1];
    if (y > 34 && y < size.height - 20) write(short(tick), 5, y + 4);
  }
}

function ring(
  context: CanvasRenderingContext2D,
  { view, size }: Overlay,
  place: Place,
  radius: number,
  colour: string,
  width: number,
): void {
  context.beginPath();
  context.arc(...toPixels(view, size, place), radius, 0, 7);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function drawCursor(
  context: CanvasRenderingContext2D,
  over: Overlay,
  place: Place,
  colour: string,
  width: number,
): void {
  ring(context, over, place, 10, colour, width);
  const [x, y] = toPixels(over.view, over.size, place);
  context.beginPath();
  for (const [dx, dy] of ARMS) {
    context.moveTo(x + 5 * dx, y + 5 * dy);
    context.lineTo(x + 17 * dx, y + 17 * dy);
  }
  context.stroke();
}

function drawLine(
  context: CanvasRenderingContext2D,
  { view, size, line }: Overlay,
  colour: string,
): void {
  context.beginPath();
  for (const place of line) context.lineTo(...toPixels(view, size, place));
  context.closePath();
  context.lineWidth = 1.5;
  context.setLineDash([5, 3]);
  context.strokeStyle = colour;
  context.stroke();
  context.globalAlpha = 0.12;
  context.fillStyle = colour;
  context.fill();
}
