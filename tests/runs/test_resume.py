"""A run that was interrupted, however it was, goes on as if it had not been."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autoencode.data import Origin, conditioned, load_data
from autoencode.errors import (
    DataError,
    IncompatibleError,
    ModelFileError,
    OptionError,
    RunFolderError,
    StorageError,
    TrainingError,
)
from autoencode.objectives import WeightedSum, mean_squared_error
from autoencode.recipes import RECIPES, build
from autoencode.runs import resume, train
from autoencode.runs.claim import check_target, claim_new
from autoencode.runs.request import Request
from autoencode.trained import fit_recipe, load_trained
from autoencode.trained.environment import environment
from autoencode.trained.model_files import load_config, read_history
from autoencode.training import (
    Keeper,
    Observer,
    TorchOptimizer,
    TrainingPlan,
    TrainingState,
    Update,
    checkpoints,
    fit,
)
from autoencode.training.checkpoints import Checkpoints, locked
from cli_runs import assert_refused

pytest_plugins = ["cli_runs"]

HELPERS = Path(__file__).parents[1] / "helpers"
SMALL = {
    "conv_latent2": {"channels": (4, 4, 4, 4)},
    "conv_small": {"channels": (4, 4)},
    "linear": {"latent_dim": 3},
    "mlp_latent2": {"hidden": (16,)},
    "denoising": {"latent_dim": 20},
    "contractive": {"latent_dim": 8},
    "topk": {"latent_dim": 60, "k": 4, "k_eval": 4},
    **{
        name: {"latent_dim": 60, "k": 4, "patience_dead": 300}
        for name in ("batch_topk", "matryoshka_sparse")
    },
    **{name: {"latent_dim": 60} for name in ("sparse", "sparse_kl", "jumprelu")},
    **{n: {"hidden": (16,)} for n in ("wae_mmd", "swae", "rae_l2", "rae_gp", "spherical", "stacked")},
    **{
        name: {"channels": (4, 8), "n_codes": 8, "code_dim": 4}
        for name in ("vqvae", "vqvae2", "rvq", "pvq", "simvq", "vq_patch_gan")
    },
    "fsq": {"channels": (4, 8)},
    "lfq": {"channels": (4, 8), "n_bits": 4},
    "mae": {"width": 8, "depth": 1, "decoder_width": 8, "decoder_depth": 1},
    "mae_table": {"width": 8, "depth": 1, "decoder_width": 8, "heads": 2},
    **{name: {"n_samples": 2, "n_groups": 2, "hidden": (16,)} for name in ("miwae", "piwae")},
    "ciwae": {"n_samples": 2, "hidden": (16,)},
    **{name: {"n_components": 5, "hidden": (16,)} for name in ("vamp_vae", "mog_vae")},
    "factor_vae": {"critic_hidden": (16,), "hidden": (16,)},
    "iwae_two_layers": {"top_hidden": (8,), "hidden": (16,)},
    "flow_vae": {"n_flows": 2, "hidden": (16,)},
    "ladder_vae": {"latent_dims": (3, 2), "hidden": (8, 6)},
    "vdvae": {"width": 8, "inner": 4, "blocks": (1,)},
    **{name: {"latent_dim": 3, "hidden": (16,)} for name in ("vmf_vae", "power_spherical_vae")},
}


class All(Keeper):
    """Keeps a copy of the state after every step."""

    def __init__(self):
        self.states = []

    def due(self):
        return True

    def keep(self, state):
        tensors = {name: t.clone() for name, t in state.tensors.items()}
        # Through JSON, as a file would have it.
        facts = json.loads(json.dumps(state.facts()))
        self.states.append(TrainingState.from_dict(facts, tensors))


class StopAt(Observer):
    def __init__(self, step):
        self.at, self.now = step, 0

    def step(self, step):
        self.now = step

    def stop(self):
        return self.now >= self.at


def weights(model):
    return {name: t.clone() for name, t in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def untimed(records):
    return [{k: v for k, v in r.as_dict().items() if k != "seconds"} for r in records]


@pytest.fixture(scope="module")
def digits():
    data = load_data("digits")
    return type(data)("digits", data.train.take(np.arange(300)), None, data.spec)


def small(name, spec, **more):
    figures = {"epochs": 3, "batch_size": 100, "validation": 0.1}
    return build(name, spec, seed=1, **SMALL.get(name, {}), **{**figures, **more})


# In the middle of an epoch, and when nothing is left to do. From every step those go on that are
# trained in stages, by several optimisers in turn, or with noise and dropout.
MOMENTS = (2, 6)
EVERY_STEP = ("mlp", "stacked", "vae_gan")


@pytest.mark.parametrize(
    ("name", "epochs", "moments"),
    [
        *[pytest.param(n, 2, range(1, 7) if n in EVERY_STEP else MOMENTS, id=n) for n in RECIPES],
        *[pytest.param(n, 3, range(1, 10), id=f"{n}-long", marks=pytest.mark.slow) for n in RECIPES],
    ],
)
def test_every_recipe_goes_on_from_every_step(name, epochs, moments, digits):
    keeper = All()
    if RECIPES[name].conditional:
        digits = conditioned(digits)
    noisy = {"dropout": 0.1, "noise": "gaussian"} if name == "mlp" else {}
    make = lambda: small(name, digits.spec, epochs=epochs, **noisy)  # noqa: E731
    recipe = make()
    records = fit_recipe(recipe, digits, 1, "cpu", keeper=keeper)
    steps = [state.position.step for state in keeper.states]
    assert steps == [*range(1, 3 * epochs + 1), 3 * epochs]
    for state in keeper.states:
        if state.position.step not in moments:
            continue
        again = make()
        went_on = fit_recipe(again, digits, 1, "cpu", state=state)
        assert same(weights(again.model), weights(recipe.model)), state.position
        assert untimed(went_on) == untimed(records)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_torchs_optimisers_go_on_too(optimizer, digits):
    def make():
        recipe = small("mlp_small", digits.spec)
        model = recipe.model
        options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
        make_it = lambda params: TorchOptimizer(optimizer(params, lr=1e-3, **options))  # noqa: E731
        objective = WeightedSum({"mse": mean_squared_error})
        return recipe, (
            Update(objective, (model.encoder,), make_it),
            Update(objective, (model.decoder,), make_it, every=2),
        )

    from autoencode.data import Resident

    source = Resident(digits.train, digits.spec)
    keeper, (recipe, updates) = All(), make()
    plan = TrainingPlan(epochs=2, batch_size=100)
    fit(recipe.model, updates, source, plan, keeper=keeper)
    for state in keeper.states:
        again, updates = make()
        fit(again.model, updates, source, plan, resume=state)
        assert same(weights(again.model), weights(recipe.model)), state.position


def test_early_stopping_keeps_the_best_weights_and_goes_on_exactly(digits):
    figures = {"epochs": 60, "lr": 0.05, "patience": 2, "optimizer": "adam", "decay": "constant"}
    keeper, recipe = All(), small("mlp_small", digits.spec, **figures)
    records = fit_recipe(recipe, digits, 1, "cpu", keeper=keeper)
    assert len(records) < 60
    losses = [record.validation["loss"] for record in records]
    assert int(np.argmin(losses)) == len(losses) - 3
    from autoencode.data import Resident
    from autoencode.training.loop import evaluate_losses
    from autoencode.types import Progress

    held_out = Resident(digits.split(0.1, 1)[1], digits.spec)
    objective = recipe.updates[0].objective
    found = evaluate_losses(recipe.model, objective, held_out, Progress())["loss"]
    assert found == pytest.approx(min(losses), rel=1e-5)
    for state in keeper.states[::5]:
        again = small("mlp_small", digits.spec, **figures)
        fit_recipe(again, digits, 1, "cpu", state=state)
        assert same(weights(again.model), weights(recipe.model))


class Fragile(WeightedSum):
    """Breaks at some steps."""

    def __init__(self, at, what):
        super().__init__({"mse": mean_squared_error})
        self.at, self.what = at, what

    def __call__(self, model, batch, progress):
        losses = super().__call__(model, batch, progress)
        if progress.step not in self.at:
            return losses
        if self.what == "loss":
            losses.total.data.fill_(float("nan"))
            return losses
        zero = 0 * losses.total
        return type(losses)(losses.total + zero.sqrt() - zero.detach(), losses.terms)


def fragile(digits, at, what, **figures):
    from autoencode.data import Resident

    recipe = small("mlp_small", digits.spec)
    updates = (Update(Fragile(at, what), (recipe.model,)),)
    plan = TrainingPlan(epochs=2, batch_size=100, **figures)
    return recipe, updates, Resident(digits.train, digits.spec), plan


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_can_be_skipped_at_a_lower_rate(what, digits):
    recipe, updates, source, plan = fragile(digits, {2, 4}, what, non_finite="skip")
    keeper = All()
    records = fit(recipe.model, updates, source, plan, keeper=keeper)
    assert all(bool(p.isfinite().all()) for p in recipe.model.parameters())
    assert records[-1].lr_factor == 0.25
    before, after = keeper.states[1].tensors, keeper.states[2].tensors
    assert same(before, after)
    for state in keeper.states:
        again, updates, source, plan = fragile(digits, {2, 4}, what, non_finite="skip")
        fit(again.model, updates, source, plan, resume=state)
        assert same(weights(again.model), weights(recipe.model))


def test_skipping_has_an_end(digits):
    recipe, updates, source, plan = fragile(digits, range(2, 99), "loss", non_finite="skip")
    with pytest.raises(TrainingError, match=r"every step of epoch 2 was skipped"):
        fit(recipe.model, updates, source, TrainingPlan(**{**vars(plan), "epochs": 9}))


def test_a_loss_that_is_not_finite_leaves_the_weights_before_it(digits):
    recipe, updates, source, plan = fragile(digits, {3}, "loss")
    keeper = All()
    with pytest.raises(TrainingError, match=r"mse became nan at step 3.*non_finite=skip"):
        fit(recipe.model, updates, source, plan, keeper=keeper)
    last = {n[6:]: t for n, t in keeper.states[-1].tensors.items() if n.startswith("model.")}
    assert same(weights(recipe.model), last)


# Run folders


QUICK = {"epochs": 3, "batch_size": 100, "hidden": (8,), "latent_dim": 3}
REQUEST = Request(Origin(), "mlp_small", {}, {}, False, 0, "fast", "cpu", None, 10.0)


def stopped(folder, step=5, recipe="mlp_small", source="digits", **more):
    run = train(source, recipe, out=folder, observer=StopAt(step), **{**QUICK, "hidden": (8,)} | more)
    assert not run.complete
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train("digits", "mlp_small", out=folder, **QUICK)
    return folder


def test_a_stopped_run_can_be_used_and_goes_on_to_the_same_bytes(tmp_path, whole):
    from autoencode import load

    run = stopped(tmp_path / "r")
    assert load(tmp_path / "r").transform(run.data.train.x).shape[1] == 3
    assert load_config(tmp_path / "r")["training"] | {"seconds": 0} == {
        "epochs": 1,
        "steps": 5,
        "seconds": 0,
        "complete": False,
    }
    with pytest.raises(RunFolderError, match=r"unfinished.*--resume"):
        check_target(tmp_path / "r", overwrite=False)
    done = resume(tmp_path / "r")
    assert done.complete
    assert done.notices == []
    for name in ("model.safetensors", "metrics.json"):
        assert (tmp_path / "r" / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == sorted(p.name for p in whole.iterdir())
    both = [[line | {"seconds": 0} for line in read_history(f)] for f in (tmp_path / "r", whole)]
    assert both[0] == both[1]


def test_a_complete_run_is_left_as_it_is(whole):
    before = {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()}
    run = resume(whole)
    assert run.complete
    assert "nothing was left to train" in run.notices[0]
    assert {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()} == before


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(checkpoints, "_SHARE", 1e9)
    stopped(tmp_path / "r", checkpoint_seconds=0.0)
    newest, before = sorted((tmp_path / "r/resume").glob("*.safetensors"), reverse=True)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    run = resume(tmp_path / "r")
    assert "SHA-256 differs" in run.notices[0]
    assert (tmp_path / "r/model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert int(before.stem) == int(newest.stem) - 1


def test_when_no_checkpoint_is_sound_it_is_said(tmp_path):
    stopped(tmp_path / "r")
    for path in (tmp_path / "r/resume").glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="no checkpoint"):
        resume(tmp_path / "r")
    assert (tmp_path / "r/resume/run.json").exists()


@pytest.mark.parametrize("name", ["run.json", "000000000005.json"])
@pytest.mark.parametrize("how", ["cut", "changed", "array", "version"])
def test_altered_facts_are_refused(tmp_path, name, how):
    stopped(tmp_path / "r")
    path = tmp_path / "r/resume" / name
    text = path.read_text()
    sealed = json.loads(text)
    if how == "cut":
        text = text[:-9]
    elif how == "array":
        text = "[]"
    elif how == "version":
        text = json.dumps({**sealed, "format_version": 99})
    else:
        text = json.dumps({**sealed, "seed": 9}, indent=2)
    path.unlink()
    path.write_text(text)
    with pytest.raises(ModelFileError):
        resume(tmp_path / "r")


def test_other_data_are_refused_and_nothing_is_lost(tmp_path):
    x = np.random.default_rng(0).random((300, 20))
    np.save(tmp_path / "x.npy", x)
    stopped(tmp_path / "r", source=str(tmp_path / "x.npy"))
    np.save(tmp_path / "x.npy", x + 1e-3)
    with pytest.raises(DataError, match=r"not what .* was started with"):
        resume(tmp_path / "r")
    np.save(tmp_path / "x.npy", x)
    assert resume(tmp_path / "r").complete


def test_data_in_memory_have_to_be_given_again(tmp_path):
    x = np.random.default_rng(0).random((300, 20))
    stopped(tmp_path / "r", source=x)
    with pytest.raises(DataError, match="source="):
        resume(tmp_path / "r")
    assert resume(tmp_path / "r", source=x).complete


def test_networks_of_ones_own_have_to_be_given_again(tmp_path):
    def pair():
        torch.manual_seed(0)
        return {
            "encoder": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
            "decoder": nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8))),
        }

    options = {"epochs": 3, "batch_size": 100, "latent_dim": 3}
    whole = train("digits", "mlp_small", **pair(), **options)
    train("digits", "mlp_small", out=tmp_path / "r", observer=StopAt(5), **pair(), **options)
    with pytest.raises(IncompatibleError, match="encoder= and decoder="):
        resume(tmp_path / "r")
    run = resume(tmp_path / "r", **pair())
    assert same(weights(run.trained.model), weights(whole.trained.model))


@pytest.mark.parametrize("key", ["torch", "processor", "autoencode"])
def test_what_makes_it_inexact_is_said(tmp_path, key, monkeypatch):
    real = environment()
    monkeypatch.setattr("autoencode.runs.training.environment", lambda: {**real, key: "another"})
    stopped(tmp_path / "r")
    monkeypatch.undo()
    run = resume(tmp_path / "r")
    assert run.notices == [f"going on is not exact to the bit: {key} another became {real[key]}"]


def test_it_goes_on_with_as_many_threads_as_before(tmp_path, monkeypatch):
    seen = []
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        stopped(tmp_path / "r")
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(StopAt, "start", lambda *_: seen.append(torch.get_num_threads()))
    assert resume(tmp_path / "r", observer=StopAt(999)).notices == []
    assert seen == [2]
    assert torch.get_num_threads() == before


def test_two_processes_do_not_train_one_run(tmp_path):
    stopped(tmp_path / "r")
    with locked(tmp_path / "r/resume"):
        for call in (resume, lambda f: train("digits", out=f, overwrite=True, epochs=1)):
            with pytest.raises(RunFolderError, match="another process"):
                call(tmp_path / "r")
    assert resume(tmp_path / "r").complete


def test_of_two_that_start_one_run_at_once_one_is_refused(tmp_path):
    with (
        claim_new(tmp_path / "r", False, REQUEST) as claim,
        pytest.raises(RunFolderError, match="exists"),
        claim_new(tmp_path / "r", False, REQUEST),
    ):
        pytest.fail("both have it")
    assert claim.folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_default_names_are_never_shared(tmp_path):
    first = train("digits", "mlp_small", runs=tmp_path, **QUICK)
    (tmp_path / "digits-mlp_small-2").mkdir()
    second = train("digits", "mlp_small", runs=tmp_path, **QUICK)
    assert first.folder == tmp_path / "digits-mlp_small"
    assert second.folder == tmp_path / "digits-mlp_small-3"


def test_the_run_that_is_replaced_comes_back_if_nothing_replaces_it(tmp_path):
    train("digits", "mlp_small", out=tmp_path / "r", **QUICK)
    before = (tmp_path / "r/model.safetensors").read_bytes()
    with pytest.raises(TrainingError):
        train("digits", "mlp_small", out=tmp_path / "r", overwrite=True, **QUICK | {"lr": 1e30})
    assert (tmp_path / "r/model.safetensors").read_bytes() == before
    stopped(tmp_path / "r", overwrite=True, seed=5)
    resume(tmp_path / "r")
    assert (tmp_path / "r/model.safetensors").read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path, whole, monkeypatch, step, number):
    monkeypatch.setattr(checkpoints, "_SHARE", 1e9)
    calls, real = [0], getattr(os, step)

    def fail(*arguments, **options):
        calls[0] += 1
        if calls[0] > 20:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(StorageError) as error:
            train("digits", "mlp_small", out=tmp_path / "r", checkpoint_seconds=0.0, **QUICK)
    assert "goes on" in error.value.__notes__[0]
    assert len(list((tmp_path / "r/resume").glob("*0*.json"))) >= 1
    resume(tmp_path / "r")
    assert (tmp_path / "r/model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_no_checkpoint_is_kept_of_weights_that_are_not_finite(tmp_path):
    keeper = Checkpoints(tmp_path, {})
    recipe = small("mlp_small", load_data("digits").spec)
    next(recipe.model.parameters()).data[0] = float("inf")
    from autoencode.training import Position

    state = TrainingState(Position(step=3), (), {"model.w": next(recipe.model.parameters())})
    with pytest.raises(TrainingError, match=r"model\.w is not finite"):
        keeper.keep(state)
    assert not keeper.any()


def test_checkpoints_take_no_more_than_their_share(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    keeper = Checkpoints(tmp_path, {}, every=1.0)
    keeper._cost = 0.5
    now[0] = 20.0
    assert not keeper.due()
    now[0] = 25.5
    assert keeper.due()


# The estimator


@pytest.mark.parametrize("random_state", [0, None])
def test_an_interrupted_fit_goes_on(tmp_path, random_state):
    from autoencode import Autoencoder

    class Break(Observer):
        def step(self, step):
            if step == 7:
                raise KeyboardInterrupt

    class Steps(Observer):
        def __init__(self):
            self.seen = []

        def step(self, step):
            self.seen.append(step)

    x = np.random.default_rng(0).random((300, 20))
    folder = tmp_path / "new/kept"
    figures = {"n_components": 2, "epochs": 3, "batch_size": 50, "random_state": random_state}
    first = Autoencoder("mlp_small", observer=Break(), checkpoint=folder, **figures)
    patch = pytest.MonkeyPatch()
    patch.setattr(Checkpoints, "due", lambda self: True)
    with pytest.raises(KeyboardInterrupt):
        first.fit(x)
    patch.undo()
    seed = Checkpoints(folder, {}).request()["seed"]
    with pytest.raises(OptionError, match="another options"):
        Autoencoder("mlp_small", checkpoint=folder, **figures | {"epochs": 4}).fit(x)
    with pytest.raises(OptionError, match="another data"):
        Autoencoder("mlp_small", checkpoint=folder, **figures).fit(x[:-1])
    steps = Steps()
    second = Autoencoder("mlp_small", observer=steps, checkpoint=folder, **figures).fit(x)
    assert steps.seen[0] == 7
    assert not folder.exists()
    assert second.trained_.info["seed"] == seed
    if random_state is not None:
        whole = Autoencoder("mlp_small", **figures).fit(x)
        assert same(weights(whole.model_), weights(second.model_))


# The command line


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_a_signal_keeps_a_checkpoint_of_its_step_and_it_goes_on(cli, tmp_path, number, code):
    arguments = ("train", "digits", "--recipe", "vae", "--epochs", "3", "--set", "hidden=8", "--out")
    assert cli(*arguments, "whole", "--quiet").code == 0
    left = subprocess.run(
        [sys.executable, HELPERS / "interrupted.py", str(int(number)), "30", *arguments, "r"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert left.returncode == code
    assert "--resume r goes on" in left.stderr
    assert "Traceback" not in left.stderr
    # Nothing was trained after the signal.
    assert load_config(tmp_path / "r")["training"]["steps"] == 30
    assert (tmp_path / "r/resume/000000000030.json").is_file()
    result = cli("train", "--resume", "r", "--json")
    assert result.code == 0, result.err
    assert result.json["complete"] is True
    models = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "r")]
    assert models[0] == models[1]
    assert not (tmp_path / "r/resume").exists()


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["digits"], "DATA"),
        (["--lr", "1"], "--lr"),
        (["--epochs", "3"], "--epochs"),
        (["--set", "hidden=8"], "--set"),
        (["--out", "other"], "--out"),
        (["--seed", "0"], "--seed"),
        (["--overwrite"], "--overwrite"),
    ],
)
def test_resume_takes_nothing_that_would_make_it_another_run(cli, more, word):
    assert_refused(cli("train", "--resume", "r", *more), word)


@pytest.mark.parametrize("what", ["nothing", "a folder", "a file"])
def test_where_there_is_no_run_to_go_on_with(cli, tmp_path, what):
    if what == "a folder":
        (tmp_path / "r").mkdir()
    elif what == "a file":
        (tmp_path / "r").write_text("")
    assert_refused(cli("train", "--resume", "r"), "r")


@pytest.mark.parametrize("how", ["no run.json", "no folder"])
def test_a_stopped_run_without_its_checkpoints_is_not_called_complete(cli, tmp_path, how):
    folder = stopped(tmp_path / "r").folder
    if how == "no folder":
        shutil.rmtree(folder / "resume")
    else:
        (folder / "resume/run.json").unlink()
    assert_refused(cli("train", "--resume", folder), "what it could go on from is gone")
    assert load_trained(folder).embed(np.zeros((1, 64))).shape[0] == 1


def test_data_are_asked_for(cli):
    assert_refused(cli("train"), "DATA is missing")
    with pytest.raises(OptionError):
        train("digits", seed=-1)


# Killed


def killed(tmp_path, recipe, mode, n, *more, seed=0):
    result = subprocess.run(
        [sys.executable, HELPERS / "kill_driver.py", tmp_path, recipe, mode, str(n), str(seed), *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1]), result.stderr


FAMILIES = ["linear", "mlp", "vae", "conv_small", "mlp_small", "vqvae"]
# With noise, dropout and patience, and with a codebook that follows its codes; the slow form tries all.
QUICK_TO_KILL = ["mlp_small", "vqvae"]


@pytest.mark.timeout(1500)
def test_killed_at_random_moments_nothing_is_torn_and_every_bit_comes_back(tmp_path):
    outcome, errors = killed(tmp_path, ",".join(QUICK_TO_KILL), "random", 3)
    assert outcome["killed"] > 0
    assert outcome["wrong"] == [], errors[-2000:]


@pytest.mark.timeout(1500)
@pytest.mark.slow
@pytest.mark.parametrize("recipe", FAMILIES)
def test_killed_at_sixty_random_moments_with_pictures(tmp_path, recipe):
    outcome, errors = killed(tmp_path, recipe, "random", 60, "pictures")
    assert outcome["wrong"] == [], errors[-2000:]


@pytest.mark.timeout(1500)
@pytest.mark.slow
def test_killed_before_each_call_that_writes(tmp_path):
    outcome, errors = killed(tmp_path, "mlp", "calls", 0, "pictures")
    assert outcome["killed"] > 100
    assert outcome["wrong"] == [], errors[-2000:]


def test_a_killed_commit_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    """Each call of one checkpoint fails as if the process ended there."""

    class Killed(BaseException):
        pass

    recipe = small("mlp_small", load_data("digits").spec)
    from autoencode.training import Position

    tensors = {f"model.{n}": t for n, t in recipe.model.state_dict().items()}
    for n in range(40):
        folder = tmp_path / str(n)
        folder.mkdir()
        keeper = Checkpoints(folder, {})
        for step in (1, 2):
            keeper.keep(TrainingState(Position(step=step), (), tensors))
        left, ended = n, False

        def counted(real):
            def call(*arguments, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in ("open", "fsync", "replace", "unlink"):
                patch.setattr(os, name, counted(getattr(os, name)))
            try:
                keeper.keep(TrainingState(Position(step=3), (), tensors))
                ended = True
            except Killed:
                pass
        state, _, notices = Checkpoints(folder, {}).latest()
        assert state.position.step in ((3,) if ended else (2, 3))
        assert notices == []
        shutil.rmtree(folder)
        if ended:
            break
    assert ended
    assert n > 6


def test_a_folder_with_other_files_is_no_place_for_checkpoints(tmp_path):
    from autoencode import Autoencoder

    (tmp_path / "thesis.txt").write_text("years of work")
    x = np.random.default_rng(0).random((40, 6))
    with pytest.raises(OptionError, match=r"thesis.txt, which is no checkpoint"):
        Autoencoder("mlp_small", epochs=1, checkpoint=tmp_path).fit(x)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir() if path.name != "lock"] == ["thesis.txt"]
