"""How near the ``linear`` recipe comes to PCA, whose subspace is the best there is.

A linear autoencoder of width k cannot have a lower squared error than k principal components (Baldi &
Hornik, 1989), on the examples that it learns from. Here both are measured on MNIST's test images.

    python benchmarks/pca.py [--widths 2 10 32] [--seeds 0 1 2]
    python benchmarks/pca.py --cost        what PCA as a yardstick takes in memory and time
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time

import numpy as np
from _record import record, table

from autoencode import train
from autoencode.data import Examples, Resident
from autoencode.evaluate.pca import PCA
from autoencode.types import DataSpec

#: (N, columns, components): tables, and two colour images of 64 x 64.
_COSTS = ((1000, 784, 32), (200, 100_000, 10), (2, 12_288, 64), (2000, 12_288, 64))


def cost() -> None:
    """Prints peak memory beyond that of the data, and seconds, of fitting PCA and measuring by it."""
    lines = [["rows", "columns", "components", "found", "more MB", "seconds"]]
    for shape in _COSTS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            n, megabytes, seconds = pool.apply(_cost_of, shape)
        lines.append([*map(str, shape), str(n), f"{megabytes:.0f}", f"{seconds:.1f}"])
        record("pca-cost", {"shape": list(shape), "megabytes": megabytes, "seconds": seconds})
    print(table(lines))


def _cost_of(rows: int, columns: int, width: int) -> tuple[int, float, float]:
    x = np.random.default_rng(0).random((rows, columns), dtype=np.float32)
    source = Resident(Examples(x), DataSpec((columns,), "real"))
    PCA.fit(Resident(Examples(x[:, :2].copy()), DataSpec((2,), "real")), 1)  # what libraries take once
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    fitted = PCA.fit(source, width)
    fitted.mse(source)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return len(fitted.axes), (after - before) / 1024, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--widths", nargs="+", type=int, default=[2, 10, 32])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--data", default="mnist")
    options = parser.parse_args()
    if options.cost:
        cost()
        return
    lines = [["width", "PCA's MSE", "ratio for each seed", "mean ratio", "seconds"]]
    for width in options.widths:
        runs = [train(options.data, "linear", latent_dim=width, seed=seed) for seed in options.seeds]
        ratios = [run.metrics["mse"] / run.metrics["pca_mse"] for run in runs]
        took = [run.trained.info["training"]["seconds"] for run in runs]
        for seed, run, ratio in zip(options.seeds, runs, ratios, strict=True):
            row = {"data": options.data, "width": width, "seed": seed, "ratio": ratio}
            record("pca", {**row, "mse": run.metrics["mse"], "pca_mse": run.metrics["pca_mse"]})
        each = " ".join(f"{ratio:.5f}" for ratio in ratios)
        mean, pca = statistics.mean(ratios), runs[0].metrics["pca_mse"]
        lines.append([str(width), f"{pca:.6f}", each, f"{mean:.5f}", f"{statistics.mean(took):.1f}"])
        print(lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
