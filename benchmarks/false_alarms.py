"""False alarms: the share of clean new rows that detectors call outliers at their own thresholds.

``AnomalyDetector(contamination="auto")`` means to call about one in a hundred clean rows an outlier.
Here it is fitted on clean rows and judges others from the same place: six kinds of drawn rows (600 to
fit, 3 000 to judge) and, where a FOLDER of ADBench's tables is given, halves of the normal rows of each
(of at most ``--rows`` rows). Beside it its p-values at 0.01, which are valid whatever the rows are, and
what scikit-learn's detectors call outliers by default. Results go to ``results/false_alarms.jsonl``.

    python benchmarks/false_alarms.py [FOLDER] [--rows 4000] [--seeds 0 1 2] [--show]
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _record import record, recorded, table
from anomaly import drawn, parts
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from autoencode import AnomalyDetector

LEVEL = 0.01
N_FIT, N_JUDGED = 600, 3000
METHODS = ("threshold", "p-values", "iforest", "lof")


def surface(rng: np.random.Generator, n: int) -> np.ndarray:
    """Rows on a curved surface of two dimensions, with a little noise."""
    a, b = rng.normal(size=(2, n))
    return np.stack([a, b, a + b, a**2, a - b, b**2], axis=1) + 0.1 * rng.normal(size=(n, 6))


DRAWN: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=(n, 6)),
    "on a surface": surface,
    "Student's t, 2 degrees": lambda rng, n: rng.standard_t(2, size=(n, 6)),
    "common random scale": lambda rng, n: rng.normal(size=(n, 6)) / rng.gamma(1.5, size=(n, 1)) ** 0.5,
    "lognormal": lambda rng, n: rng.lognormal(size=(n, 6)),
    "counts and flags": lambda rng, n: np.c_[
        rng.poisson(3, (n, 2)), rng.random((n, 2)) < 0.1, rng.exponential(size=(n, 2))
    ],
}


def rows_of(name: str, folder: Path | None, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clean rows to fit and clean rows to judge."""
    if name in DRAWN:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        x = DRAWN[name](rng, N_FIT + N_JUDGED)
        return x[:N_FIT], x[N_FIT:]
    assert folder is not None
    fitted, judged, labels = parts(*drawn(folder / f"{name}.npz", most, seed), "normal", seed)
    return fitted, judged[labels == 0]


def measure(name: str, folder: Path | None, most: int, seed: int) -> None:
    fitted, judged = rows_of(name, folder, most, seed)
    detector = AnomalyDetector(random_state=seed).fit(fitted)
    flags = {
        "threshold": detector.predict(judged) == -1,
        "p-values": detector.pvalues(judged) <= LEVEL,
        "iforest": IsolationForest(random_state=seed).fit(fitted).predict(judged) == -1,
        "lof": LocalOutlierFactor(novelty=True).fit(fitted).predict(judged) == -1,
    }
    shares = {method: float(flag.mean()) for method, flag in flags.items()}
    counts = {"n_fit": len(fitted), "n_judged": len(judged)}
    record("false_alarms", {**_key(name, most, seed), **counts, "shares": shares})
    print(name, seed, *(f"{100 * share:.2f}" for share in shares.values()), flush=True)


def _key(name: str, most: int, seed: int) -> dict:
    return {"rows_of": name, "rows": 0 if name in DRAWN else most, "seed": seed}


def found(rows: list[dict], key: dict) -> dict | None:
    same = [row for row in rows if all(row[name] == value for name, value in key.items())]
    return same[-1] if same else None


def summary(names: list[str], most: int, seeds: list[int]) -> str:
    rows, lines, averages = recorded("false_alarms"), [["clean rows, % called outliers", *METHODS]], []
    for name in names:
        each = [found(rows, _key(name, most, seed)) for seed in seeds]
        shares = [[row["shares"][m] for m in METHODS] for row in each if row is not None]
        if not shares:
            continue
        means = np.mean(shares, axis=0)
        if name in DRAWN:
            lines.append([name, *(f"{100 * mean:.1f}" for mean in means)])
        else:
            averages.append(means)
    if averages:
        for title, of in (("mean", np.mean), ("least", np.min), ("most", np.max)):
            lines.append(
                [f"{len(averages)} tables, {title}", *(f"{100 * v:.1f}" for v in of(averages, axis=0))]
            )
    return table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="measure again what is recorded")
    parser.add_argument("--show", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    names = [*DRAWN, *(sorted(f.stem for f in options.folder.glob("*.npz")) if options.folder else [])]
    before = [] if options.again else recorded("false_alarms")
    for seed in [] if options.show else options.seeds:
        for name in names:
            if found(before, _key(name, options.rows, seed)) is None:
                measure(name, options.folder, options.rows, seed)
    print(summary(names, options.rows, options.seeds))


if __name__ == "__main__":
    main()
