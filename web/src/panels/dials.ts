// What the decoder makes of z: a picture, and a slider for each dimension.

import type { Context } from "../context";
import { button, card, el } from "../dom";
import { offPlane } from "../plane";
import { short } from "../values";
import { Comparison } from "./comparison";

const MOST = 48; // sliders: the dimensions that vary most
const SPREAD = 3; // standard deviations to either side

export function dialsPanel(context: Context): HTMLElement {
  const { head, store } = context;
  if ("why_not" in head.decoder) {
    const why = el("p", { class: "notice" }, `This page does not decode: ${head.decoder.why_not}.`);
    return card("dials", "Decoder", why);
  }
  const { differs } = head.decoder;
  const parity = differs ? `as in Python to ${differs.toExponential(0)}` : "exactly as in Python";
  const picture = new Comparison(head.example, context.extents, 224);
  const state = el("p", { class: "soft", "aria-live": "off" }, "Starting the decoder …");
  const off = el("p", { class: "soft" });
  const rows = dimensions(head.spread.sd).map((dimension) => new Dial(context, dimension));
  const hidden = head.latent.dims - rows.length;
  const panel = card(
    "dials",
    "Decoder",
    el("div", { class: "decoded" }, picture.element),
    state,
    labelChoice(context, head.decoder.labels),
    el("div", { class: "sliders" }, ...rows.map((row) => row.element)),
    hidden > 0
      ? el("p", { class: "soft" }, `${hidden} more dimensions vary less and have no slider.`)
      : null,
    off,
    el(
      "div",
      { class: "row" },
      button("Mean", () => store.set({ z: [...head.spread.mean] }, true), {
        title: "The mean of all codes",
      }),
      button("Draw", () => store.set({ z: drawn(head.spread) }, true), {
        title: "A draw from a normal distribution with the codes' means and spreads",
      }),
      head.plane.kind === "itself"
        ? null
        : button("Onto the plane", () => store.set({ z: ontoPlane() }, true), {
            title: "Takes away what lies off the plane that the map shows",
          }),
    ),
  );

  function ontoPlane(): number[] {
    const { plane } = head;
    const { z } = store.state;
    const places = plane.basis.map((direction) =>
      direction.reduce((sum, value, i) => sum + value * (z[i]! - plane.centre[i]!), 0),
    );
    return z.map(
      (_, i) => plane.centre[i]! + places[0]! * plane.basis[0][i]! + places[1]! * plane.basis[1][i]!,
    );
  }

  async function decode(): Promise<void> {
    const { z, label } = store.state;
    const decoder = await context.decoder;
    if (!decoder) return;
    const x = await decoder.decode(z, label);
    if (!x) return;
    picture.show(null, x, context.dark());
    panel.dataset.decodes = String(decoder.count);
    state.textContent = `decoded in ${decoder.milliseconds.toFixed(1)} ms, ${parity}`;
  }

  function showAll(): void {
    for (const row of rows) row.show(store.state.z);
    const far = head.plane.kind === "itself" ? 0 : offPlane(head.plane, store.state.z);
    off.textContent = far > 1e-6 ? `z lies ${short(far)} off the plane of the map.` : "";
  }

  context.decoder.then(
    (decoder) => {
      if (!decoder) state.textContent = "";
    },
    (error: unknown) => {
      state.className = "notice";
      state.textContent = `The decoder cannot be started: ${error instanceof Error ? error.message : error}`;
    },
  );
  store.onChange((now, before) => {
    if (now.z !== before.z) showAll();
    if (now.z !== before.z || now.label !== before.label || now.theme !== before.theme) void decode();
  });
  showAll();
  decode().catch(() => {}); // said above
  return panel;
}

/** One slider with a field for the exact number. */
class Dial {
  readonly element: HTMLElement;
  private readonly slider: HTMLInputElement;
  private readonly field: HTMLInputElement;
  private readonly places: number; // behind the point: a thousandth of the spread

  constructor(
    private readonly context: Context,
    private readonly dimension: number,
  ) {
    const { mean, sd } = context.head.spread;
    const half = SPREAD * (sd[dimension]! || 1);
    const [low, high] = [mean[dimension]! - half, mean[dimension]! + half];
    this.places = Math.max(0, Math.min(12, 3 - Math.floor(Math.log10(sd[dimension]! || 1))));
    const name = `z${dimension}`;
    const label = `${name}, mean ${short(mean[dimension]!)}, spread ${short(sd[dimension]!)}`;
    const common = { step: "any", "aria-label": label, title: label };
    this.slider = el("input", {
      type: "range",
      min: low,
      max: high,
      ...common,
      "data-dimension": dimension,
    });
    this.field = el("input", { type: "number", ...common });
    this.slider.step = String((high - low) / 400);
    this.slider.addEventListener("pointerdown", () => context.store.mark());
    this.slider.addEventListener("input", () => this.set(Number(this.slider.value), false));
    this.field.addEventListener("change", () => this.set(Number(this.field.value), true));
    this.element = el(
      "div",
      { class: "dial" },
      el("span", { class: "z" }, name),
      this.slider,
      this.field,
    );
  }

  show(z: readonly number[]): void {
    const value = z[this.dimension]!;
    if (document.activeElement !== this.slider || Number(this.slider.value) !== value) {
      this.slider.value = String(value);
    }
    this.field.value = String(Number(value.toFixed(this.places)));
  }

  private set(value: number, step: boolean): void {
    if (!Number.isFinite(value)) return;
    const z = [...this.context.store.state.z];
    z[this.dimension] = value;
    this.context.store.set({ z }, step);
  }
}

function labelChoice(context: Context, labels: string[]): HTMLElement | null {
  if (!labels.length) return null;
  const choice = el("select", { "aria-label": "label that is decoded for" });
  labels.forEach((label, i) => {
    choice.append(el("option", { value: i }, label));
  });
  const show = () => {
    choice.value = String(context.store.state.label);
  };
  choice.addEventListener("change", () => context.store.set({ label: Number(choice.value) }, true));
  context.store.onChange(show);
  show();
  return el("label", { class: "row" }, "for the label", choice);
}

/** The dimensions that get a slider: all, or those that vary most, in their own order. */
function dimensions(sd: readonly number[]): number[] {
  const order = sd.map((_, i) => i).sort((a, b) => sd[b]! - sd[a]!);
  return order.slice(0, MOST).sort((a, b) => a - b);
}

function drawn(spread: { mean: number[]; sd: number[] }): number[] {
  return spread.mean.map((mean, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return mean + spread.sd[i]! * radius * Math.cos(2 * Math.PI * Math.random());
  });
}
