// Ways from one code to another, and which codes are near to one.

/** The code at a share of the straight line from a to b. */
export function straight(a: readonly number[], b: readonly number[], share: number): number[] {
  return a.map((value, i) => value + share * (b[i]! - value));
}

/**
 * The code at a share of the arc from a to b about the origin; its length goes evenly from one to the other.
 *
 * Codes in opposite directions, and those in the origin, have no one arc: between them it is the line.
 */
export function spherical(a: readonly number[], b: readonly number[], share: number): number[] {
  const [far, near] = [Math.hypot(...a), Math.hypot(...b)];
  const cosine = a.reduce((sum, value, i) => sum + value * b[i]!, 0) / (far * near);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  if (!(angle > 1e-6) || Math.PI - angle < 1e-6) return straight(a, b, share);
  const length = far + share * (near - far);
  const [first, second] = [Math.sin((1 - share) * angle), Math.sin(share * angle)];
  return a.map((value, i) => {
    return (length * ((first * value) / far + (second * b[i]!) / near)) / Math.sin(angle);
  });
}

/** The points whose codes are nearest to a point's own, without that one, the nearest first. */
export function nearest(
  code: (point: number) => ArrayLike<number> | null,
  n: number,
  point: number,
  count: number,
): number[] {
  const own = code(point);
  if (!own) return [];
  const found: { point: number; far: number }[] = [];
  for (let other = 0; other < n; other++) {
    const there = other === point ? null : code(other);
    if (!there) continue;
    let far = 0;
    for (let i = 0; i < own.length; i++) far += (own[i]! - there[i]!) ** 2;
    if (found.length === count && far >= found[count - 1]!.far) continue;
    const place = found.findIndex((one) => far < one.far);
    found.splice(place < 0 ? found.length : place, 0, { point: other, far });
    if (found.length > count) found.pop();
  }
  return found.map((one) => one.point);
}
