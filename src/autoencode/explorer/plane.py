"""The plane in which codes are shown, and the way back from a place in it to a code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autoencode.errors import OptionError
from autoencode.types import Array

_FITTED = 20_000  # rows that the principal axes are computed from
_UNNAMED = "no second dimension: points are spread to be told apart"


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane through the codes: ``z = centre + u * basis[0] + v * basis[1]``.

    Attributes:
        kind: ``itself`` where the codes have no more than two dimensions, ``pca`` for the principal
            axes, ``axes`` for two dimensions that were chosen.
        names: what is written on the two axes.
        centre: (Z,) the code at the place (0, 0).
        basis: (2, Z) orthonormal directions; the second is zero where there is one dimension only.
    """

    kind: Literal["itself", "pca", "axes"]
    names: tuple[str, str]
    centre: Array
    basis: Array

    def project(self, codes: Array) -> Array:
        """Finds the places (N, 2) of codes (N, Z); what lies off the plane is left out.

        >>> plane = plane_for(np.array([[1.0, 2.0], [3.0, 4.0]]))
        >>> plane.project(np.array([[5.0, 6.0]])).tolist()
        [[5.0, 6.0]]
        """
        places: Array = (codes - self.centre) @ self.basis.T
        if not self.basis[1].any():
            places[:, 1] = np.random.default_rng(0).uniform(-1, 1, len(places))
        return places

    def codes_at(self, places: Array) -> Array:
        """Finds the codes (N, Z) of places (N, 2): the way back."""
        codes: Array = self.centre + places @ self.basis
        return codes


def plane_for(codes: Array, axes: Sequence[int] | None = None) -> Plane:
    """Chooses the plane in which codes are shown.

    Args:
        codes: (N, Z), finite.
        axes: the numbers of two dimensions to show; by default both where there are two, else the
            two principal axes.

    Raises:
        OptionError: for dimensions that the codes do not have.
    """
    n_dims = codes.shape[1]
    if axes is not None:
        return _chosen(n_dims, tuple(axes))
    if n_dims == 1:
        return Plane("itself", ("z0", _UNNAMED), np.zeros(1), np.array([[1.0], [0.0]]))
    if n_dims == 2:
        return Plane("itself", ("z0", "z1"), np.zeros(2), np.eye(2))
    return _principal(codes)


def _chosen(n_dims: int, axes: tuple[int, ...]) -> Plane:
    if len(axes) != 2 or axes[0] == axes[1] or not all(0 <= axis < n_dims for axis in axes):
        raise OptionError(
            f"axes are two different dimensions of a code, from 0 to {n_dims - 1}, got "
            f"{', '.join(map(str, axes))}"
        )
    basis = np.zeros((2, n_dims))
    basis[[0, 1], list(axes)] = 1.0
    names = (f"z{axes[0]}", f"z{axes[1]}")
    return Plane("axes", names, np.zeros(n_dims), basis)


def _principal(codes: Array) -> Plane:
    """Computes the plane of the two directions in which the codes vary most, through their mean."""
    codes = codes.astype(np.float64)
    centre = codes.mean(axis=0)
    rows = np.linspace(0, len(codes) - 1, min(len(codes), _FITTED)).astype(int)
    _, spread, basis = np.linalg.svd(codes[rows] - centre, full_matrices=len(codes) < 2)
    share = spread**2 / (np.sum(spread**2) or 1.0)
    share = np.pad(share, (0, 2))[:2]
    basis = basis[:2]
    # A direction and its opposite are one axis; the same one is taken every time.
    basis = basis * np.where(basis[[0, 1], np.abs(basis).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    names = tuple(f"PC {i + 1} of z ({100 * s:.0f} % of variance)" for i, s in enumerate(share))
    return Plane("pca", (names[0], names[1]), centre, basis)
