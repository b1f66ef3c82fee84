// What the parts of the page share.

import type { Decoder } from "./decoder";
import type { PlaneMap } from "./map";
import type { Extents } from "./panels/comparison";
import type { Points } from "./points";
import type { SceneHead } from "./scene";
import type { Store } from "./store";
import type { Numbers } from "./unpack";

export interface Context {
  head: SceneHead;
  points: Points;
  store: Store;
  map: PlaneMap;
  decoder: Promise<Decoder | null>;
  originals: Promise<Numbers | null>;
  reconstructions: Promise<Numbers | null>;
  extents: Extents | null;
  dark(): boolean;
}
