"""Groups of rows that lie near each other and far from all others: found by the edges of a tree."""

from __future__ import annotations

import numpy as np

from autoencode.types import Array

LEAST, MOST = 0.02, 0.16  # shares of the rows that a group may have; a larger one is a kind of rows
#: Times as long as nine of ten edges within a group is the edge that joins it to the others. Groups
#: that were planted reach 4.3 to 16, clean rows of 30 tables and drawings, where they are as far from
#: the core, at most 1.9 (``benchmarks/thresholds.py``).
LONGER = 2.25
_FAR = 0.95  # of the other rows lie nearer to the core than the middle of a group
_OTHERS = 0.7  # of the rows at least, which hang together without the group
_NEIGHBOURS = 5
_FEWEST = 10  # rows of a group
_COMPARED = 1_500  # rows of which the tree is made


def find_group(x: Array, far: Array, seed: int) -> Array:
    """Finds a group of rows apart, the clearest one: (N,) true or false.

    The tree that joins all rows by the shortest edges, where no edge counts less than the distance to
    the fifth neighbour of either end, holds every group that density can tell (HDBSCAN: Campello,
    Moulavi & Sander, 2013, https://doi.org/10.1007/978-3-642-37456-2_14). A heavy tail thins out: its
    edges grow towards the end, one row at a time. A group hangs on by one edge that is much longer than
    its own. It is told from a kind of rows that is merely rare by its distance from the core.

    Args:
        x: (N, P) rows without gaps, of columns that vary in the core.
        far: (N,) their distances from the core.
        seed: of the rows that the tree is made of, where there are many.
    """
    some = np.sort(np.random.default_rng([seed, 3]).permutation(len(x))[:_COMPARED])
    unit = _in_spreads(x, x[some])
    near = _distances(unit[some])
    core = np.partition(near, min(_NEIGHBOURS, len(some) - 1), axis=1)[
        :, min(_NEIGHBOURS, len(some) - 1)
    ]
    members, limit = _clearest(np.maximum(near, np.maximum(core[:, None], core)), far[some])
    found = np.zeros(len(x), bool)
    if not members.any():
        return found
    found[some[members]] = True
    others = np.setdiff1d(np.arange(len(x)), some, assume_unique=True)
    for piece in np.array_split(others, len(others) // 2_000 + 1):
        to = _distances(unit[piece], unit[some])
        nearest = np.argmin(to, axis=1)
        found[piece] = members[nearest] & (to[np.arange(len(piece)), nearest] < limit)
    return found


def _clearest(reach: Array, far: Array) -> tuple[Array, float]:
    """Finds the members (N,) of the clearest group in a tree, and the edge that joins it."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    n = len(reach)
    np.fill_diagonal(reach, 0.0)
    reach[reach <= 0] = np.finfo(float).tiny  # rows that are the same still are joined
    np.fill_diagonal(reach, 0.0)
    tree = minimum_spanning_tree(reach).tocoo()
    parts = {i: [i] for i in range(n)}
    edges: dict[int, list[float]] = {i: [] for i in range(n)}
    home = np.arange(n)
    best, members, limit = LONGER, np.zeros(n, bool), np.inf
    for edge in np.argsort(tree.data, kind="stable"):
        large, small, length = (
            int(home[tree.row[edge]]),
            int(home[tree.col[edge]]),
            float(tree.data[edge]),
        )
        if len(parts[large]) < len(parts[small]):
            large, small = small, large
        rows, others = parts.pop(small), parts[large]
        if max(_FEWEST, LEAST * n) <= len(rows) <= MOST * n and len(others) >= _OTHERS * n:
            longer = length / max(float(np.quantile(edges[small], 0.9)), np.finfo(float).tiny)
            if longer > best and np.mean(far[others] < np.median(far[rows])) > _FAR:
                best, limit = longer, length
                members = np.isin(np.arange(n), rows)
        home[rows] = large
        others += rows
        edges[large] += [*edges.pop(small), length]
    return members, limit


def _in_spreads(x: Array, some: Array) -> Array:
    """Measures columns by the middle half of their values, so that no tail sets the unit."""
    low, high = np.quantile(some, [0.25, 0.75], axis=0)
    spread = np.maximum((high - low) / 1.349, 0.05 * some.std(0))
    unit: Array = x / np.where(spread > 0, spread, 1.0)
    return unit


def _distances(a: Array, b: Array | None = None) -> Array:
    b = a if b is None else b
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    lengths: Array = np.sqrt(np.maximum(squares, 0.0))
    return lengths
