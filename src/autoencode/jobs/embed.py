"""Embeds files with a run: codes of many sources, computed by all processes of a job, put in order."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoencode import parallel
from autoencode.data import ExampleSet
from autoencode.errors import TrainingError
from autoencode.jobs.codes import CODES, check_ending, write_codes
from autoencode.jobs.common import Note
from autoencode.jobs.results import codes_table, write_frame
from autoencode.reading import TableOptions
from autoencode.runs.data import examples_to_embed
from autoencode.trained import Trained, choose_device, load_trained
from autoencode.trained.trained import CHUNK
from autoencode.types import Array, Unknown


def embed(
    run: str | os.PathLike[str],
    sources: Sequence[Any] = (),
    out: str | os.PathLike[str] | None = None,
    *,
    split: str = "test",
    on_bad_file: str | None = None,
    handle_unknown: Unknown | None = None,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    table: TableOptions | None = None,
    note: Note = warnings.warn,
) -> tuple[Path, tuple[int, ...]] | None:
    """Writes the codes of all examples of some files, one file after the other.

    Files are read and codes are written piece by piece, so both may be larger than memory. In a job of
    many processes all share the work, and process 0 writes.

    Args:
        run: the run folder.
        sources: files, or what else ``load_data`` takes; none for the run's own data.
        out: .npy, .npz, .csv, .parquet or .feather; ``codes.npy`` in the run folder by default.
        split: which part of the run's own data.
        on_bad_file: of images: refuse or skip; as in training by default.
        handle_unknown: of a table's categories that training did not see: ignore or error.
        device: auto, cpu, cuda or mps.
        data_dir: where named data sets lie.
        table: how tables are read where that differs from training.
        note: told what the user should know of the reading.

    Returns:
        The file and the shape (N, *Z) of what is in it; ``None`` on other processes than the first.

    Raises:
        OptionError: for another ending.
        DataError: a file cannot be read.
        StorageError: the codes cannot be written.
    """
    target = Path(run) / "codes.npy" if out is None else check_ending(os.fspath(out), CODES)
    with parallel.joined(choose_device(device)) as group:
        trained = load_trained(run, device=choose_device(device)).handling_unknown(handle_unknown)
        ids: list[Array | None] = []

        def load(one: Any) -> ExampleSet:
            examples = examples_to_embed(trained, run, one, split, data_dir, on_bad_file, table)
            ids.append(examples.ids)
            for notice in examples.notices:
                note(notice)
            return examples

        pieces = embed_all(trained, sources or (None,), load)
        if not group.leads:
            return None
        if group.world > 1 and any(one is not None for one in ids):
            note("many processes hand on codes only; the names of the rows are left out")
            ids.clear()
        first = list(itertools.islice(pieces, 1))  # with it, the first source's names are known
        return target, _written(target, itertools.chain(first, pieces), trained, ids)


def _written(
    target: Path, pieces: Iterator[Array], trained: Trained, ids: list[Array | None]
) -> tuple[int, ...]:
    """Writes codes by the file's ending, beside the names of their rows where a table can hold them."""
    ending = target.suffix.lower()
    named = bool(trained.spec.columns) or (bool(ids) and ids[0] is not None)
    if ending in (".parquet", ".feather") or (ending == ".csv" and named):
        codes = np.concatenate(list(pieces))
        write_frame(target, codes_table(codes, trained, ids))
        return codes.shape
    return write_codes(target, pieces, trained.latent_shape), *trained.latent_shape


def embed_all(
    trained: Trained, sources: Sequence[Any], load: Callable[[Any], ExampleSet]
) -> Iterator[Array]:
    """Computes the codes (n, *Z) of all examples of all sources, in order, piece by piece.

    One process computes them while they are taken. Of many, each takes whole sources where there are
    enough of them, else a part of the rows of each; the codes travel to process 0 by the network and
    have to fit into its memory. The bits are those of one process.

    Args:
        trained: the model, the same on all processes.
        sources: what to embed.
        load: opens or reads one of them; called only where it is needed.

    Returns:
        The codes; nothing on other processes than the first.

    Raises:
        TrainingError: when a row was lost on the way.
    """
    if parallel.current().world > 1:
        return iter(_shared(trained, sources, load))
    return _alone(trained, sources, load)


def _alone(
    trained: Trained, sources: Sequence[Any], load: Callable[[Any], ExampleSet]
) -> Iterator[Array]:
    for number, source in enumerate(sources):
        examples, found = load(source), 0
        for codes in trained.embed_pieces(examples):
            found += len(codes)
            yield codes
        _check(number, len(examples), found)


def _shared(trained: Trained, sources: Sequence[Any], load: Callable[[Any], ExampleSet]) -> list[Array]:
    group = parallel.current()
    by_source = len(sources) >= group.world
    expected = torch.zeros(len(sources), dtype=torch.int64)
    codes = []
    for number, source in enumerate(sources):
        owner = number % group.world
        rows = range(0)
        if not by_source or owner == group.rank:
            examples = load(source)
            rows = range(len(examples)) if by_source else _rows(len(examples), group)
            if owner == group.rank:
                expected[number] = len(examples)
        own = trained.embed_pieces(examples, rows.start, rows.stop) if rows else ()
        codes.append(np.concatenate([np.empty((0, *trained.latent_shape), np.float32), *own]))
    group.meet()
    group.sum_(expected)
    return _collected(group, codes, expected.tolist())


def _rows(n: int, group: parallel.Group) -> range:
    """Picks a stretch of whole chunks, so that a row's batch is the one it has in a single process."""
    chunks = -(-n // CHUNK)
    first, last = (chunks * rank // group.world for rank in (group.rank, group.rank + 1))
    return range(min(n, first * CHUNK), min(n, last * CHUNK))


def _collected(group: parallel.Group, codes: list[Array], expected: list[int]) -> list[Array]:
    merged = []
    for number, (own, n) in enumerate(zip(codes, expected, strict=True)):
        parts = group.collect(torch.from_numpy(own))
        if group.leads:
            merged += [part.numpy() for part in parts]
            _check(number, n, sum(map(len, parts)))
    return merged


def _check(number: int, expected: int, found: int) -> None:
    if found != expected:
        raise TrainingError(
            f"source {number + 1}: {expected} examples and {found} codes; embed it again"
        )
