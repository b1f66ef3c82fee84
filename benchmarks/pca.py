"""How near the ``linear`` recipe comes to PCA, whose subspace is the best there is.

A linear autoencoder of width k cannot have a lower squared error than k principal components (Baldi &
Hornik, 1989), on the examples that it learns from. Here both are measured on MNIST's test images.

    python benchmarks/pca.py [--widths 2 10 32] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import statistics

from _record import record, table

from autoencode import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--widths", nargs="+", type=int, default=[2, 10, 32])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--data", default="mnist")
    options = parser.parse_args()
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
