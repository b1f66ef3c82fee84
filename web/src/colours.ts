// Colours that colour-blind readers can tell apart, on light and on dark paper.

export type Rgb = [number, number, number];

// Paul Tol's "muted" and "light" schemes, and grey.
const LIGHT = [
  "332288",
  "44aa99",
  "cc6677",
  "117733",
  "88ccee",
  "ddaa33",
  "882255",
  "999933",
  "aa4499",
  "777777",
];
const DARK = [
  "99ddff",
  "ee8866",
  "44bb99",
  "eedd88",
  "ffaabb",
  "77aadd",
  "bbcc33",
  "cc99ff",
  "aaaa00",
  "dddddd",
];

// Eight stops of viridis, and of it from where dark paper lets it be seen.
const SCALE = ["440154", "46327e", "365c8d", "277f8e", "1fa187", "4ac16d", "a0da39", "fde725"].map(rgb);

export const SHADES = 254; // of a scale; the last shade is for what has no value
export const MISSING = 255;

/** Reads a colour such as ``332288``. */
export function rgb(hex: string): Rgb {
  const value = Number.parseInt(hex, 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** The colour of a group; groups beyond ten take other hues, evenly apart. */
export function groupColour(group: number, dark: boolean): Rgb {
  const ten = dark ? DARK : LIGHT;
  if (group < ten.length) return rgb(ten[group]!);
  const hue = (group * 137.508) % 360;
  return fromHsl(hue, 0.55, dark ? 0.7 : 0.42);
}

/** The colour of a share in [0, 1] of a scale. */
export function scaleColour(share: number, dark: boolean): Rgb {
  const place =
    Math.max(0, Math.min(1, dark ? 0.18 + 0.82 * share : 0.95 * share)) * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(place));
  const rest = place - i;
  return SCALE[i]!.map((value, k) => Math.round(value + rest * (SCALE[i + 1]![k]! - value))) as Rgb;
}

/** The colour of a difference in [-1, 1]: blue below, orange above, and paper where there is none. */
export function differenceColour(share: number, dark: boolean): Rgb {
  const paper: Rgb = dark ? [38, 38, 41] : [250, 250, 248];
  const end: Rgb = share < 0 ? [0, 110, 200] : [220, 90, 0];
  const much = Math.min(1, Math.abs(share)) ** 0.75;
  return paper.map((value, k) => Math.round(value + much * (end[k]! - value))) as Rgb;
}

/** The 256 colours (RGBA bytes) that the numbers of points stand for. */
export function palette(groups: number | null, dark: boolean): Uint8Array {
  const colours = new Uint8Array(4 * 256);
  for (let i = 0; i < 256; i++) {
    const colour: Rgb =
      i === MISSING && groups === null
        ? [140, 140, 140]
        : groups === null
          ? scaleColour(i / (SHADES - 1), dark)
          : groupColour(i, dark);
    colours.set([...colour, 255], 4 * i);
  }
  return colours;
}

export function css(colour: Rgb): string {
  return `rgb(${colour.join(" ")})`;
}

function fromHsl(hue: number, saturation: number, light: number): Rgb {
  const part = (n: number): number => {
    const k = (n + hue / 30) % 12;
    const a = saturation * Math.min(light, 1 - light);
    return Math.round(255 * (light - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}
