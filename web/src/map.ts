// The map: points, axes, the cursor that is decoded, and what the pointer does.

import { fit, panned, type Size, toPixels, toPlace, type View, zoomed } from "./camera";
import { palette } from "./colours";
import { el } from "./dom";
import { Near } from "./near";
import { drawOverlay } from "./overlay";
import { HIDDEN, type Painter, pointOpacity, pointSize, SELECTED } from "./painter";
import { CanvasPainter } from "./painter_canvas";
import { glPainter } from "./painter_gl";
import { hasSecond, moveTo, type Place, project } from "./plane";
import { type Choice, type Points, shades } from "./points";
import { combined, type How, howBy, rectangle, within } from "./region";
import type { State } from "./state";
import type { Store } from "./store";

export type Tool = "pan" | "lasso" | "rectangle" | "decode";

const NEAR = 14; // pixels in which a point is met
const GRIP = 16; // pixels about the cursor in which it is taken
const STILL = 4; // pixels that a click may move

type Drag =
  | { kind: "pan"; at: Place }
  | { kind: "cursor" }
  | { kind: "line"; line: Place[]; how: How; box: boolean }
  | { kind: "pinch"; far: number };

export class PlaneMap {
  readonly element: HTMLElement;
  readonly painter: Painter;
  tool: Tool = "pan";
  hovered = -1;
  onHover: (point: number) => void = () => {};
  underlay: ((context: CanvasRenderingContext2D, view: View, size: Size) => void) | null = null;

  private readonly under = el("canvas", { class: "layer" });
  private readonly dots = el("canvas", { class: "layer" });
  private readonly over = el("canvas", { class: "layer" });
  private readonly near: Near;
  private flags: Uint8Array;
  private drag: Drag | null = null;
  private start: Place = [0, 0];
  private travelled = 0; // pixels from there, at most
  private readonly fingers = new Map<number, Place>();
  private asked = false;
  private drawn = ""; // how the points were drawn last; empty where they have changed since

  constructor(
    private readonly points: Points,
    private readonly store: Store,
    private readonly canDecode: boolean,
  ) {
    this.element = el(
      "div",
      {
        class: "map",
        tabindex: 0,
        role: "application",
        "aria-label": `Map of ${points.n} points. Arrow keys move the cursor that is decoded, plus and minus zoom.`,
      },
      this.under,
      this.dots,
      this.over,
    );
    this.painter = glPainter(this.dots, points.places) ?? new CanvasPainter(this.dots, points.places);
    this.near = new Near(points.places, points.box);
    this.flags = new Uint8Array(points.n);
    this.listen();
    store.onChange((state, before) => this.changed(state, before));
    new ResizeObserver(() => this.redraw()).observe(this.element);
    this.paintAll();
  }

  get size(): Size {
    return { width: this.element.clientWidth || 1, height: this.element.clientHeight || 1 };
  }

  get view(): View {
    return this.store.state.view ?? fit(this.points.box, this.size);
  }

  /** Whether a point is shown, and so can be met and selected. */
  shown = (point: number): boolean => (this.flags[point]! & HIDDEN) === 0;

  /** Counts the points that are shown. */
  countShown(): number {
    let n = 0;
    for (const flag of this.flags) if (!(flag & HIDDEN)) n++;
    return n;
  }

  zoom(factor: number, at: Place = [this.size.width / 2, this.size.height / 2]): void {
    this.store.set({ view: zoomed(this.view, this.size, at, factor) });
  }

  reset(): void {
    this.store.set({ view: null });
  }

  /** Brings a place into the window, where it is not in it. */
  reveal(place: Place): void {
    const [x, y] = toPixels(this.view, this.size, place);
    const { width, height } = this.size;
    if (x < 20 || y < 20 || x > width - 20 || y > height - 20) {
      this.store.set({ view: { ...this.view, x: place[0], y: place[1] } });
    }
  }

  /** Moves the cursor by steps of a hundredth of the window; where nothing decodes, the map. */
  step(dx: number, dy: number): void {
    const unit = this.view.width / 100;
    if (!this.canDecode) {
      this.store.set({
        view: { ...this.view, x: this.view.x + dx * unit, y: this.view.y + dy * unit },
      });
      return;
    }
    const [x, y] = project(this.points.head.plane, this.store.state.z);
    this.moveCursor([x + dx * unit, y + dy * unit], false);
  }

  redraw(): void {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  /** Takes colours and flags from the state, and draws. */
  paintAll(): void {
    const { state } = this.store;
    const choice = this.points.choice(state.colour);
    this.flags = flagsOf(this.points.n, choice, state);
    this.painter.mark(shades(choice, this.points.n), this.flags);
    this.drawn = "";
    this.painter.colours(palette(choice ? (choice.groups?.length ?? null) : 1, isDark()));
    this.redraw();
  }

  private changed(state: State, before: State): void {
    const kinds = ["colour", "hidden", "range", "selection", "theme"] as const;
    if (kinds.some((kind) => state[kind] !== before[kind])) this.paintAll();
    else this.redraw();
  }

  private draw(): void {
    const { view, size } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const zoom = fit(this.points.box, size).width / view.width;
    const look = {
      size: pointSize(this.points.n, size, zoom),
      opacity: this.store.state.grid ? 0.25 : pointOpacity(this.points.n, zoom),
      dim: 0.12,
      ratio,
    };
    // The cursor moves more often than the points do, and these are many.
    const drawn = JSON.stringify([view, size, look]);
    if (drawn !== this.drawn) this.painter.draw(view, size, look);
    this.drawn = drawn;
    const under = prepared(this.under, size, ratio);
    this.underlay?.(under, view, size);
    const { pinned, z } = this.store.state;
    drawOverlay(prepared(this.over, size, ratio), {
      view,
      size,
      style: getComputedStyle(this.element),
      twoAxes: hasSecond(this.points.head.plane),
      rings: [...new Set([pinned ?? -1, this.hovered])]
        .filter((p) => p >= 0)
        .map((p) => this.placeOf(p)),
      cursor: this.canDecode ? this.cursorPlace(z) : null,
      line: this.drag?.kind === "line" ? this.drag.line : [],
    });
  }

  private cursorPlace(z: readonly number[]): Place {
    return project(this.points.head.plane, z);
  }

  private placeOf(point: number): Place {
    return [this.points.places[2 * point]!, this.points.places[2 * point + 1]!];
  }

  private moveCursor(place: Place, step: boolean): void {
    this.store.set({ z: moveTo(this.points.head.plane, this.store.state.z, place) }, step);
  }

  private listen(): void {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.up(event));
    element.addEventListener("pointercancel", (event) => this.up(event));
    element.addEventListener("pointerleave", () => this.hover(-1));
    element.addEventListener("dblclick", () => this.reset());
    element.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const lines = event.deltaMode === 1 ? 20 : 1;
        this.zoom(Math.exp(-event.deltaY * lines * 0.0016), this.pixel(event));
      },
      { passive: false },
    );
  }

  private pixel(event: MouseEvent): Place {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    const pixel = this.pixel(event);
    this.element.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, pixel);
    if (this.fingers.size === 2) {
      this.drag = { kind: "pinch", far: apart(this.fingers) };
      return;
    }
    this.start = pixel;
    this.travelled = 0;
    const place = toPlace(this.view, this.size, pixel);
    const box = this.tool === "rectangle";
    if (this.tool === "lasso" || box || event.shiftKey) {
      this.drag = { kind: "line", line: [place], how: howBy(event), box };
    } else if (this.canDecode && (this.tool === "decode" || this.onCursor(pixel))) {
      this.store.mark();
      this.drag = { kind: "cursor" };
      this.moveCursor(place, false);
    } else this.drag = { kind: "pan", at: pixel };
  }

  private onCursor(pixel: Place): boolean {
    const [x, y] = toPixels(this.view, this.size, this.cursorPlace(this.store.state.z));
    return Math.hypot(x - pixel[0], y - pixel[1]) <= GRIP;
  }

  private move(event: PointerEvent): void {
    const pixel = this.pixel(event);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, pixel);
    const { drag } = this;
    this.travelled = Math.max(
      this.travelled,
      Math.hypot(pixel[0] - this.start[0], pixel[1] - this.start[1]),
    );
    const place = toPlace(this.view, this.size, pixel);
    switch (drag?.kind) {
      case "pan":
        this.store.set({
          view: panned(this.view, this.size, pixel[0] - drag.at[0], pixel[1] - drag.at[1]),
        });
        drag.at = pixel;
        break;
      case "cursor":
        this.moveCursor(place, false);
        break;
      case "line":
        drag.line = drag.box ? rectangle(drag.line[0]!, place) : [...drag.line, place];
        this.redraw();
        break;
      case "pinch": {
        const far = apart(this.fingers);
        this.zoom(far / (drag.far || 1), pixel);
        drag.far = far;
        break;
      }
      default: {
        const reach = (NEAR * this.view.width) / this.size.width;
        this.hover(this.near.find(place, reach, this.shown));
        this.element.classList.toggle("grip", this.canDecode && this.onCursor(pixel));
      }
    }
  }

  private up(event: PointerEvent): void {
    const pixel = this.pixel(event);
    const still = this.travelled <= STILL;
    const { drag } = this;
    this.fingers.delete(event.pointerId);
    if (this.fingers.size === 0) this.drag = null;
    if (event.type === "pointercancel") return;
    if (drag?.kind === "line" && !still) {
      const chosen = within(drag.line, this.points.places, this.shown);
      this.select(chosen, drag.how);
    } else if ((drag?.kind === "pan" || drag?.kind === "line") && still) this.click(pixel, event);
    this.redraw();
  }

  private select(chosen: Uint32Array, how: How): void {
    this.store.set({ selection: combined(this.store.state.selection, chosen, how) }, true);
  }

  /** A click on a point looks at it and takes its code; with Ctrl or Alt it is added or removed. */
  private click(pixel: Place, event: PointerEvent): void {
    const place = toPlace(this.view, this.size, pixel);
    const reach = (NEAR * this.view.width) / this.size.width;
    const point = this.near.find(place, reach, this.shown);
    const how = howBy(event);
    if (point < 0) {
      if (this.store.state.pinned !== null) this.store.set({ pinned: null }, true);
    } else if (how === "replace") this.look(point);
    else this.select(Uint32Array.of(point), how);
  }

  /** Looks at a point: it stays in the panel, and the cursor takes its code. */
  look(point: number): void {
    const z = this.points.code(point) ?? this.store.state.z;
    this.store.set({ pinned: point, z }, true);
    this.reveal(this.placeOf(point));
  }

  private hover(point: number): void {
    if (point === this.hovered) return;
    this.hovered = point;
    this.onHover(point);
    this.redraw();
  }
}

/** Whether the page stands on dark paper. */
export function isDark(): boolean {
  return getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
}

/** What of the points is hidden and what is selected. */
function flagsOf(n: number, choice: Choice | undefined, state: State): Uint8Array {
  const flags = new Uint8Array(n);
  for (const point of state.selection) flags[point] = SELECTED;
  if (!choice) return flags;
  const hidden = new Set(state.hidden);
  for (let i = 0; i < n; i++) {
    const value = choice.values[i]!;
    const gone = choice.groups
      ? hidden.has(value)
      : state.range !== null && !(value >= state.range[0] && value <= state.range[1]);
    if (gone) flags[i]! |= HIDDEN;
  }
  return flags;
}

function prepared(canvas: HTMLCanvasElement, size: Size, ratio: number): CanvasRenderingContext2D {
  canvas.width = Math.round(size.width * ratio);
  canvas.height = Math.round(size.height * ratio);
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  return context;
}

function apart(fingers: Map<number, Place>): number {
  const [a, b] = [...fingers.values()];
  return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 1;
}
