"""Anomaly detection on tables of ADBench, beside detectors of scikit-learn and PyOD by their defaults.

Two protocols: ``normal`` trains on half of the normal rows and scores the other half and all anomalies
(as in On Diffusion Modeling for Anomaly Detection, Livernoche et al., 2024); ``contaminated`` trains on
all rows without labels and scores the same rows. More rows than ``--rows`` are drawn stratified. The
others are given columns of mean 0 and variance 1 by the training rows, ours the raw values. Results go
to ``results/anomaly.jsonl``; those that are there are not measured again (``--again`` does).

    python benchmarks/anomaly.py FOLDER [--detectors ours pca iforest knn pyod_ae pyod_vae]
        [--rows 10000] [--seeds 0 1 2 3 4] [--show]

FOLDER holds ``.npz`` files with X (n, d) and y (n,), 1 for an anomaly.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from _record import record, recorded, table
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

HALVES = 2000  # draws of half the tables
PROTOCOLS = ("normal", "contaminated")
PLAN = "2"  # of the protocol and of our defaults: rows of another one are measured again


class Ours:
    """``AnomalyDetector`` as it comes."""

    def __init__(self, seed: int) -> None:
        from autoencode import AnomalyDetector

        self.detector = AnomalyDetector(random_state=seed)

    def fit(self, x: np.ndarray) -> None:
        self.detector.fit(x)

    def score(self, x: np.ndarray) -> np.ndarray:
        return -self.detector.score_samples(x)


class Standardized:
    """A detector on columns of mean 0 and variance 1."""

    def fit(self, x: np.ndarray) -> None:
        self.mean, spread = x.mean(0), x.std(0)
        self.spread = np.where(spread > 0, spread, 1)
        self.learn((x - self.mean) / self.spread)

    def score(self, x: np.ndarray) -> np.ndarray:
        return self.far((x - self.mean) / self.spread)


class Pca(Standardized):
    """Squared distance in all principal components over their variance."""

    def __init__(self, seed: int) -> None:
        del seed

    def learn(self, x: np.ndarray) -> None:
        variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(x.T)))
        used = variance > 1e-9 * variance[-1]
        self.axes = axes[:, used] / np.sqrt(variance[used])

    def far(self, x: np.ndarray) -> np.ndarray:
        return ((x @ self.axes) ** 2).sum(1)


class Forest(Standardized):
    """scikit-learn's IsolationForest."""

    def __init__(self, seed: int) -> None:
        self.forest = IsolationForest(random_state=seed)

    def learn(self, x: np.ndarray) -> None:
        self.forest.fit(x)

    def far(self, x: np.ndarray) -> np.ndarray:
        return -self.forest.score_samples(x)


class Knn(Standardized):
    """Distance to the fifth neighbour, PyOD's default; a training row is no neighbour of itself."""

    def __init__(self, seed: int) -> None:
        del seed

    def learn(self, x: np.ndarray) -> None:
        self.x = x
        self.near = NearestNeighbors(n_neighbors=5).fit(x)

    def far(self, x: np.ndarray) -> np.ndarray:
        same = x.shape == self.x.shape and bool((x == self.x).all())
        return self.near.kneighbors(None if same else x)[0][:, -1]


class Pyod(Standardized):
    """A detector of PyOD by its defaults."""

    name = ""

    def __init__(self, seed: int) -> None:
        import importlib

        home = {"AutoEncoder": "auto_encoder", "VAE": "vae"}[self.name]
        kind = getattr(importlib.import_module(f"pyod.models.{home}"), self.name)
        self.detector = kind(random_state=seed, verbose=0)

    def learn(self, x: np.ndarray) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self.detector.fit(x)

    def far(self, x: np.ndarray) -> np.ndarray:
        return np.nan_to_num(self.detector.decision_function(x))


class PyodAutoEncoder(Pyod):
    """PyOD's AutoEncoder."""

    name = "AutoEncoder"


class PyodVae(Pyod):
    """PyOD's VAE."""

    name = "VAE"


DETECTORS: dict[str, Callable] = {
    "ours": Ours,
    "pca": Pca,
    "iforest": Forest,
    "knn": Knn,
    "pyod_ae": PyodAutoEncoder,
    "pyod_vae": PyodVae,
}


def drawn(file: Path, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The table, of more rows than that a stratified draw."""
    with np.load(file) as data:
        x, y = data["X"], data["y"]
    if len(x) > rows:
        rng = np.random.default_rng(seed)
        chosen = []
        for label in (0, 1):
            of = np.flatnonzero(y == label)
            n = max(round(rows * len(of) / len(x)), 1)
            chosen.append(rng.choice(of, n, replace=False))
        keep = np.sort(np.concatenate(chosen))
        x, y = x[keep], y[keep]
    return x.astype(np.float64), y


def parts(x: np.ndarray, y: np.ndarray, protocol: str, seed: int):
    """Training rows, rows to score, and their labels."""
    if protocol == "contaminated":
        return x, x, y
    normal = np.random.default_rng(1000 + seed).permutation(np.flatnonzero(y == 0))
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    return x[normal[:half]], x[test], y[test]


def measure(file: Path, name: str, protocol: str, rows: int, seed: int) -> dict:
    train, test, labels = parts(*drawn(file, rows, seed), protocol, seed)
    detector = DETECTORS[name](seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        detector.fit(train)
        fitted = time.perf_counter()
        scores = detector.score(test)
        scored = time.perf_counter()
    row = {
        **key_of(file, name, protocol, rows, seed),
        "auroc": float(roc_auc_score(labels, scores)),
        "auprc": float(average_precision_score(labels, scores)),
        "fit_seconds": round(fitted - start, 3),
        "score_seconds": round(scored - fitted, 3),
        "n_train": len(train),
        "n_test": len(test),
    }
    record("anomaly", row)
    return row


def key_of(file: Path, name: str, protocol: str, rows: int, seed: int) -> dict:
    return {
        "table": file.stem,
        "detector": name,
        "protocol": protocol,
        "rows": rows,
        "seed": seed,
        "plan": PLAN if name == "ours" else "1",
    }


def found(rows: list[dict], key: dict) -> dict | None:
    same = [row for row in rows if all(row[name] == value for name, value in key.items())]
    return same[-1] if same else None


def summary(files: list[Path], options: argparse.Namespace, rows: list[dict]) -> str:
    head = ["protocol", "detector", "AUROC", "AUPRC", "fit s", "score s", "measured"]
    lines = [head]
    for protocol in options.protocols:
        for name in options.detectors:
            keys = [key_of(f, name, protocol, options.rows, s) for f in files for s in options.seeds]
            rows_found = [row for row in (found(rows, key) for key in keys) if row is not None]
            if not rows_found:
                continue
            means = {m: np.mean([r[m] for r in rows_found]) for m in ("auroc", "auprc")}
            seconds = {m: np.mean([r[m] for r in rows_found]) for m in ("fit_seconds", "score_seconds")}
            lines.append(
                [
                    protocol,
                    name,
                    *(f"{100 * v:.2f}" for v in means.values()),
                    *(f"{v:.2f}" for v in seconds.values()),
                    f"{len(rows_found)} of {len(keys)}",
                ]
            )
    return table(lines)


def ahead(files: list[Path], options: argparse.Namespace, rows: list[dict]) -> Iterator[str]:
    """How often the first detector's mean AUROC is above another's on a random half of the tables."""
    halves = np.random.default_rng(0).permuted(np.tile(np.arange(len(files)), (HALVES, 1)), axis=1)
    halves = halves[:, : len(files) // 2]
    for protocol in options.protocols:
        means = {}
        for name in options.detectors:
            keys = [[key_of(f, name, protocol, options.rows, s) for s in options.seeds] for f in files]
            same = [[found(rows, key) for key in of_table] for of_table in keys]
            if all(row is not None for of_table in same for row in of_table):
                means[name] = np.array([np.mean([row["auroc"] for row in of]) for of in same if of])
        for name in list(means)[1:]:
            first = next(iter(means))
            share = np.mean((means[first] - means[name])[halves].mean(axis=1) > 0)
            yield f"{protocol}: {first} ahead of {name} in {share:.1%} of {HALVES} random halves"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detectors", nargs="+", default=["ours", "pca", "iforest", "knn"])
    parser.add_argument("--protocols", nargs="+", default=list(PROTOCOLS))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.npz"), key=lambda f: int(re.match(r"\d*", f.stem)[0] or 0))
    before = [] if options.again else recorded("anomaly")
    for seed in [] if options.show else options.seeds:
        for file in files:
            for protocol in options.protocols:
                for name in options.detectors:
                    if found(before, key_of(file, name, protocol, options.rows, seed)) is None:
                        row = measure(file, name, protocol, options.rows, seed)
                        print(file.stem, protocol, name, seed, round(row["auroc"], 4), flush=True)
    rows = recorded("anomaly")
    print(summary(files, options, rows))
    for line in ahead(files, options, rows):
        print(line)


if __name__ == "__main__":
    main()
