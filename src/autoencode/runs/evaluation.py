"""The evaluation card of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoencode.data import Examples
from autoencode.data.formats.named import catalogue
from autoencode.data.labels import is_one_of
from autoencode.data.values.outside import log
from autoencode.errors import OptionError
from autoencode.evaluate.card import SECTIONS, Card, card
from autoencode.evaluate.case import Binarization, Case
from autoencode.evaluate.features import Features
from autoencode.evaluate.measures import Watch, chosen
from autoencode.evaluate.metrics import quick
from autoencode.runs.data import check_split, examples_for, run_data
from autoencode.trained import Trained, choose_device, load_trained
from autoencode.types import Unknown

_PICTURES = ("columns", "reconstructions", "samples", "latent")
_ENDING = ".html"


@dataclass(frozen=True)
class EvaluationRequest:
    """A request for an evaluation card: which measures, from how many samples.

    Attributes:
        only: names of sections, measures or figures; all by default.
        skip: what to leave out, in the same way.
        quick: only what costs about one pass over the examples, where ``only`` names nothing.
        n_draws: draws of z for each example behind the likelihood by importance sampling.
        n_examples: how many examples that likelihood is of, at most.
        binarization: grey, static or dynamic; by default what the model was trained on.
        anomalies: data of another kind, which the model should tell from its own; by default the
            classes that were left out of its training.
        features: where samples are compared, a callable or module; the built-in space by default.
        page: an ``.html`` file to write it to.
    """

    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    quick: bool = False
    n_draws: int = 500
    n_examples: int = 2000
    binarization: Binarization | None = None
    anomalies: Any = None
    features: Features | None = None
    page: str | os.PathLike[str] | None = None

    def check(self) -> None:
        """Refuses a request that cannot be met, before any work.

        Raises:
            OptionError: for an unknown measure, or a page that is none.
        """
        chosen(SECTIONS, self.only, self.skip, self.quick)
        if self.page is not None and Path(self.page).suffix.lower() != _ENDING:
            raise OptionError(f"the page is a {_ENDING} file, got '{self.page}'")


def card_of(
    folder: str | os.PathLike[str],
    source: Any = None,
    request: EvaluationRequest = EvaluationRequest(),
    *,
    split: str = "test",
    handle_unknown: Unknown | None = None,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    note: Callable[[str], object] = log,
) -> Card:
    """Measures a run on a part of its own data, or on other data (their test part, else all).

    Args:
        folder: the run folder.
        source: other data.
        request: what to measure, and where to write the page.
        split: which part of the run's own data.
        handle_unknown: of a table's categories that training did not see: ignore or error.
        device: auto, cpu, cuda or mps.
        data_dir: where named data sets lie.
        seed: of all draws; the same seed gives the same figures.
        watch: told of each measure and how far it is.
        note: told what the user should know of the reading of other data.

    Raises:
        OptionError: for an unknown measure, split or option.
        DataError: when the data cannot be read or do not fit.
    """
    request.check()
    case, facts = case_of_run(
        folder,
        source,
        split=split,
        handle_unknown=handle_unknown,
        device=device,
        data_dir=data_dir,
        seed=seed,
        note=note,
        anomalies=request.anomalies,
        n_draws=request.n_draws,
        n_examples=request.n_examples,
        binarization=request.binarization,
        features=request.features,
    )
    origin = case.trained.origin
    own_test = source is None and split == "test" and not origin.left_out
    found = card(
        case,
        only=request.only,
        skip=request.skip,
        quick=request.quick,
        facts=facts,
        catalogued=origin.source if own_test and origin.source in catalogue() else None,
        watch=watch,
    )
    if request.page is not None:
        _write_page(request.page, folder, found, case)
    return found


def _write_page(
    page: str | os.PathLike[str], folder: str | os.PathLike[str], found: Card, case: Case
) -> None:
    from autoencode.pictures import of_runs as pictures
    from autoencode.pictures.pages import Shown, write_card

    trained = case.trained
    shown: list[Shown] = []
    for kind in _PICTURES:
        if kind not in pictures.available(trained):
            continue
        caption = pictures.caption(kind, trained)
        seen = pictures.view(kind, trained, case.examples, seed=case.seed)
        if seen is None:
            figure = pictures.draw(kind, trained, case.examples, (), seed=case.seed)
            shown.append({"image": figure, "caption": caption})
        else:
            shown.append({"view": seen, "caption": caption})
    write_card(page, found, run=str(folder), pictures=shown)


def case_of_run(
    folder: str | os.PathLike[str],
    source: Any = None,
    *,
    split: str = "test",
    handle_unknown: Unknown | None = None,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    note: Callable[[str], object] = log,
    anomalies: Any = None,
    **options: Any,
) -> tuple[Case, dict[str, Any]]:
    """Prepares a run and a part of its own data, or other data, to be measured.

    Args:
        folder: the run folder.
        source: other data.
        split: else which part of the run's own.
        handle_unknown: of a table's categories that training did not see: ignore or error.
        device: auto, cpu, cuda or mps.
        data_dir: where named data sets lie.
        seed: of all draws.
        note: told what the user should know of the reading of other data.
        anomalies: data of another kind; by default the classes that were left out of the run's own.
        **options: of ``Case``.

    Returns:
        What is to be measured; and ``data``, ``split`` and ``n`` in words.
    """
    check_split(split, own=source is None)
    trained = load_trained(folder, device=choose_device(device)).handling_unknown(handle_unknown)
    training = None
    if source is None:
        data = run_data(trained, folder, data_dir)
        validation = trained.recipe.plan.validation
        training = data.part("train", validation, trained.seed)
        examples = data.part(split, validation, trained.seed)
        left_out = trained.origin.left_out
        name = f"{data.name} without {', '.join(left_out)}" if left_out else data.name
    else:
        examples = examples_for(trained, folder, source, data_dir=data_dir)
        for notice in examples.notices:
            note(notice)
        name, split = str(source), "all"
    others = None
    if anomalies is not None:
        others = examples_for(trained, folder, anomalies, data_dir=data_dir)
    elif source is None:
        others = left_out_of(trained, folder, data_dir)
    case = Case(
        trained, examples, training, seed, held_out=split != "train", anomalies=others, **options
    )
    return case, {"data": name, "split": split, "n": len(examples)}


def left_out_of(
    trained: Trained, folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> Examples | None:
    """Reads the examples of the classes left out of a run's data, which it has never seen.

    Those of the test part, where the data have one of their own, else all. ``None`` for a run that
    left none out.
    """
    origin = trained.origin
    if not origin.left_out:
        return None
    examples = examples_for(trained, folder, origin.source, data_dir=data_dir)
    assert examples.labels is not None  # or nothing could have been left out by them
    chosen = is_one_of(examples.labels, origin.left_out)
    return examples.take(chosen.nonzero()[0]) if chosen.any() else None


def evaluate_run(
    folder: str | os.PathLike[str],
    source: Any = None,
    *,
    split: str = "test",
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Computes the metrics of a run on a part of its data, or on other data (test part, else all).

    Returns:
        The metrics by name, with ``data``, ``split`` and ``n``.
    """
    case, facts = case_of_run(folder, source, split=split, device=device, data_dir=data_dir, seed=seed)
    return {**quick(case), **facts}
