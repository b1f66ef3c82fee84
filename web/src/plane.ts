// The plane of codes that the map shows, and the way back from a place in it to a code.

import type { PlaneHead } from "./scene";

export type Place = [number, number];

/** Finds where a code lies in the plane; the second place is 0 where there is no second direction. */
export function project(plane: PlaneHead, z: ArrayLike<number>): Place {
  const place: Place = [0, 0];
  for (const axis of [0, 1] as const) {
    const direction = plane.basis[axis];
    for (let i = 0; i < direction.length; i++) {
      place[axis] += direction[i]! * (z[i]! - plane.centre[i]!);
    }
  }
  return place;
}

/** Moves a code so that it lies at a place; what of it lies off the plane stays. */
export function moveTo(plane: PlaneHead, z: readonly number[], place: Place): number[] {
  const before = project(plane, z);
  const steps = [place[0] - before[0], place[1] - before[1]] as const;
  return z.map((value, i) => value + steps[0] * plane.basis[0][i]! + steps[1] * plane.basis[1][i]!);
}

/** How far a code lies off the plane. */
export function offPlane(plane: PlaneHead, z: readonly number[]): number {
  const onto = moveTo(plane, plane.centre, project(plane, z));
  return Math.hypot(...z.map((value, i) => value - onto[i]!));
}

/** Whether the plane has a second direction. */
export function hasSecond(plane: PlaneHead): boolean {
  return plane.basis[1].some((value) => value !== 0);
}
