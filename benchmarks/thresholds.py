"""Thresholds without a share: how many anomalies detectors find, and how many clean rows they call.

``AnomalyDetector()`` is fitted on rows of which a share are anomalies, and judges the same rows.
Scattered anomalies lie far out in every direction (noise of standard deviation 3 on rows near a plane,
uniform in three times the range on others, so that they can be told); a group lies around one place
far outside. Beside the threshold stand a false discovery rate of 5 %, scikit-learn's IsolationForest at
``contamination="auto"``, and the plain rule of the median and three scaled median absolute deviations
on the Mahalanobis distance. Results go to ``results/thresholds.jsonl``.

    python benchmarks/thresholds.py [--rows 1000] [--seeds 0 1] [--kinds ...] [--show]
"""

from __future__ import annotations

import argparse
import warnings
import zlib
from collections.abc import Callable

import numpy as np
from _record import record, recorded, table
from false_alarms import DRAWN
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from autoencode import AnomalyDetector
from autoencode.errors import ThresholdWarning

CASES = [("scattered", s) for s in (0, 0.005, 0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25)]
CASES += [("group", s) for s in (0.05, 0.1, 0.15)]
METHODS = ("threshold", "fdr", "iforest", "mad")
Draw = Callable[[np.random.Generator, int], np.ndarray]


def near_plane(factors: int, columns: int, noise: float) -> Draw:
    """Rows near a plane of a few dimensions."""
    axes = np.random.default_rng([factors, columns]).normal(size=(factors, columns))

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.normal(size=(n, factors)) @ axes + noise * rng.normal(size=(n, columns))

    return draw


PLANES = {
    "3 of 8": near_plane(3, 8, 0.1),
    "2 of 20": near_plane(2, 20, 0.3),
    "5 of 12": near_plane(5, 12, 0.5),
}
KINDS: dict[str, Draw] = {**PLANES, **DRAWN}


def rows_of(kind: str, n: int, how: str, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and which of them are anomalies."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{kind} {n} {how} {share}".encode())])
    x = KINDS[kind](rng, n).astype(np.float64)
    k, width = round(share * n), x.shape[1]
    middle, spread = np.median(x, axis=0), x.std(0)
    if how == "group":
        way = rng.normal(size=width)
        place = middle + 4 * width**0.5 * spread * way / np.linalg.norm(way)
        x[:k] = place + 0.3 * spread * rng.normal(size=(k, width))
    elif kind in PLANES:
        x[:k] += 3 * rng.normal(size=(k, width))
    else:
        reach = 3 * np.abs(x - middle).max(0)
        x[:k] = middle + rng.uniform(-1, 1, size=(k, width)) * reach
    return x, np.arange(n) < k


def by_mad(x: np.ndarray) -> np.ndarray:
    """Calls rows by three median absolute deviations of the Mahalanobis distance."""
    centred = x - x.mean(0)
    far = np.sqrt(((centred @ np.linalg.pinv(np.cov(x.T))) * centred).sum(1))
    middle = np.median(far)
    return far > middle + 3 * 1.4826 * np.median(np.abs(far - middle))


def measure(kind: str, n: int, how: str, share: float, seed: int) -> None:
    x, odd = rows_of(kind, n, how, share, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThresholdWarning)
        detector = AnomalyDetector(random_state=seed).fit(x)
    scores = -detector.score_samples(x)
    called = {
        "threshold": scores > -detector.offset_,
        "fdr": detector.predict(x, fdr=0.05) == -1,
        "iforest": IsolationForest(random_state=seed).fit_predict(x) == -1,
        "mad": by_mad(x),
    }
    row = {
        **_key(kind, n, how, share, seed),
        "auroc": float(roc_auc_score(odd, scores)) if odd.any() else None,
        "doubt": bool(detector.doubt_),
        "found": {m: float(c[odd].mean()) if odd.any() else None for m, c in called.items()},
        "called": {m: float(c[~odd].mean()) for m, c in called.items()},
    }
    record("thresholds", row)
    print(kind, how, share, seed, row["found"]["threshold"], row["called"]["threshold"], flush=True)


def _key(kind: str, n: int, how: str, share: float, seed: int) -> dict:
    return {"kind": kind, "rows": n, "how": how, "share": share, "seed": seed}


def found(rows: list[dict], key: dict) -> dict | None:
    same = [row for row in rows if all(row[name] == value for name, value in key.items())]
    return same[-1] if same else None


def summary(options: argparse.Namespace) -> str:
    """For each share the means over kinds and seeds: found / called of clean rows, in %."""
    rows, lines = recorded("thresholds"), [["anomalies", "AUROC", *METHODS, "least found", "told"]]
    for how, share in CASES:
        keys = [_key(k, options.rows, how, share, s) for k in options.kinds for s in options.seeds]
        each = [row for row in (found(rows, key) for key in keys) if row is not None]
        if not each:
            continue
        cells = []
        for method in METHODS:
            called = f"{100 * np.mean([row['called'][method] for row in each]):.1f}"
            if share:
                called = f"{100 * np.mean([row['found'][method] for row in each]):.1f} / {called}"
            cells.append(called)
        auroc = f"{np.mean([row['auroc'] for row in each]):.3f}" if share else "-"
        least = f"{100 * min(row['found']['threshold'] for row in each):.0f}" if share else "-"
        told = f"{sum(row['doubt'] for row in each)} of {len(each)}"
        lines.append([f"{100 * share:g} % {how}", auroc, *cells, least, told])
    return table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--again", action="store_true", help="measure again what is recorded")
    parser.add_argument("--show", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    before = [] if options.again else recorded("thresholds")
    for seed in [] if options.show else options.seeds:
        for kind in options.kinds:
            for how, share in CASES:
                if found(before, _key(kind, options.rows, how, share, seed)) is None:
                    measure(kind, options.rows, how, share, seed)
    print(summary(options))


if __name__ == "__main__":
    main()
