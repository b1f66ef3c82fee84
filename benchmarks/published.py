"""Published likelihoods of variational models on binarised MNIST, with our fast schedule.

Each row trains a recipe as its paper has it (networks, latents, samples) with the fast schedule, keeps
a run folder that an interrupted call goes on with, and measures -log p(x) of the 10 000 test images
with 5 000 importance samples. Training images are binarised anew at every step and the test images
once; a row that is ``static`` has both drawn once, from a seed (``binarized_once``), and neither can be
set beside the other, nor beside the file of Larochelle that papers share but for their seed. Rows are
recorded in ``results/published.jsonl``.

    python benchmarks/published.py [--models vae iwae_5] [--epochs 50] [--set lr=3e-3 batch_size=256]
        [--samples 5000] [--examples 10000] [--seed 0]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from _record import record, table

from autoencode import load_data, train
from autoencode.data import Examples, binarized_once
from autoencode.evaluate.nll import nll
from autoencode.runs import resume

BINARIZATION_SEED = 0  # of static rows; the seed of the training is another


@dataclass(frozen=True)
class Row:
    """A recipe with its options, and the published figure in nats.

    Attributes:
        recipe, options: ours.
        paper: -log p(x); -ELBO where ``bound``.
        static: of data that were binarised once.
        bound: whether the published figure is -ELBO, which is no less than -log p(x).
    """

    recipe: str
    paper: float
    options: dict[str, Any] = field(default_factory=dict)
    static: bool = False
    bound: bool = False


MODELS: dict[str, Row] = {
    "vae": Row("iwae", 86.76, {"n_samples": 1}),
    "vae_stl": Row("iwae", 86.76, {"n_samples": 1, "gradient": "stl"}),
    "iwae_5": Row("iwae", 85.54, {"n_samples": 5}),
    "iwae_50": Row("iwae", 84.78, {"n_samples": 50}),
    "iwae_5_dreg": Row("iwae", 85.54, {"n_samples": 5, "gradient": "dreg"}),
    "iwae_50_dreg": Row("iwae", 84.78, {"n_samples": 50, "gradient": "dreg"}),
    "two_layers_1": Row("iwae_two_layers", 85.33, {"n_samples": 1}),
    "two_layers_1_stl": Row("iwae_two_layers", 85.33, {"n_samples": 1, "gradient": "stl"}),
    "two_layers_5": Row("iwae_two_layers", 83.89, {"n_samples": 5}),
    "miwae": Row("miwae", 84.97),
    "miwae_dreg": Row("miwae", 84.97, {"gradient": "dreg"}),
    "piwae": Row("piwae", 84.46),
    "ciwae": Row("ciwae", 84.57),
    "ciwae_dreg": Row("ciwae", 84.57, {"gradient": "dreg"}),
    # 500 pseudo-inputs after 2 000 epochs, on the file of Larochelle.
    "vamp_static": Row("vamp_vae", 85.57, static=True),
    # After 2000 epochs and fine tuning with 10 samples.
    "ladder_vae": Row("ladder_vae", 81.74),
    # pytorch-generative's VD-VAE after 500 epochs.
    "vdvae": Row("vdvae", 80.72, bound=True),
}


def measure(name: str, given: argparse.Namespace) -> dict[str, Any]:
    row = MODELS[name]
    data, changed = load_data("mnist"), dict(pair.split("=", 1) for pair in given.set)
    if row.static:
        data = binarized_once(data, BINARIZATION_SEED)
    parts = [name, str(given.epochs), str(given.seed), *(given.set)]
    folder = Path(given.runs) / "-".join(parts)
    again, start = folder.exists(), time.process_time()
    if again:
        run = resume(folder, source=data)
    else:
        options = {**row.options, **({} if row.static else {"binarize": True}), **changed}
        source = data if row.static else "mnist"  # a name is found again by those who evaluate the run
        run = train(source, row.recipe, out=folder, seed=given.seed, epochs=given.epochs, **options)
    cpu_seconds = None if again else round(time.process_time() - start, 1)
    test = data.test
    assert test is not None
    part = Examples(test.x[: given.examples])
    binarization = "static" if row.static else "dynamic"
    found = nll(run.trained, part, given.samples, binarization=binarization, seed=given.seed)
    measured = {"model": name, "recipe": row.recipe, "options": dict(row.options), "paper": row.paper}
    measured |= {"data": data.name, "changed": changed, "epochs": given.epochs, "seed": given.seed}
    measured |= {"nll": asdict(found), "elbo": run.metrics["elbo"]}
    measured |= {"plan": asdict(run.trained.recipe.plan), "cpu_seconds": cpu_seconds}
    measured |= {"seconds": run.trained.info["training"]["seconds"]}
    if not given.dry:
        record("published", measured)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["vae"], choices=list(MODELS))
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="other options")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--examples", type=int, default=10_000, help="the first test images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs/published", help="folder of the run folders")
    parser.add_argument("--dry", action="store_true", help="record nothing")
    given = parser.parse_args()
    lines = [["model", "data", "epochs", "-ELBO", "-log p(x)", "standard error", "published"]]
    for name in given.models:
        row = measure(name, given)
        found = row["nll"]
        values = (-row["elbo"], found["nats"], found["standard_error"])
        published = f"{row['paper']:.2f}{' (-ELBO)' if MODELS[name].bound else ''}"
        epochs = str(given.epochs)
        line = [name, row["data"], epochs, *(f"{value:.2f}" for value in values), published]
        lines.append(line)
        print(table([lines[0], line]), flush=True)
    if len(given.models) > 1:
        print(table(lines))


if __name__ == "__main__":
    main()
