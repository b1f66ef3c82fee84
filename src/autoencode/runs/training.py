"""Training into a run folder, and resuming an interrupted training.

::

    RUN/  config.json  model.safetensors  history.jsonl  metrics.json  plots/*.png  report.html
          resume/      while there is something to go on from (see ``claim``)

A folder with a ``config.json`` can be loaded; of the model's files it is written last. Only then is the
run measured, so that no measure that fails can lose the model. A run that was stopped has the model as
it was then, without metrics and pictures.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autoencode import launch, parallel
from autoencode.data import (
    Data,
    ImageOptions,
    Origin,
    Standardize,
    TableOptions,
    conditioned,
    load_data,
)
from autoencode.data.formats.all import is_image_folder
from autoencode.data.formats.download import OnBytes
from autoencode.errors import (
    DataError,
    IncompatibleError,
    ModelFileError,
    OptionError,
    RunFolderError,
    TrainingError,
)
from autoencode.evaluate.findings import tell
from autoencode.evaluate.relative import remember_error
from autoencode.recipes import Named, Recipe, RecipeInfo, ScheduleName, build, recipe_info
from autoencode.recipes.catalogue import check_options, scaling
from autoencode.recipes.lookup import registered
from autoencode.runs.claim import (
    Claim,
    check_target,
    claim_again,
    claim_new,
    is_unfinished,
    read_claim,
    read_request,
    tidy,
)
from autoencode.runs.data import read_again, run_data
from autoencode.runs.request import Request
from autoencode.runs.run import History, Run, measure, write_measures, write_model
from autoencode.trained import Trained, choose_device, fit_prior, fit_recipe, load_trained
from autoencode.trained.environment import environment
from autoencode.trained.model_files import CONFIG, read_history, read_left_out, read_metrics
from autoencode.training import EpochRecord, Observer
from autoencode.training.checkpoints import Checkpoints
from autoencode.training.settings import Setting
from autoencode.types import Channels, Layout

CHECKPOINT_SECONDS = 10.0
_MAX_SEED = 2**63 - 1
# What has to be the same for a run to go on to the bit, and what it is called.
_EXACT = {
    "autoencode": "autoencode",
    "torch": "torch",
    "processor": "processor",
    "device": "device",
    "threads": "threads",
    "processes": "processes",
}


def train(
    source: Any,
    recipe: Named = "mlp",
    *,
    out: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    schedule: ScheduleName = "fast",
    seed: int = 0,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    stream: bool | None = None,
    table: TableOptions | None = None,
    images: ImageOptions | None = None,
    standardize: Standardize | None = None,
    leave_out: Sequence[str] = (),
    layout: Layout | None = None,
    channels: Channels | Any = None,
    labels: Any = None,
    n_labels: int | None = None,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    observer: Observer | None = None,
    on_bytes: OnBytes | None = None,
    command: str | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    recipe_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Trains a recipe on data and measures it; with ``out`` or ``runs`` it leaves a run folder.

    Inside ``parallel.joined`` all processes train together and have the same result; the first writes.
    When a launcher starts them again after a failure, they go on with ``out``.

    Args:
        source: a data set's name, a file, arrays, tensors or a torch dataset (``load_data``).
        recipe: one of ``RECIPES``, ``module:function``, or a function that ``recipe`` decorates.
        out: the run folder.
        runs: without ``out``, the folder in which it gets one named ``DATA-RECIPE``, numbered when
            that is taken.
        overwrite: replace a run folder that is there.
        schedule: ``fast`` or ``paper``.
        seed: of the split, the weights, the order and the noise.
        device: auto, cpu, cuda or mps.
        data_dir: where named data sets lie.
        stream: whether the data stay on disk (``load_data``).
        table: which columns of a table are labels, names of rows or left out (``load_data``).
        images: how images of a folder are brought to one form (``load_data``); by default a recipe
            that takes any size learns from patches of them, at their own resolution.
        standardize: how columns and other values that are no pixels are scaled (``load_data``); the
            recipe's own way by default.
        leave_out: labels whose examples the model shall never see (``load_data``).
        layout: what an example is, where its axes do not tell (``load_data``).
        channels: where the channels of arrays of images are, first or last (``load_data``); anything
            else is the option of the recipe that has this name.
        labels: (N,) one label for each example, where the source has none (``load_data``).
        n_labels: how many labels of the training examples to keep, the same number of each class, for a
            recipe that guesses the others (``m2_vae``); by default all there are.
        encoder, decoder: networks of your own (``build``).
        observer: watches training.
        on_bytes: told of downloaded bytes.
        command: how this run was started, for its report.
        checkpoint_seconds: how often to keep a state that ``resume`` goes on from; more seldom where
            that would take more than 2 % of the time.
        recipe_options: options that have the name of something above.
        **options: of the recipe and the training plan.

    Example:
        >>> run = train("digits", "mlp_small", epochs=1)
        >>> run.metrics["mse"] < 0.5
        True
    """
    group = parallel.current()
    target = None if out is None else Path(out)
    again = target is not None and launch.place().restarts > 0 and is_unfinished(target)
    if target is not None and group.leads and not again:
        check_target(target, overwrite)
    if not 0 <= seed <= _MAX_SEED:
        raise OptionError(f"the seed must lie in 0..2**63 - 1, got {seed}")
    where = choose_device(device)
    info = recipe_info(recipe)
    recipe = info.function
    options = {**(recipe_options or {}), **options}
    placed: Any = channels
    if channels is not None and not isinstance(channels, str):
        options["channels"], placed = channels, None
    check_options(recipe, options)
    if info.any_size and encoder is None and is_image_folder(source):
        images = (images or ImageOptions()).for_any_size()
    with group.in_turn():
        data = load_data(
            source,
            data_dir=data_dir,
            standardize=standardize or scaling(recipe, options),
            stream=stream,
            table=table or TableOptions(),
            images=images or ImageOptions(),
            leave_out=leave_out,
            layout=layout,
            channels=placed,
            labels=labels,
            progress=on_bytes,
        )
    data = _for_recipe(data, info, n_labels, seed)
    built = build(
        recipe,
        data.spec,
        schedule=schedule,
        seed=seed,
        encoder=encoder,
        decoder=decoder,
        **options,
    )
    origin = Origin.from_data(
        data,
        None if labels is not None else source,
        table=table,
        images=images,
        standardize=standardize,
        layout=layout,
        channels=placed,
        left_out=leave_out,
        n_labels=n_labels,
    )
    request = Request.from_recipe(
        built,
        origin,
        seed=seed,
        schedule=schedule,
        device=str(where),
        command=command,
        checkpoint_seconds=checkpoint_seconds,
    )
    if target is not None and again:
        if read_request(target).gives_the_same_as(request):
            with claim_again(target) if group.leads else read_claim(target) as (claim, _):
                return _carry_out(built, data, request, observer, claim)
        check_target(target, overwrite)
    if (target is None and runs is None) or not group.leads:
        return _carry_out(built, data, request, observer)
    with _new_folder(target, runs, request, overwrite) as claim:
        return _carry_out(built, data, request, observer, claim)


def resume(
    folder: str | os.PathLike[str],
    *,
    source: Any = None,
    device: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    observer: Observer | None = None,
    on_bytes: OnBytes | None = None,
) -> Run:
    """Resumes an interrupted run and gives the same result, to the bit, as without a break.

    The number of threads is set to the run's own meanwhile. Another device, processor or version
    rounds differently; then a notice says so. A run that is complete is returned as it is.

    Args:
        folder: the run folder.
        source: its data, when they were given in memory; else they are read again.
        device: another device than before.
        data_dir: where named data sets lie.
        encoder, decoder: the networks' classes built again, for a run with networks of your own.
        observer: watches training.
        on_bytes: told of downloaded bytes.

    Raises:
        RunFolderError: when there is no such run, or another process trains it.
        DataError: when the data have changed or are not given.
        ModelFileError: when a file in the folder cannot be trusted or used.
    """
    target = Path(folder)
    if not is_unfinished(target) and (target / CONFIG).is_file():
        return _as_it_is(target, source, data_dir, encoder, decoder)
    with claim_again(target) if parallel.current().leads else read_claim(target) as (claim, request):
        if request.custom_networks and encoder is None:
            raise IncompatibleError(
                f"{target} trains networks of your own, which no file can hold; "
                "pass encoder= and decoder= to resume"
            )
        try:
            data = _same_data(request, target, source, data_dir, on_bytes)
            request = replace(request, device=str(choose_device(device or request.device)))
            built = build(
                registered(request.recipe).function,  # a file says no code to import
                data.spec,
                schedule=request.schedule,  # type: ignore[arg-type]
                seed=request.seed,
                encoder=encoder,
                decoder=decoder,
                **request.options,
                **request.plan,
            )
        except (KeyError, TypeError) as error:
            raise ModelFileError(f"{claim.resume} cannot be used: {error}; train again") from None
        return _carry_out(built, data, request, observer, claim)


def _as_it_is(
    folder: Path, source: Any, data_dir: Any, encoder: nn.Module | None, decoder: nn.Module | None
) -> Run:
    """Returns a run that is complete already."""
    trained = load_trained(folder, encoder=encoder, decoder=decoder)
    if not trained.info.get("training", {}).get("complete", True):
        raise RunFolderError(
            f"{folder} was stopped, and what it could go on from is gone; its model can be used, or "
            "train again"
        )
    tidy(folder)
    if source is None:
        data = run_data(trained, folder, data_dir)
    else:
        changed = f"the data are not what {folder} was trained on; give those, or leave source out"
        scaled = scaling(trained.recipe.name, trained.recipe.options)
        data = read_again(trained.origin, scaled, changed, source=source, spec=trained.spec)
    metrics = read_metrics(folder)
    notices = [f"{folder} is complete; nothing was left to train"]
    left_out = read_left_out(folder)
    return Run(trained, data, read_history(folder), metrics, trained.seed, folder, notices, left_out)


def _same_data(
    request: Request, folder: Path, source: Any, data_dir: Any, on_bytes: OnBytes | None
) -> Data:
    """Reads the data that a run was started with again, and refuses other data."""
    origin = request.origin
    if source is None and origin.source is None:
        raise DataError(f"{folder} was trained on data in memory; pass them as source= to resume")
    info = registered(request.recipe)
    changed = f"the data are not what {folder} was started with; restore them, or train again"
    scaled = scaling(info.function, request.options)
    with parallel.current().in_turn():
        data = read_again(origin, scaled, changed, source=source, data_dir=data_dir, on_bytes=on_bytes)
    return _for_recipe(data, info, origin.n_labels, request.seed)


def _for_recipe(data: Data, info: RecipeInfo, n_labels: int | None, seed: int) -> Data:
    """Adds the labels to the data as context, where the recipe needs them."""
    if info.conditional:
        return conditioned(data, may_miss=info.guesses, n_labels=n_labels, seed=seed)
    if n_labels is not None:
        raise OptionError(
            f"recipe '{info.name}' learns nothing from labels, so that none can be kept; leave the "
            "number out, or use m2_vae"
        )
    return data


@contextlib.contextmanager
def _new_folder(
    target: Path | None,
    runs: str | os.PathLike[str] | None,
    request: Request,
    overwrite: bool,
) -> Iterator[Claim]:
    """Claims the run folder asked for, or the first free numbered one."""
    if target is not None:
        with claim_new(target, overwrite, request) as claim:
            yield claim
        return
    stem = f"{Path(request.origin.name or 'data').stem}-{request.recipe}"
    for i in range(1, 1_000_000):
        folder = Path(runs or "") / (stem if i == 1 else f"{stem}-{i}")
        if folder.exists():
            continue
        with contextlib.ExitStack() as stack:
            try:
                claim = stack.enter_context(claim_new(folder, False, request))
            except RunFolderError:
                continue  # another process was first
            yield claim
            return


def _carry_out(
    recipe: Recipe,
    data: Data,
    request: Request,
    observer: Observer | None,
    claim: Claim | None = None,
) -> Run:
    """Trains from the beginning or the last checkpoint, writes the model, and measures it then."""
    here = {**environment(), "device": request.device, "processes": parallel.current().world}
    state, notices = None, list[str]()
    checkpoints = None
    if claim is not None:
        checkpoints = Checkpoints(claim.resume, here, float(request.checkpoint_seconds))
        state, before, notices = checkpoints.latest()
        here = {**here, "threads": before.get("threads", here["threads"])}
        checkpoints.environment = here
        notices += _inexact(before, here)
    if claim is not None and not claim.writes:  # process 0 does it
        claim = checkpoints = None
    folder = None if claim is None else claim.folder
    history = History(observer or Observer(), folder, () if state is None else state.records)
    with _threads.held(here["threads"]):
        records = fit_recipe(recipe, data, request.seed, request.device, history, checkpoints, state)
        complete = not parallel.current().any(history.stopped)
        trained = Trained(recipe, _facts(recipe, data, request, here, records, complete))
        lines = [record.as_dict() for record in records]
        notices += history.notices + recipe.notices(len(data.train))
        run = Run(trained, data, lines, {}, request.seed, folder, notices)
        _finish(run)
        if complete:
            learned, held_out = data.split(recipe.plan.validation, request.seed)
            tell(trained, lines, learned.bounded(), held_out)
    if claim is not None:
        claim.complete = run.complete
    return run


def _facts(
    recipe: Recipe,
    data: Data,
    request: Request,
    here: Mapping[str, Any],
    records: list[EpochRecord],
    complete: bool,
) -> dict[str, Any]:
    """What ``config.json`` says of a training."""
    return {
        "data": request.origin.as_dict(),
        "seed": request.seed,
        "schedule": request.schedule,
        "command": request.command,
        "unit": recipe.unit,
        "notices": list(data.notices),
        "environment": dict(here),
        "training": {
            "epochs": len(records),
            "steps": records[-1].step,
            "seconds": round(sum(record.seconds for record in records), 3),
            "complete": complete,
        },
    }


def _finish(run: Run) -> None:
    """Writes the model of a run where it has a folder; then measures it, unless it was stopped."""
    data, trained = run.data, run.trained
    training = data.split(trained.recipe.plan.validation, run.seed)[0].bounded()
    # Before the model is written, since the file holds the prior.
    fit_prior(trained, training if len(training) > 1 else data.train.bounded(), run.seed)
    remember_error(trained, training)
    take_back = None if run.folder is None else write_model(run, run.folder)
    if not run.complete:
        return
    try:
        measure(run, data.test if data.test is not None else training, training)
    except TrainingError:
        if take_back is not None:
            take_back()
        raise
    if run.folder is not None:
        write_measures(run, run.folder)


def _inexact(before: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Lists what makes a resumed run differ in its last bits from one without a break."""
    changed = [
        f"{name} {before[key]} became {here[key]}"
        for key, name in _EXACT.items()
        if key in before and before[key] != here[key]
    ]
    if not changed:
        return []
    return [f"going on is not exact to the bit: {', '.join(changed)}"]


#: Another number of threads adds up sums in another order.
_threads = Setting(torch.get_num_threads, torch.set_num_threads, by_thread=True)
