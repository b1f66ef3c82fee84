"""The explorer of a trained model: its data in latent space, and the decoder at any place of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoencode.data import Data, Examples, load_examples
from autoencode.errors import DataError, OptionError
from autoencode.estimators import AnomalyDetector, Autoencoder, Denoiser, load
from autoencode.evaluate.metrics import described
from autoencode.explorer.decoding import decoding_for
from autoencode.explorer.page import page
from autoencode.explorer.scene import Facts, Part, Scene, build_scene
from autoencode.files.atomic import write_atomically
from autoencode.jobs.common import read_for
from autoencode.runs import Run
from autoencode.runs.data import examples_for, run_data
from autoencode.trained import Trained
from autoencode.trained.model_files import read_metrics

MAX_POINTS = 100_000
_ESTIMATORS = (AnomalyDetector, Autoencoder, Denoiser)


class Explorer:
    """A page that shows a model's data in its latent space and decodes every place of it.

    Attributes:
        scene: what is shown.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader must know: points that were drawn, what is missing."""
        return tuple(self.scene.head["notices"])

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page as one HTML file, whole or not at all, and gives its path.

        The file holds points, originals, decoder and program. It needs no server and asks nothing of
        the network.

        Raises:
            StorageError: when it cannot be written.
        """
        write_atomically(path, page(self.scene))
        return Path(path)


def explore(
    run_or_estimator: Any,
    data: Any = None,
    *,
    max_points: int = MAX_POINTS,
    originals: int | None = None,
    axes: Sequence[int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Explorer:
    """Explores a trained model: its data in latent space, originals and reconstructions, the decoder.

    Args:
        run_or_estimator: a run folder, a ``Run``, a fitted estimator or a ``Trained``.
        data: what to show, as ``load_data`` takes it; by default a run's own data, all parts.
        max_points: the most points; of more, some are drawn at random.
        originals: of how many points the example itself is held; by default as many as take 8 MB,
            10 000 at most.
        axes: two dimensions of the code to show; by default both of two, else the principal axes.
        data_dir: where named data sets lie.
        device: auto, cpu, cuda or mps, for a folder.

    Returns:
        An object whose ``to_html(path)`` writes the page.

    Raises:
        OptionError: for something else than a model, or numbers out of range.
        DataError: when data that were given cannot be read or do not fit.
        RunFolderError: when a folder is no run.

    Example:
        >>> from autoencode import Autoencoder
        >>> import numpy as np
        >>> x = np.random.default_rng(0).random((40, 6))
        >>> model = Autoencoder("mlp", n_components=2, epochs=1).fit(x)
        >>> explore(model, x).scene.head["n"]
        40
    """
    trained, parts, facts = _opened(run_or_estimator, data, data_dir, device)
    if not parts and not facts.notices:
        facts = replace(facts, notices=["no data were given, so there are no points; give data"])
    scene = build_scene(
        trained,
        parts,
        facts,
        decoding_for(trained),
        max_points=max_points,
        originals=originals,
        axes=axes,
    )
    return Explorer(scene)


def _opened(
    given: Any, data: Any, data_dir: str | os.PathLike[str] | None, device: str
) -> tuple[Trained, list[Part], Facts]:
    """Finds a model, the data to show and what else is known of the run."""
    if isinstance(given, str | os.PathLike):
        return _of_folder(given, data, data_dir, device)
    if isinstance(given, Run):
        parts = _parts(given.data, given.trained) if data is None else [_other(given.trained, data)]
        facts = _facts(given.trained, given.history, given.metrics, given.data.name)
        return given.trained, parts, facts
    if isinstance(given, Trained):
        return given, [] if data is None else [_other(given, data)], _facts(given, (), {}, _told(data))
    if isinstance(given, _ESTIMATORS):
        trained = _trained_of(given)
        parts = [] if data is None else [_judged(given, data)]
        return trained, parts, _facts(trained, given.history_, {}, _told(data))
    raise OptionError(
        f"explore takes a run folder, a Run, a fitted estimator or a Trained, got "
        f"{type(given).__name__}"
    )


def _trained_of(estimator: Any) -> Trained:
    if not hasattr(estimator, "trained_"):
        raise OptionError(f"this {type(estimator).__name__} is not fitted; call fit first")
    trained: Trained = estimator.trained_
    return trained


def _of_folder(
    folder: str | os.PathLike[str],
    data: Any,
    data_dir: str | os.PathLike[str] | None,
    device: str,
) -> tuple[Trained, list[Part], Facts]:
    estimator = load(folder, device=device)
    trained: Trained = estimator.trained_
    notices: list[str] = []
    parts: list[Part] = []
    if data is not None and isinstance(estimator, AnomalyDetector):
        given = read_for(data, folder, None, note=notices.append)
        parts = [_judged(estimator, given.x, given.labels, given.ids)]
    elif data is not None:
        examples = examples_for(trained, folder, data, data_dir=data_dir)
        notices += examples.notices
        parts = [Part("", examples)]
    else:
        try:
            parts = _parts(run_data(trained, folder, data_dir), trained)
        except DataError as error:
            notices.append(f"the points are missing: {error}")
    name = _told(trained.origin.source or os.fspath(folder))
    facts = _facts(trained, estimator.history_, read_metrics(folder), name)
    return trained, parts, replace(facts, notices=notices)


def _facts(trained: Trained, history: Any, metrics: Any, name: str) -> Facts:
    title = f"{trained.recipe.name} on {name}" if name else trained.recipe.name
    return Facts(title, list(history), trained.recipe.unit, described(metrics))


def _told(data: Any) -> str:
    return Path(data).stem if isinstance(data, str | os.PathLike) else ""


def _parts(data: Data, trained: Trained) -> list[Part]:
    """Takes the data of a run apart as training did, the training part first."""
    train, validation = data.split(trained.recipe.plan.validation, trained.seed)
    named = (("train", train), ("validation", validation), ("test", data.test))
    return [Part(name, part) for name, part in named if part is not None and len(part)]  # type: ignore[arg-type]


def _other(trained: Trained, data: Any) -> Part:
    return Part("", load_examples(data, trained.spec))


def _judged(estimator: Any, data: Any, labels: Any = None, ids: Any = None) -> Part:
    """Reads rows for a model, with scores and p-values where a detector gives them."""
    examples = load_examples(data, estimator.trained_.spec, labels=labels)
    if ids is not None:
        examples = Examples(examples.x, examples.labels, ids, examples.target)
    if not isinstance(estimator, AnomalyDetector):
        return Part("", examples)
    judgement = estimator.judge(data)
    return Part("", examples, judgement.scores, judgement.pvalues)
