"""The default model of tables beside PCA with as many components, on the tables of ADBench.

Of each table at most ``--rows`` rows are drawn at random, a fifth of them held out to measure by;
columns are standardised by the others. Codes are a quarter as wide as the columns. The figure of a
table is the held-out squared error of the autoencoder over that of PCA, the mean of paired splits.
``--codes`` asks whether codes serve as well as principal components: the area under the ROC curve of
a logistic regression on 16 of either, which tells anomalies from the rest.

Half of the tables served to choose the figures of ``recipes/shared/schedules.py`` (``CHOSEN_BY``); the
others were looked at afterwards. Rows are recorded in ``results/tables.jsonl``; those that are there
already are not computed again.

    python benchmarks/tables.py [--rows 3000] [--splits 5] [--recipe mlp] [--tables NAME ...]
    python benchmarks/tables.py --codes
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from _record import record, recorded, table
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoencode import Autoencoder

#: Tables by which the figures of training were chosen.
CHOSEN_BY = (
    *("donors", "http", "ALOI", "magic.gamma", "optdigits", "satellite"),
    *("smtp", "vertebral", "WDBC", "yeast", "cardio"),
)
#: Tables of more than 16 columns with labels, for codes of 16 numbers.
OF_CODES = ("Ionosphere", "cardio", "letter", "optdigits", "satellite")
WORSE = 1.02


def tables(folder: Path) -> dict[str, Path]:
    """The tables by name."""
    return {path.stem.split("_", 1)[1]: path for path in sorted(folder.glob("*.npz"))}


def split(path: Path, rows: int, seed: int) -> tuple[np.ndarray, ...]:
    """Training and held-out rows, standardised by the training rows, and their labels."""
    held = np.load(path)
    x, y = held["X"].astype(np.float64), held["y"]
    order = np.random.default_rng(seed).permutation(len(x))[:rows]
    x, y = x[order], y[order]
    n = len(x) - len(x) // 5
    spread = x[:n].std(axis=0)
    x = (x - x[:n].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return x[:n], x[n:], y[:n], y[n:]


def reconstructed(path: Path, rows: int, seed: int, recipe: str) -> dict[str, Any]:
    train, test, _, _ = split(path, rows, seed)
    width = max(1, train.shape[1] // 4)
    pca = PCA(width).fit(train)
    started = time.perf_counter()
    ours = Autoencoder(recipe, width, random_state=seed).fit(train).reconstruct(test)
    return {
        "ours": float(np.square(ours - test).mean()),
        "pca": float(np.square(pca.inverse_transform(pca.transform(test)) - test).mean()),
        "seconds": round(time.perf_counter() - started, 2),
    }


def classified(path: Path, rows: int, seed: int, recipe: str) -> dict[str, Any]:
    train, test, y, wanted = split(path, rows, seed)
    started = time.perf_counter()
    ours = Autoencoder(recipe, 16, random_state=seed).fit(train)
    seconds = round(time.perf_counter() - started, 2)
    found = {}
    for name, codes in (("ours", ours), ("pca", PCA(16).fit(train))):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        scores = model.fit(codes.transform(train), y).decision_function(codes.transform(test))
        found[name] = float(roc_auc_score(wanted, scores))
    return {**found, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--recipe", default="mlp")
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--codes", action="store_true")
    options = parser.parse_args()
    found = tables(Path(os.environ["AUTOENCODE_DATA"]) / "anomaly")
    what, measure = ("codes", classified) if options.codes else ("pca", reconstructed)
    names = options.tables or (OF_CODES if options.codes else found)
    known = {(r["what"], r["table"], r["rows"], r["seed"], r["recipe"]): r for r in recorded("tables")}
    lines, ratios = [["table", "ours", "PCA", "ours / PCA", "seconds"]], {}
    for name in names:
        rows = []
        for seed in range(options.splits):
            key = (what, name, options.rows, seed, options.recipe)
            if key not in known:
                known[key] = measure(found[name], options.rows, seed, options.recipe)
                named = dict(zip(("what", "table", "rows", "seed", "recipe"), key, strict=True))
                record("tables", {**named, **known[key]})
            rows.append(known[key])
        ours, pca, seconds = (
            statistics.mean(row[k] for row in rows) for k in ("ours", "pca", "seconds")
        )
        ratios[name] = statistics.mean(row["ours"] / row["pca"] for row in rows)
        lines.append([name, f"{ours:.4f}", f"{pca:.4f}", f"{ratios[name]:.3f}", f"{seconds:.1f}"])
    print(table(lines))
    if options.codes:
        return
    for part, some in (
        ("all", list(ratios)),
        ("those that figures were chosen by", [n for n in ratios if n in CHOSEN_BY]),
        ("the others", [n for n in ratios if n not in CHOSEN_BY]),
    ):
        if some:
            mean = math.exp(statistics.mean(math.log(ratios[n]) for n in some))
            worse = [n for n in some if ratios[n] > WORSE]
            print(
                f"{part}: {mean:.3f} in the geometric mean of {len(some)}, worse by more than "
                f"{WORSE - 1:.0%} on {len(worse)} {', '.join(worse)}"
            )


if __name__ == "__main__":
    main()
