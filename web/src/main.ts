// The page: reads its data, puts the parts together, keeps the address up to date.

import type { Context } from "./context";
import { Decoder } from "./decoder";
import { button, el } from "./dom";
import { Grid } from "./grid";
import { helpDialog, listenToKeys } from "./help";
import { isDark, PlaneMap } from "./map";
import { extentsOf } from "./panels/comparison";
import { dialsPanel } from "./panels/dials";
import { inspectPanel } from "./panels/inspect";
import { legendPanel } from "./panels/legend";
import { pathPanel } from "./panels/path";
import { runPanel } from "./panels/run";
import { selectionPanel } from "./panels/selection";
import { Points } from "./points";
import { readHead, type SceneHead } from "./scene";
import { fromHash, type State, toHash } from "./state";
import { Store } from "./store";
import { toolbar } from "./toolbar";
import { Chunks } from "./unpack";

const LATER = 250; // milliseconds after which the address follows

async function main(): Promise<void> {
  const root = document.getElementById("explorer")!;
  const head = readHead();
  const chunks = Chunks.ofPage();
  const points = await Points.read(head, chunks);
  const first = firstState(head, points);
  const store = new Store(fromHash(location.hash, first, points.n));
  applyTheme(store.state.theme);
  const canDecode = "chunk" in head.decoder;
  const map = new PlaneMap(points, store, canDecode);
  const originals = after(() =>
    head.originals ? chunks.array(head.originals) : Promise.resolve(null),
  );
  const context: Context = {
    head,
    points,
    store,
    map,
    originals: originals.then((values) => {
      if (values) points.addEntries(values);
      return values;
    }),
    reconstructions: after(() =>
      head.reconstructions ? chunks.array(head.reconstructions) : Promise.resolve(null),
    ),
    decoder: after(() => (canDecode ? Decoder.start(head, chunks) : Promise.resolve(null))),
    extents: null,
    dark: isDark,
  };
  // Rows need their bars' ends before they are shown; pictures do not, and should not wait.
  if (head.example.layout === "row") context.extents = extentsOf(head.example, await context.originals);
  build(root, context);
  restoreEntries(context, first);
  followAddress(store, first, points.n);
  Object.assign(window, { explorer: context }); // for those who look at the page from its console
  root.dataset.painter = map.painter.kind;
  // The map was asked to draw before this is.
  requestAnimationFrame(() => {
    root.dataset.ready = String(Math.round(performance.now()));
  });
}

/** Does what is not needed to draw the points after they were drawn. */
function after<T>(work: () => Promise<T>): Promise<T> {
  return new Promise((done, fail) => {
    requestAnimationFrame(() => setTimeout(() => work().then(done, fail)));
  });
}

function firstState(head: SceneHead, points: Points): State {
  const roles = (["label", "score", "error"] as const).map((role) =>
    head.columns.findIndex((column) => column.role === role),
  );
  const key = points.choices[roles.find((place) => place >= 0) ?? -1]?.key ?? "";
  return {
    view: null,
    colour: key,
    hidden: [],
    range: null,
    selection: new Uint32Array(),
    pinned: null,
    z: [...head.spread.mean],
    label: 0,
    grid: false,
    theme: "auto",
  };
}

function build(root: HTMLElement, context: Context): void {
  const { head, map, store } = context;
  const help = helpDialog();
  const grid = new Grid(head, context.decoder, () => map.redraw());
  map.underlay = (canvas, view, size) => {
    if (store.state.grid) grid.draw(canvas, view, size, store.state.z, store.state.label);
  };
  store.onChange((now, before) => {
    if (now.grid !== before.grid) map.redraw();
  });
  const plane = el(
    "div",
    { class: "stage" },
    toolbar(context, help),
    map.element,
    el("p", { class: "axes" }, `→ ${head.plane.names[0]}`, el("br"), `↑ ${head.plane.names[1]}`),
  );
  const cards = el(
    "div",
    { class: "cards" },
    dialsPanel(context),
    inspectPanel(context),
    legendPanel(context),
    selectionPanel(context),
    ...[pathPanel(context), runPanel(context)].filter((panel) => panel !== null),
  );
  root.replaceChildren(
    el(
      "header",
      {},
      el("h1", {}, head.title),
      el("p", { class: "soft" }, summary(head)),
      themeButton(store),
    ),
    ...head.notices.map((text) => el("p", { class: head.n ? "note" : "notice", role: "note" }, text)),
    el("main", {}, plane, el("div", { class: "panels" }, cards)),
    el("p", { id: "live", class: "aside", "aria-live": "polite" }),
    help,
  );
  listenToKeys(context, help);
}

function summary(head: SceneHead): string {
  const parts = head.parts.filter((part) => part.name).map((part) => `${part.n} ${part.name}`);
  const of = parts.length ? ` (${parts.join(", ")})` : "";
  const dims = head.latent.dims === 1 ? "1 latent dimension" : `${head.latent.dims} latent dimensions`;
  return `${head.n} ${head.n === 1 ? "point" : "points"}${of} · ${dims} · autoencode ${head.version}`;
}

function themeButton(store: Store): HTMLElement {
  const next = { auto: "light", light: "dark", dark: "auto" } as const;
  const made = button("", () => store.set({ theme: next[store.state.theme] }), { class: "theme" });
  const show = () => {
    made.textContent = `Theme: ${store.state.theme}`;
    applyTheme(store.state.theme);
  };
  store.onChange((now, before) => {
    if (now.theme !== before.theme) show();
  });
  show();
  return made;
}

function applyTheme(theme: State["theme"]): void {
  document.documentElement.dataset.theme = theme;
}

/** A colour that a link names may be a column of the originals, which are read by now or later. */
function restoreEntries(context: Context, first: State): void {
  const { store, points } = context;
  if (points.choice(store.state.colour) || !store.state.colour) return;
  void context.originals.then(() => {
    store.set(
      points.choice(store.state.colour) ? { colour: store.state.colour } : { colour: first.colour },
    );
    context.map.paintAll();
  });
}

/** Keeps the address in step with the state, and the state with an address that is typed in. */
function followAddress(store: Store, first: State, n: number): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let written = location.hash.replace(/^#/, "");
  store.onChange(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      written = toHash(store.state, first);
      history.replaceState(null, "", `#${written}`);
    }, LATER);
  });
  window.addEventListener("hashchange", () => {
    const hash = location.hash.replace(/^#/, "");
    if (hash !== written) store.set(fromHash(hash, first, n));
  });
}

main().catch((error: unknown) => {
  const text = `This page cannot be shown: ${error instanceof Error ? error.message : error}`;
  document
    .getElementById("explorer")
    ?.replaceChildren(el("p", { class: "notice", role: "alert" }, text));
});
