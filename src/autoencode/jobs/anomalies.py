"""A job that finds the rows of a file that are not like the others."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from autoencode.anomaly import Explanation, Judgement
from autoencode.anomaly.judgement import MOST_KEPT
from autoencode.data.formats.folders import ImageOptions
from autoencode.data.values.frames import as_table, columns_of, in_order, is_frame
from autoencode.errors import OptionError, ThresholdWarning, own_warnings
from autoencode.jobs.common import Input, Note, keep, read_for, refuse_layout, refuse_taken
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.runs.data import run_data
from autoencode.trained import choose_device, load_trained
from autoencode.types import Array, Channels, Layout

_CALIBRATED_FROM = 50  # rows; of fewer none can be spared
_TOLD = 100  # rows whose reasons are told, the most anomalous; more where more are flagged
_REASONS, _LEAST, _LONGEST = 3, 0.01, 40
_SHOWN = 20  # rows in the report
_ADDED = ("anomaly", "anomaly_score", "anomaly_pvalue", "anomaly_reasons")  # columns
_WHAT = {"row": "row", "image": "image", "sequence": "signal", "volume": "volume"}


@dataclass(frozen=True, eq=False)
class AnomalyReport:
    """Result of a search for anomalies in a file.

    Attributes:
        table: a pyarrow table: the rows' names (or numbers), for a table all of its columns, then
            ``anomaly`` (true or false), ``anomaly_score``, ``anomaly_pvalue`` and ``anomaly_reasons``.
        flags: (N,) which rows are called anomalous.
        scores: (N,) higher is more anomalous.
        pvalues: (N,), or ``None`` where no row was held out.
    """

    table: Any
    flags: Array
    scores: Array
    pvalues: Array | None


def anomalies(
    source: Any,
    run: str | os.PathLike[str] | None = None,
    *,
    recipe: str | None = None,
    contamination: str | float = "auto",
    fdr: float | None = None,
    measure: str = "combined",
    table: TableOptions | None = None,
    handle_unknown: Literal["flag", "error"] | None = None,
    images: ImageOptions | None = None,
    layout: Layout | None = None,
    channels: Channels | None = None,
    report: str | os.PathLike[str] | None = None,
    save: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    verbose: bool = False,
    note: Note = warnings.warn,
) -> AnomalyReport:
    """Finds the rows of a file that are not like those of a run, or not like each other.

    Args:
        source: a table, an array, a folder of images or what else ``load_data`` reads.
        run: what is usual: the training rows of this run or of this saved detector; else the rows of
            the file itself.
        recipe: what to train then.
        contamination: the share of rows to call anomalous, or auto (``AnomalyDetector``).
        fdr: instead, call so many anomalous that at most this share of them is none, on average.
        measure: the score that counts (``AnomalyDetector``).
        table: which columns of a table are labels, names of rows or left out.
        handle_unknown: of categories that the run did not see: flag or error.
        images: how images of a folder are brought to one form; as in training where there is a run.
        layout, channels: without a run, what an example is and where its channels are, where its axes
            do not tell (``load_data``).
        report: a page with pictures to write.
        save: without a run, a folder for the detector, which then can be one.
        seed, device, verbose: of the training.
        data_dir: where named data sets lie.
        note: told what the user should know of the reading, and where no threshold can be told.

    Raises:
        OptionError: for an option that does not fit.
        DataError: for data that cannot be judged.
    """
    from autoencode.estimators import AnomalyDetector

    if run is not None and recipe is not None:
        raise OptionError("a run has its recipe already; leave one of run and recipe out")
    refuse_taken(save, run)
    refuse_layout(layout, run, channels, source)
    given = read_for(source, run, table, images, note)
    options: dict[str, Any] = {"contamination": contamination, "measure": measure}
    # The rows of the file may be those of the training: nothing can be held out of few of them.
    if run is None:
        detector = AnomalyDetector(
            recipe or "mlp_masked",
            column_kinds=dict(table.kinds) if table else None,
            max_categories=(table or NO_OPTIONS).max_categories,
            layout=layout,
            channels=channels,
            random_state=seed,
            device=device,
            verbose=verbose,
            **options,
        )
        with own_warnings():
            warnings.simplefilter("ignore", ThresholdWarning)
            judgement = detector.fit_judge(given.x, fdr, pvalues=len(given) >= _CALIBRATED_FROM)
        keep(detector, save, given.options, images)
    else:
        with own_warnings():
            warnings.simplefilter("ignore", ThresholdWarning)
            detector = detector_of(run, options, seed, device, data_dir)
        if handle_unknown is not None:
            detector.handle_unknown = handle_unknown
        if is_frame(given.x) and (columns := detector.trained_.spec.columns):
            given = replace(given, x=in_order(given.x, columns))
        judgement = detector.judge(given.x, fdr)
    if detector.doubt_ and fdr is None:
        note(detector.doubt_)
    n_told = min(max(_TOLD, int(judgement.flags.sum())), MOST_KEPT)
    told = judgement.most_anomalous(n_told)
    explanation = judgement.explain(told)
    reasons = np.full(len(given), "", dtype=object)
    reasons[told] = [_reasons(explanation, i) for i in range(len(told))]
    result = _found_table(given, judgement, reasons)
    if report is not None:
        _write_report(Path(report), source, detector, given, judgement, result, told, explanation, fdr)
    return AnomalyReport(result, judgement.flags, judgement.scores, judgement.pvalues)


def detector_of(
    run: str | os.PathLike[str],
    options: dict[str, Any],
    seed: int,
    device: str,
    data_dir: str | os.PathLike[str] | None,
) -> Any:
    """Loads a saved detector, or builds one around the model of a run and its training rows."""
    from autoencode.estimators import AnomalyDetector, load
    from autoencode.estimators.saved import ESTIMATOR

    if (Path(run) / ESTIMATOR).is_file():
        detector = load(run, device=device)
        if not isinstance(detector, AnomalyDetector):
            raise OptionError(f"{run} holds a {type(detector).__name__}; give a run or a detector")
        if options != {"contamination": "auto", "measure": "combined"}:
            raise OptionError(
                "a saved detector has its contamination and measure; leave them out, or fit it anew"
            )
        return detector
    trained = load_trained(run, device=choose_device(device))
    data = run_data(trained, run, data_dir)
    train = data.part("train", trained.recipe.plan.validation, trained.seed)
    return AnomalyDetector.from_trained(trained, train, data.test, seed=seed, **options)


def _found_table(given: Input, judgement: Judgement, reasons: Array) -> Any:
    """Builds a pyarrow table of the rows of the file with what was found beside them."""
    columns: dict[str, Any] = {}
    if given.table is not None:
        columns |= columns_of(given.table)
    else:
        columns["row"] = np.arange(len(judgement)) if given.ids is None else given.ids
    columns |= {"anomaly": judgement.flags, "anomaly_score": judgement.scores}
    if judgement.pvalues is not None:
        columns["anomaly_pvalue"] = judgement.pvalues
    columns["anomaly_reasons"] = reasons
    return as_table(columns)


def _reasons(explanation: Explanation, row: int) -> str:
    """Names the entries that add most to a row's score, with their share of it."""
    score = explanation.scores[row]
    parts = [(name, share / score if score else 0.0) for name, share in explanation.top(row, _REASONS)]
    unseen = {
        name: f" ({word[:_LONGEST]!r} was never seen)"
        for name, word in explanation.never_seen(row).items()
    }
    return ", ".join(
        f"{name} {share:.0%}{unseen.get(name, '')}" for name, share in parts if share >= _LEAST
    )


def _write_report(
    path: Path,
    source: Any,
    detector: Any,
    given: Input,
    judgement: Judgement,
    result: Any,
    told: Array,
    explanation: Explanation,
    fdr: float | None,
) -> None:
    """Writes a page with what was found, how certain it is, and why.

    ``told`` are the rows that are explained, the most anomalous first.
    """
    from autoencode.pictures.found_rows import found_rows
    from autoencode.pictures.of_anomalies import pvalues_figure, scores_figure
    from autoencode.pictures.pages import Shown, write_anomalies

    trained, shown = detector.trained_, told[:_SHOWN]
    what = _WHAT[trained.spec.layout]
    names = [_called(given, int(row), what) for row in shown]
    by = f"a score above {judgement.threshold:.4g}"
    if fdr is not None:
        by = f"a false discovery rate of {fdr:g}"
    facts = {
        "Rows": len(given),
        "Called anomalous": f"{int(judgement.flags.sum())}, by {by}",
        "Model": f"{trained.recipe.name}, score {detector.measure}",
    }
    as_given = None
    if given.table is not None:
        own = result.select([name for name in result.column_names if name not in _ADDED])
        as_given = own.take(shown).to_pylist()
    pictures: list[Shown] = [
        {
            "image": scores_figure(judgement.scores, judgement.threshold),
            "caption": "Scores of all rows, higher is more anomalous.",
        }
    ]
    if judgement.pvalues is not None:
        image = pvalues_figure(judgement.pvalues)
        pictures.append({"image": image, "caption": "Their p-values."})
    spec, explained = trained.spec, explanation.first(_SHOWN)
    write_anomalies(
        path,
        title=f"Anomalies in {Path(str(source)).name}",
        facts=facts,
        found=found_rows(spec, judgement, explained, shown, names, as_given),
        what=f"{what}s",
        pictures=pictures,
    )


def _called(given: Input, row: int, what: str) -> str:
    return f"{what} {row}" if given.ids is None else str(given.ids[row])
