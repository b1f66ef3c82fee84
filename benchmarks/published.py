"""Published likelihoods of variational models on dynamically binarised MNIST, with our fast schedule.

Each row trains a recipe as its paper has it (networks, latents, samples) with the fast schedule, keeps
a run folder that an interrupted call goes on with, and measures -log p(x) of the 10 000 test images
with 5 000 importance samples. Rows are recorded in ``results/published.jsonl``.

    python benchmarks/published.py [--models vae iwae_5] [--epochs 50] [--samples 5000] [--seed 0]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _record import record, table

from autoencode import load_data, train
from autoencode.data import Examples
from autoencode.evaluate.nll import nll
from autoencode.runs import resume

# name: (recipe, its options, the paper's -log p(x) in nats)
MODELS: dict[str, tuple[str, dict[str, Any], float]] = {
    "vae": ("iwae", {"n_samples": 1}, 86.76),
    "vae_stl": ("iwae", {"n_samples": 1, "gradient": "stl"}, 86.76),
    "iwae_5": ("iwae", {"n_samples": 5}, 85.54),
    "iwae_50": ("iwae", {"n_samples": 50}, 84.78),
    "iwae_5_dreg": ("iwae", {"n_samples": 5, "gradient": "dreg"}, 85.54),
    "two_layers_1": ("iwae_two_layers", {"n_samples": 1}, 85.33),
    "two_layers_5": ("iwae_two_layers", {"n_samples": 5}, 83.89),
    "miwae": ("miwae", {}, 84.97),
    "piwae": ("piwae", {}, 84.46),
    "ciwae": ("ciwae", {}, 84.57),
    # After 2000 epochs and fine tuning with 10 samples.
    "ladder_vae": ("ladder_vae", {}, 81.74),
    # The ELBO of pytorch-generative's VD-VAE after 500 epochs, an upper bound.
    "vdvae": ("vdvae", {}, 80.72),
}


def measure(name: str, given: argparse.Namespace) -> dict[str, Any]:
    recipe, options, paper = MODELS[name]
    folder = Path(given.runs) / f"{name}-{given.epochs}-{given.seed}"
    start = time.perf_counter()
    if folder.exists():
        run = resume(folder)
    else:
        run = train(
            "mnist",
            recipe,
            out=folder,
            seed=given.seed,
            epochs=given.epochs,
            binarize=True,
            **options,
        )
    seconds = time.perf_counter() - start
    test = load_data("mnist").test
    assert test is not None
    part = Examples(test.x[: given.examples])
    found = nll(run.trained, part, given.samples, binarization="dynamic", seed=given.seed)
    row = {"model": name, "recipe": recipe, "options": options, "paper": paper}
    row |= {"epochs": given.epochs, "seed": given.seed, "nll": asdict(found)}
    row |= {"plan": asdict(run.trained.recipe.plan), "seconds": round(seconds, 1)}
    if not given.dry:
        record("published", row)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["vae"], choices=list(MODELS))
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--examples", type=int, default=10_000, help="the first test images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs/published", help="folder of the run folders")
    parser.add_argument("--dry", action="store_true", help="record nothing")
    given = parser.parse_args()
    lines = [["model", "epochs", "-log p(x)", "standard error", "paper"]]
    for name in given.models:
        row = measure(name, given)
        found = row["nll"]
        value, error = f"{found['nats']:.2f}", f"{found['standard_error']:.2f}"
        lines.append([name, str(given.epochs), value, error, f"{row['paper']:.2f}"])
        print(table([lines[0], lines[-1]]), flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
