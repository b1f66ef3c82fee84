"""Whether the units of a table's columns matter to what a model learns.

A table of 12 columns of four factors, some of them bent, is learned from as it is, in other units
(a*x + b, with a from 1e-6 to 1e6 and b up to ten standard deviations for each column) and brought to
0..1. Errors are of 300 held-out rows, squared, in units of each column's variance; a ratio is the mean
error over all seeds in other units over that as it is. Left out are recipes that need images or labels,
and discrete and adversarial ones, for which the last bit of a number can decide.

    python benchmarks/units.py [--recipes mlp vae ...] [--seeds 0 1 2 3 4]
    python benchmarks/units.py --all       every recipe that a table can be learned with
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from _record import record, table

from autoencode import Autoencoder
from autoencode.recipes import RECIPES

USUAL = ["linear", "mlp", "mlp_small", "denoising", "mlp_impute", "sparse", "vae", "sigma_vae"]
UNITS = ["as it is", "a*x + b", "0..1"]


def eligible() -> list[str]:
    """Lists the recipes that learn from tables and are neither discrete nor adversarial."""
    return [
        name
        for name, info in RECIPES.items()
        if not (info.conditional or info.guesses)
        and not (info.facts.images_only or info.facts.unit_only)
        and not (info.facts.integers or info.facts.critic)
    ]


def made(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Makes training rows (600, 12) and held-out rows (300, 12) in each of the units."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(900, 4))
    x = z @ rng.normal(size=(4, 12)) / 2
    x[:, :4] = np.sin(x[:, :4])
    x += 0.1 * rng.normal(size=x.shape)
    x, new = x[:600], x[600:]
    a = 10.0 ** rng.uniform(-6, 6, 12)
    b = rng.uniform(-10, 10, 12) * a * x.std(0)
    low, high = x.min(0), x.max(0)
    return {
        "as it is": (x, new),
        "a*x + b": (a * x + b, a * new + b),
        "0..1": ((x - low) / (high - low), (new - low) / (high - low)),
    }


def error(recipe: str, seed: int, x: np.ndarray, new: np.ndarray) -> float:
    """Computes the mean squared error of held-out rows, in units of each column's variance."""
    model = Autoencoder(recipe, random_state=seed, **_width(recipe)).fit(x)
    residual = (np.asarray(model.reconstruct(new), np.float64) - new) / x.std(0)
    return float(np.square(residual).mean())


def _width(recipe: str) -> dict[str, int]:
    return {"n_components": 4} if "latent_dim" in RECIPES[recipe].options else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=USUAL)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    lines = [["recipe", *UNITS, "a*x + b / as it is", "0..1 / as it is"]]
    for recipe in eligible() if options.all else options.recipes:
        found: dict[str, list[float]] = {name: [] for name in UNITS}
        for seed in options.seeds:
            for name, (x, new) in made(seed).items():
                found[name].append(error(recipe, seed, x, new))
        means = [statistics.mean(found[name]) for name in UNITS]
        ratios = [mean / means[0] for mean in means[1:]]
        record("units", {"recipe": recipe, "seeds": options.seeds, "errors": found, "ratios": ratios})
        lines.append(
            [recipe, *(f"{mean:.5f}" for mean in means), *(f"{ratio:.4f}" for ratio in ratios)]
        )
        print(lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
