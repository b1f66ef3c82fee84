"""Samples of our models beside Pythae's: equal networks, latents, batches and epochs, in one run.

Both learn MNIST's grey values with the networks that Pythae comes with (784-512-z-512-784). 10 000
samples of each are compared with the 10 000 test images in the fixed space ``filters-v1``: the Fréchet
distance (FID), and precision, recall, density and coverage on the first 5 000 of both. A model's own
``prior`` is the standard normal; a ``mixture`` is one of ten Gaussians fitted to the codes, by Pythae's
sampler or by ``fit_prior``, which is Pythae's default, and ``mixture of 20`` about what is ours.
``paper`` is ours at the paper's rate, which is constant and Pythae's as well; ``same`` is Pythae with
the weights of our recipe in the place of its defaults.

    python benchmarks/samples.py [--models rae_l2 wae_mmd vae] [--epochs 10] [--seeds 0 1] [--show]

Rows are recorded in ``results/samples.jsonl``; those that are there are not measured again, so a run
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from _pythae import HIDDEN, LR, Peer
from _record import record, recorded, table
from torch import Tensor

from autoencode import fit_prior, load_data, train
from autoencode.data import Data
from autoencode.evaluate.features import space_of
from autoencode.evaluate.neighbourhoods import frechet_distance, moments, neighbourhoods
from autoencode.recipes import recipe_info
from autoencode.recipes.catalogue import check_options

SAMPLES, NEIGHBOURS = 10_000, 5000
MIXTURES = {"mixture": 10, "mixture of 20": 20}  # Gaussians
SHARED = {"latent_dim": 16, "batch_size": 100}
_PIECE = 500


@dataclass(frozen=True)
class Pair:
    """A recipe of ours and the model of Pythae's that is set beside it.

    Attributes:
        recipe, options: ours.
        peer, config: Pythae's class, and what makes its objective comparable.
        same: its configuration with the weights of our recipe, where they are not its own.
        samplers: how both are drawn from; all take the mixtures.
    """

    recipe: str
    peer: str
    options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    same: dict[str, Any] | None = None
    samplers: tuple[str, ...] = tuple(MIXTURES)


BOTH = ("prior", *MIXTURES)
PAIRS = {
    # Ours takes the mean of squares, Pythae their sum: the same weights are 784 times as small in its.
    "rae_l2": Pair("rae_l2", "RAE_L2", same={"embedding_weight": 0.0098, "reg_weight": 2 * 784e-7}),
    # Pythae's penalty is of the slope of the summed entries by x; the paper's, of each entry by z.
    "rae_gp": Pair("rae_gp", "RAE_GP"),
    "wae_mmd": Pair("wae_mmd", "WAE_MMD", same={"reg_weight": 10.0}, samplers=BOTH),
    "vae": Pair("vae", "VAE", config={"reconstruction_loss": "bce"}, samplers=BOTH),
    # Pythae's default: squared errors, a Gaussian of scale 1.
    "vae_gaussian": Pair("vae", "VAE", {"likelihood": "gaussian"}, samplers=BOTH),
    "beta_vae": Pair(
        "beta_vae", "BetaVAE", config={"beta": 4.0, "reconstruction_loss": "bce"}, samplers=BOTH
    ),
}
CONTENDERS = ("ours", "paper", "pythae", "same")


class Judge:
    """Sets images beside the test images."""

    def __init__(self, data: Data) -> None:
        self.spec = data.spec
        self.space = space_of(data.spec)
        self.test = self.seen(data.test.x)
        self._raw = self._features(self.test)
        self._real = self.space.standardized(self._raw, self._raw)
        self._moments = moments(self._real)

    def seen(self, raw: Any) -> Tensor:
        """Images as models see them, in [0, 1]."""
        rows = np.ascontiguousarray(raw).reshape(len(raw), *self.spec.shape)
        return self.spec.to_model(torch.from_numpy(rows))

    def fid(self, x: Tensor) -> float:
        return frechet_distance(self._moments, moments(self._standardized(x)))

    def all(self, x: Tensor) -> dict[str, float]:
        points = self._standardized(x)
        around = neighbourhoods(self._real[:NEIGHBOURS], points[:NEIGHBOURS])
        return {"fid": frechet_distance(self._moments, moments(points)), **asdict(around)}

    def _standardized(self, x: Tensor) -> Tensor:
        return self.space.standardized(self._features(x), self._raw)

    def _features(self, x: Tensor) -> Tensor:
        return torch.cat([self.space(piece) for piece in x.split(_PIECE)])


def ours(pair: Pair, schedule: str, epochs: int, seed: int, data: Data, judge: Judge) -> dict[str, Any]:
    """Trains a recipe and judges it."""
    start = time.process_time()
    options = {"hidden": HIDDEN, **SHARED, **pair.options}
    run = train(data, pair.recipe, seed=seed, schedule=schedule, device="cpu", epochs=epochs, **options)
    seconds = time.process_time() - start
    samples, trained = {}, run.trained
    for sampler in pair.samplers:
        if sampler in MIXTURES:
            fit_prior(trained, run.split("train"), seed, "mixture", MIXTURES[sampler])
        samples[sampler] = judge.all(judge.seen(trained.sample(SAMPLES, seed, mean=True)))
    restored = judge.seen(trained.reconstruct(data.test))
    return {"samples": samples, **_rest(restored, judge, seconds)}


def pythae(
    pair: Pair, config: dict[str, Any], epochs: int, seed: int, data: Data, judge: Judge
) -> dict[str, Any]:
    """Trains Pythae's model and judges it."""
    x = judge.seen(data.train.x)
    peer = Peer(pair.peer, {**pair.config, **config}, SHARED["latent_dim"], tuple(x.shape[1:]), seed)
    start = time.process_time()
    peer.fit(x, epochs, SHARED["batch_size"])
    seconds = time.process_time() - start
    samples = {
        name: judge.all(peer.sample(MIXTURES.get(name, 0), SAMPLES, x)) for name in pair.samplers
    }
    return {"samples": samples, **_rest(peer.reconstruct(judge.test), judge, seconds)}


def _rest(restored: Tensor, judge: Judge, seconds: float) -> dict[str, Any]:
    """What does not depend on a sampler; the FID of reconstructions is about the least to expect."""
    mse = float((restored - judge.test).square().mean())
    return {"mse": mse, "reconstruction_fid": judge.fid(restored), "cpu_seconds": round(seconds, 1)}


def key(name: str, contender: str, epochs: int, seed: int) -> dict[str, Any]:
    """What decides a row: those that were recorded for another one are not shown."""
    pair = PAIRS[name]
    about: dict[str, Any] = {"model": name, "contender": contender, "epochs": epochs, "seed": seed}
    about |= {**SHARED, "hidden": list(HIDDEN), "samples": SAMPLES, "neighbours": NEIGHBOURS}
    if contender in ("ours", "paper"):
        return {**about, "recipe": pair.recipe, "options": settings(pair, contender)}
    config = {**pair.config, **((pair.same or {}) if contender == "same" else {})}
    return {**about, "class": pair.peer, "config": config, "lr": LR}


def settings(pair: Pair, contender: str) -> dict[str, Any]:
    """All options of ours and of its training, as JSON has them."""
    schedule = "fast" if contender == "ours" else "paper"
    options = check_options(pair.recipe, {"hidden": HIDDEN, **SHARED, **pair.options})
    plan = asdict(recipe_info(pair.recipe).plan(schedule))
    kept = {name: value for name, value in {**options, **plan}.items() if name not in SHARED}
    return json.loads(json.dumps(kept))


def found(wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The newest row of that key."""
    rows = [row for row in recorded("samples") if _same(row["key"], wanted)]
    rows = [row for row in rows if set(PAIRS[wanted["model"]].samplers) <= row["samples"].keys()]
    return rows[-1] if rows else None


def _same(before: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether all settings agree; an option that there was none of then has its default now."""
    known = before.get("options", {})
    now = {name: value for name, value in wanted.get("options", {}).items() if name in known}
    return {**before, "options": known} == {**wanted, "options": now}


def measured(wanted: dict[str, Any], data: Data, judge: Judge) -> dict[str, Any]:
    """Trains and records one row."""
    pair, contender = PAIRS[wanted["model"]], wanted["contender"]
    epochs, seed = wanted["epochs"], wanted["seed"]
    if contender in ("ours", "paper"):
        schedule = "fast" if contender == "ours" else "paper"
        figures = ours(pair, schedule, epochs, seed, data, judge)
    else:
        same = (pair.same or {}) if contender == "same" else {}
        figures = pythae(pair, same, epochs, seed, data, judge)
        figures["pythae"] = importlib.metadata.version("pythae")
    row = {"key": wanted, **figures}
    record("samples", row)
    distances = ", ".join(f"{name} {each['fid']:.2f}" for name, each in row["samples"].items())
    print(f"{wanted['model']} {contender} {seed}: FID {distances}", flush=True)
    return row


def lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    """A line for each model, sampler and contender: means over seeds."""
    head = ["model", "samples from", "contender", "FID, each seed", "mean", "precision", "recall"]
    found_lines = [[*head, "density", "coverage", "test MSE", "FID of reconstructions", "CPU s"]]
    for name, contender in itertools.product(PAIRS, CONTENDERS):
        mine = [
            row for row in rows if (row["key"]["model"], row["key"]["contender"]) == (name, contender)
        ]
        for sampler in PAIRS[name].samplers if mine else ():
            each = [row["samples"][sampler] for row in mine]
            fids = " ".join(f"{one['fid']:.2f}" for one in each)
            line = [name, sampler, contender, fids, f"{np.mean([one['fid'] for one in each]):.2f}"]
            for figure in ("precision", "recall", "density", "coverage"):
                line.append(f"{np.mean([one[figure] for one in each]):.3f}")
            line.append(f"{np.mean([row['mse'] for row in mine]):.5f}")
            line.append(f"{np.mean([row['reconstruction_fid'] for row in mine]):.2f}")
            found_lines.append([*line, f"{np.mean([row['cpu_seconds'] for row in mine]):.0f}"])
    return found_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["rae_l2", "wae_mmd", "vae"], choices=PAIRS)
    parser.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--show", action="store_true", help="print what is recorded, train nothing")
    given = parser.parse_args()
    judge, data, rows = None, None, []
    for seed, name, contender in itertools.product(given.seeds, given.models, given.contenders):
        if contender == "same" and PAIRS[name].same is None:
            continue
        wanted = key(name, contender, given.epochs, seed)
        row = found(wanted)
        if row is None and not given.show:
            if judge is None:
                data = load_data("mnist")
                judge = Judge(data)
                training = judge.all(judge.seen(data.train.x[:SAMPLES]))
                print("training images:", ", ".join(f"{k} {v:.3f}" for k, v in training.items()))
            row = measured(wanted, data, judge)
        rows += [row] if row else []
    print(table(lines(rows)))


if __name__ == "__main__":
    main()
