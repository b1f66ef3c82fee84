"""Going on with a trained model: on the same rows, on rows that have moved, and in parts.

Errors are squared, over the variance of each column, on a fifth of the rows that no model saw. ``same``
is the error after five more epochs over that before; ``moved`` that of a warm start over that of a
fresh fit of the same length, on rows with another mean and scale in each column, or in some of them;
``detector`` the area under the ROC curve after four parts, in the order of a column, less that after
``fit`` on all rows. Rows are recorded in ``results/going_on.jsonl``.

    python benchmarks/going_on.py [--rows 2000] [--tables cardio pendigits] [--recipes mlp vae]
"""

from __future__ import annotations

import argparse
import copy
import os
from pathlib import Path

import numpy as np
from _record import record, table
from imputation import tables
from sklearn.metrics import roc_auc_score

from autoencode import AnomalyDetector, Autoencoder

FACTORS = "three factors"  # the made table, 700 x 12


def rows_of(name: str, folder: Path, most: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of a table in random order, and which are anomalous."""
    rng = np.random.default_rng(0)
    if name == FACTORS:
        x = rng.normal(size=(700, 3)) @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(700, 12))
        return x, None
    held = np.load(tables(folder)[name])
    chosen = rng.permutation(len(held["X"]))[:most]
    x = held["X"][chosen].astype(np.float64)
    return x[:, x.std(0) > 0], held["y"][chosen]


def error(model: Autoencoder, x: np.ndarray, spread: np.ndarray) -> float:
    return float(np.square((model.reconstruct(x) - x) / spread).mean())


def moves(x: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Factor and shift of each column, by name."""
    rng, n, spread = np.random.default_rng(1), x.shape[1], x.std(0)
    some = np.arange(n) % 3 == 0
    return {
        "all columns": (10 ** rng.uniform(-2, 2, n), 10 * spread * rng.normal(size=n)),
        "a third": (np.where(some, 4.0, 1.0), np.where(some, 3 * spread, 0.0)),
    }


def of_recipe(recipe: str, x: np.ndarray) -> dict[str, float]:
    n = len(x) * 4 // 5
    train, test, width = x[:n], x[n:], max(1, x.shape[1] // 4)
    first = Autoencoder(recipe, width, random_state=0, warm_start=True).fit(train)
    before = error(first, test, train.std(0))
    more = copy.deepcopy(first).set_params(epochs=5).fit(train)
    found = {"before": before, "same": error(more, test, train.std(0)) / before}
    parts = copy.deepcopy(first)
    for _ in range(5):
        for part in np.array_split(train, 4):
            parts.partial_fit(part)
    found["same, in parts"] = error(parts, test, train.std(0)) / before
    for name, (factor, shift) in moves(train).items():
        new, spread = test * factor + shift, (train * factor).std(0)
        warm = copy.deepcopy(first).set_params(epochs=5).fit(train * factor + shift)
        fresh = Autoencoder(recipe, width, random_state=0, epochs=5).fit(train * factor + shift)
        found[f"moved: {name}"] = error(warm, new, spread) / error(fresh, new, spread)
    return found


def of_detector(x: np.ndarray, odd: np.ndarray) -> dict[str, float]:
    whole, parts = (AnomalyDetector(random_state=0) for _ in range(2))
    whole.fit(x)
    for part in np.array_split(x[np.argsort(x[:, 0])], 4):
        parts.partial_fit(part)
    by_fit, by_parts = (roc_auc_score(odd, -d.score_samples(x)) for d in (whole, parts))
    return {"AUC of fit": by_fit, "detector": by_parts - by_fit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--tables", nargs="*", default=["cardio", "pendigits"])
    parser.add_argument("--recipes", nargs="*", default=["mlp", "vae"])
    chosen = parser.parse_args()
    folder = Path(os.environ.get("AUTOENCODE_DATA", "data")) / "anomaly"
    shown = [["table", "model", "figure", "value"]]
    for name in [FACTORS, *chosen.tables]:
        x, odd = rows_of(name, folder, chosen.rows)
        found = {recipe: of_recipe(recipe, x) for recipe in chosen.recipes}
        if odd is not None:
            found["detector"] = of_detector(x, odd)
        for model, figures in found.items():
            record("going_on", {"table": name, "model": model, "rows": len(x), **figures})
            shown += [[name, model, figure, f"{value:.4f}"] for figure, value in figures.items()]
            print(*shown[-len(figures) :], sep="\n", flush=True)
    print(table(shown))


if __name__ == "__main__":
    main()
