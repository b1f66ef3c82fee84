"""What a page of an explorer shows: the run's data through its model, packed for the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autoencode.data import Examples, Stored
from autoencode.errors import DataError, OptionError
from autoencode.explorer.columns import Column, factor_columns, judged, labels_column
from autoencode.explorer.decoding import Decoding
from autoencode.explorer.originals import add_values, describe, errors, n_held
from autoencode.explorer.pack import Packed
from autoencode.explorer.plane import Plane, plane_for
from autoencode.trained import Trained
from autoencode.types import Array, DataSpec
from autoencode.version import __version__

FORMAT = 1
_CHUNK = 4000  # rows that are computed together
_MOST_CODES = 2_000_000  # numbers of the codes of all points; of more, those of the originals are held
_ORDER = ("test", "validation", "train")  # whose originals come first


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the data that are shown.

    Attributes:
        name: train, validation, test, or what else they are called.
        examples: in memory or on disk.
        scores: (N,) anomaly scores, higher is more anomalous, or ``None``.
        pvalues: (N,) how rare such a score is among usual rows, or ``None``.
    """

    name: str
    examples: Examples | Stored
    scores: Array | None = None
    pvalues: Array | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """What a page shows.

    Attributes:
        head: all that is no array, as JSON has it; it names the chunks.
        packed: the arrays.
    """

    head: dict[str, Any]
    packed: Packed


@dataclass(frozen=True)
class Facts:
    """What is known of a run beside its model and data.

    Attributes:
        title: the page's.
        history: one mapping for each epoch.
        unit: of the losses in it.
        metrics: figures with name, value, unit and meaning.
        notices: what a reader must know.
    """

    title: str
    history: Sequence[Mapping[str, Any]] = ()
    unit: str = ""
    metrics: Sequence[Mapping[str, Any]] = ()
    notices: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class _Seen:
    """Points that went through the model: their codes and errors, and some of them whole."""

    codes: Array
    errors: Array
    held: Array  # (M,) the numbers of the points whose originals are here
    before: Array
    after: Array


def build_scene(
    trained: Trained,
    parts: Sequence[Part],
    facts: Facts,
    decoding: Decoding,
    *,
    max_points: int,
    originals: int | None = None,
    axes: Sequence[int] | None = None,
) -> Scene:
    """Takes data through a model and packs what a page shows of them.

    Args:
        trained: the model.
        parts: the data, in the order in which their points are numbered; none where they are not at
            hand.
        facts: what else is known of the run.
        decoding: the decoder as the page runs it, or why there is none.
        max_points: the most points; of more, some are drawn.
        originals: of how many points the examples themselves are held; by default as many as take 8 MB,
            10 000 at most. Those of the test part come first.
        axes: see ``plane_for``.

    Raises:
        OptionError: for numbers out of range.
        DataError: when no code is finite.
    """
    if max_points < 1 or (originals is not None and originals < 0):
        raise OptionError("the numbers of points and originals must be at least 1 and 0")
    packed = Packed()
    samples, notices = _sampled(parts, max_points)
    n = sum(len(rows) for _, rows in samples)
    head = _head(trained, facts, n)
    head["decoder"] = decoding.add_to(packed)
    if n:
        held = _held(samples, n_held(trained.spec) if originals is None else originals)
        seen = _through(trained, samples, held)
        head |= _positions(packed, plane_for(seen.codes, axes), seen)
        head["parts"] = _parts(packed, samples)
        head["columns"] = [column.add_to(packed) for column in _columns(samples, seen)]
        head |= _examples(packed, trained.spec, seen, reconstructed=decoding.content is None)
        if len(held) < n:
            notices.append(
                f"of {n} points the page holds the originals of {_counted(samples, held)}; --originals "
                "chooses how many"
            )
    else:
        head |= _empty(trained)
    head["notices"] = [*facts.notices, *notices]
    return Scene(head, packed)


def _head(trained: Trained, facts: Facts, n: int) -> dict[str, Any]:
    """What a page says of the run, whatever its points are."""
    shape = trained.latent_shape
    return {
        "format": FORMAT,
        "version": __version__,
        "title": facts.title,
        "recipe": trained.recipe.name,
        "n": n,
        "latent": {"shape": list(shape), "dims": math.prod(shape)},
        "history": {"unit": facts.unit, "epochs": list(facts.history)},
        "metrics": list(facts.metrics),
        "settings": {**trained.recipe.options, **asdict(trained.recipe.plan)},
    }


def _sampled(parts: Sequence[Part], most: int) -> tuple[list[tuple[Part, Array]], list[str]]:
    """Chooses the rows of each part that are shown: all, or some of all parts, drawn at random."""
    sizes = [len(part.examples) for part in parts]
    total = sum(sizes)
    if total <= most:
        return [(part, np.arange(size)) for part, size in zip(parts, sizes, strict=True)], []
    drawn = np.sort(np.random.default_rng(0).choice(total, most, replace=False))
    chosen, start = [], 0
    for part, size in zip(parts, sizes, strict=True):
        rows = drawn[(drawn >= start) & (drawn < start + size)] - start
        start += size
        if len(rows):
            chosen.append((part, rows))
    return chosen, [f"{most} of {total} points are shown, drawn at random; --max-points shows more"]


def _held(samples: Sequence[tuple[Part, Array]], most: int) -> Array:
    """Chooses the points (M,), rising, whose originals are held: the test part's first."""
    starts = np.cumsum([0, *(len(rows) for _, rows in samples)])
    rng, chosen = np.random.default_rng(0), []
    ranks = {name: i for i, name in enumerate(_ORDER)}
    for i in sorted(range(len(samples)), key=lambda i: ranks.get(samples[i][0].name, len(ranks))):
        n = int(starts[i + 1] - starts[i])
        take = min(n, most)
        most -= take
        rows = np.arange(n) if take == n else rng.choice(n, take, replace=False)
        chosen.append(starts[i] + rows)
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _through(trained: Trained, samples: Sequence[tuple[Part, Array]], held: Array) -> _Seen:
    """Takes the points through the model, a stretch at a time."""
    codes, wrong, before, after = [], [], [], []
    first = 0
    for x in _stretches(samples):
        z = trained.embed(x)
        made = trained.reconstruct(x)
        given = x.x if x.target is None else x.target
        codes.append(z.reshape(len(z), -1))
        wrong.append(errors(trained.spec, given, made))
        kept = held[(held >= first) & (held < first + len(x))] - first
        before.append(x.x[kept])
        after.append(made[kept])
        first += len(x)
    found = [np.concatenate(pieces) for pieces in (codes, wrong, before, after)]
    if not np.isfinite(found[0]).all():
        raise DataError(
            "some codes are not finite, so the model has diverged; train it with a lower rate"
        )
    return _Seen(found[0], found[1], held, found[2], found[3])


def _stretches(samples: Sequence[tuple[Part, Array]]) -> Iterator[Examples]:
    for part, rows in samples:
        for first in range(0, len(rows), _CHUNK):
            yield part.examples.take(rows[first : first + _CHUNK])


def _positions(packed: Packed, plane: Plane, seen: _Seen) -> dict[str, Any]:
    """Packs where the points lie, and their codes where these are more than that."""
    codes = seen.codes.astype(np.float64)
    positions = {
        "plane": _described(plane),
        "places": packed.add_quantised(plane.project(codes)),
        "spread": {"mean": codes.mean(axis=0).tolist(), "sd": codes.std(axis=0).tolist()},
    }
    if plane.kind != "itself":
        every = codes.size <= _MOST_CODES
        positions["codes"] = packed.add_quantised(codes if every else codes[seen.held])
        positions["codes"]["of"] = "all" if every else "held"
    return positions


def _examples(packed: Packed, spec: DataSpec, seen: _Seen, *, reconstructed: bool) -> dict[str, Any]:
    """Packs the originals, and their reconstructions for a page that cannot make them."""
    example = describe(spec, seen.before)
    found = {
        "example": example,
        "held": packed.add(seen.held.astype(np.uint32)),
        "originals": add_values(packed, spec, seen.before, example),
    }
    if reconstructed:
        found["reconstructions"] = add_values(packed, spec, seen.after, example)
    return found


def _empty(trained: Trained) -> dict[str, Any]:
    """What stands for points where there are none: codes about the origin, in their first two axes."""
    dims = math.prod(trained.latent_shape)
    plane = plane_for(np.zeros((1, dims)), (0, 1) if dims > 2 else None)
    return {
        "plane": _described(plane),
        "places": None,
        "spread": {"mean": [0.0] * dims, "sd": [1.0] * dims},
        "parts": [],
        "columns": [],
        "example": describe(trained.spec, np.zeros((1, *trained.spec.shape))),
    }


def _described(plane: Plane) -> dict[str, Any]:
    return {
        "kind": plane.kind,
        "names": list(plane.names),
        "centre": plane.centre.tolist(),
        "basis": plane.basis.tolist(),
    }


def _parts(packed: Packed, samples: Sequence[tuple[Part, Array]]) -> list[dict[str, Any]]:
    """Describes which rows of which part the points are, by number and by name."""
    found = []
    for part, rows in samples:
        facts: dict[str, Any] = {"name": part.name, "n": len(rows)}
        if len(rows) < len(part.examples):
            facts["rows"] = packed.add(rows.astype(np.uint32))
        if part.examples.ids is not None:
            facts["ids"] = packed.add_bytes(_lines(part.examples.ids[rows]))
        found.append(facts)
    return found


def _lines(names: Array) -> bytes:
    return "\n".join(str(name).replace("\n", " ") for name in names).encode(errors="replace")


def _columns(samples: Sequence[tuple[Part, Array]], seen: _Seen) -> Iterator[Column]:
    """Lists what points can be coloured by, beside the entries of the examples themselves."""
    labels = labels_column([(part.examples.labels, rows) for part, rows in samples])
    if labels is not None:
        yield labels
    if len(samples) > 1:
        numbers = np.repeat(np.arange(len(samples)), [len(rows) for _, rows in samples])
        yield Column("part", "part", numbers.astype(np.uint8), tuple(part.name for part, _ in samples))
    yield from factor_columns(
        [(getattr(part.examples, "factors", None), rows) for part, rows in samples]
    )
    yield Column("reconstruction error", "error", seen.errors.astype(np.float32))
    yield from judged([(part.scores, part.pvalues, rows) for part, rows in samples])


def _counted(samples: Sequence[tuple[Part, Array]], held: Array) -> str:
    """Says how many originals of which parts there are.

    >>> part = Part("test", Examples(np.zeros((4, 2))))
    >>> _counted([(part, np.arange(4))], np.array([0, 2]))
    '2 of 4 test examples'
    """
    starts = np.cumsum([0, *(len(rows) for _, rows in samples)])
    said = []
    for i, (part, rows) in enumerate(samples):
        n = int(((held >= starts[i]) & (held < starts[i + 1])).sum())
        if n:
            said.append(f"{n} of {len(rows)} {part.name} examples".replace("  ", " "))
    return " and ".join(said) or "none"
