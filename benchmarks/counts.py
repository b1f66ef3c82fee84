"""Codes of counts whose rows are of uneven depth, beside PCA of log-normalised counts.

Rows belong to five groups, each with a profile of rates, and have a depth of their own (log-normal).
Codes are fitted on five eighths of the rows; of the rest are the accuracies of logistic regression and
of 15 neighbours, of all the adjusted Rand index of k-means beside the groups. PCA is of
log(1 + counts / sum * median sum), the usual way. ``none`` takes counts as they are.

    python benchmarks/counts.py [--settings uneven ...] [--models poisson PCA ...] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from _record import record, table
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier

from autoencode import Autoencoder

WIDTH, GROUPS = 8, 5
#: Likelihood and size factor of ours; PCA has none.
MODELS: dict[str, dict[str, Any]] = {
    "negative binomial": {"likelihood": "negative_binomial"},
    "poisson": {"likelihood": "poisson"},
    "negative binomial, none": {"likelihood": "negative_binomial", "size_factor": "none"},
    "poisson, none": {"likelihood": "poisson", "size_factor": "none"},
    "PCA": {},
}


@dataclass(frozen=True)
class Setting:
    """Rows of counts: how many, of how many genes, and how their depths (sums) are spread."""

    name: str
    genes: int = 200
    rows: int = 800
    depth: float = 150.0
    spread: float = 1.0  # standard deviation of the logarithm of the depth


SETTINGS = (
    Setting("uneven"),
    Setting("shallow", depth=40.0),
    Setting("wide", genes=1000),
    Setting("many rows", rows=2000, depth=60.0),
    Setting("even", spread=0.1, depth=60.0),
)


def make(setting: Setting, seed: int) -> tuple[Any, Any, int]:
    """Makes counts (N, genes), the groups (N,) of rows, and how many rows are for training."""
    rng = np.random.default_rng(seed)
    profile = rng.gamma(0.5, 1, setting.genes) * rng.lognormal(0, 0.6, (GROUPS, setting.genes))
    group = rng.integers(0, GROUPS, setting.rows)
    depth = rng.lognormal(np.log(setting.depth), setting.spread, (setting.rows, 1))
    rate = profile[group] / profile[group].sum(1, keepdims=True) * depth
    x = rng.poisson(rate * rng.gamma(5, 0.2, rate.shape)).astype(float)
    n = setting.rows * 5 // 8
    return x[:, x[:n].sum(0) > 0], group, n


def codes_of(model: str, x: Any, n: int, seed: int) -> Any:
    if MODELS[model]:
        fitted = Autoencoder("vae", WIDTH, random_state=seed, options=MODELS[model]).fit(x[:n])
        return fitted.transform(x)
    sums = x.sum(1, keepdims=True)
    logs = np.log1p(x / np.maximum(sums, 1) * np.median(sums[:n]))
    return PCA(WIDTH, random_state=seed).fit(logs[:n]).transform(logs)


def figures_of(z: Any, group: Any, n: int) -> dict[str, float]:
    z = (z - z[:n].mean(0)) / (z[:n].std(0) + 1e-9)
    linear = LogisticRegression(max_iter=5000).fit(z[:n], group[:n])
    near = KNeighborsClassifier(15).fit(z[:n], group[:n])
    found = KMeans(GROUPS, n_init=10, random_state=0).fit_predict(z)
    return {
        "linear": float(linear.score(z[n:], group[n:])),
        "neighbours": float(near.score(z[n:], group[n:])),
        "rand": float(adjusted_rand_score(group, found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--settings", nargs="+", default=[s.name for s in SETTINGS])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    lines = [["setting", "model", "seed", "linear", "neighbours", "Rand index", "seconds"]]
    for setting in (s for s in SETTINGS if s.name in asked.settings):
        for seed in asked.seeds:
            x, group, n = make(setting, seed)
            for model in asked.models:
                start = time.perf_counter()
                found = figures_of(codes_of(model, x, n, seed), group, n)
                found["seconds"] = time.perf_counter() - start
                record("counts", {**asdict(setting), "model": model, "seed": seed, **found})
                words = [f"{found[name]:.3f}" for name in ("linear", "neighbours", "rand")]
                lines.append([setting.name, model, str(seed), *words, f"{found['seconds']:.0f}"])
                print(lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
