"""Training seconds to the founding quality: the default schedule against the tutorial loop.

Both are live processes in one run. The tutorial loop trains until it reaches the founding quality on
the test images; between its epochs our runs are made, one after another with new seeds, so that both
see the same load. Only training is timed.

    python benchmarks/time_to_quality.py [--models A B C D] [--runs 3] [--set precision=bf16]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from _record import Process, record, serve, table
from _tutorial import RECIPES, Tutorial

# model: founding quality, most epochs of the tutorial loop, our epochs, goal
TARGETS = {
    "A": (0.0101, 14, 1, 12.0),
    "B": (106.6, 12, 4, 7.0),
    "C": (0.00036, 12, 3, 4.0),
    "D": (0.0416, 6, 2, 4.0),
}


def tutorial(model: str) -> Callable[[str], tuple[float, float]]:
    """An epoch of the tutorial loop for each line: its seconds and the quality after it."""
    from autoencode.data import load_data

    data = load_data("mnist")
    loop = Tutorial(model, data.train.x)
    return lambda line: (loop.epoch(), loop.quality(data.test.x))


def ours(model: str) -> Callable[[str], tuple[float, float]]:
    """A whole run for each line, a seed and options: its training seconds and its quality."""
    from autoencode import train

    def run_of(line: str) -> tuple[float, float]:
        seed, *sets = line.split()
        figures = {"epochs": TARGETS[model][2], **dict(pair.split("=") for pair in sets)}
        run = train("mnist", RECIPES[model], seed=int(seed), **figures)
        quality = -run.metrics["elbo"] if model == "B" else run.metrics["mse"]
        return run.trained.info["training"]["seconds"], quality

    return run_of


def compare(model: str, runs: int, sets: list[str]) -> dict:
    target, most, epochs, _ = TARGETS[model]
    loop, package = Process(__file__, "tutorial", model), Process(__file__, "autoencode", model)
    curve: list[tuple[float, float]] = []
    trained: list[tuple[float, float]] = []
    total = 0.0
    while len(curve) < most and (not curve or curve[-1][1] > target):
        seconds, quality = loop.ask()
        total += seconds
        curve.append((total, quality))
        if len(trained) < runs:
            trained.append(tuple(package.ask(" ".join([str(len(trained)), *sets]))))
        print(f"{model} tutorial {curve[-1]} ours {trained[-1]}", flush=True)
    loop.close()
    package.close()
    row = {"model": model, "target": target, "epochs": epochs, "set": sets}
    return {**row, "tutorial": curve, "ours": trained}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(RECIPES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--set", nargs="+", default=[], metavar="OPTION=VALUE", help="of ours")
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        kind, model = options.serve
        serve((tutorial if kind == "tutorial" else ours)(model))
        return
    lines = [["model", "quality", "tutorial s", "ours s", "our quality", "ratio", "goal"]]
    for model in options.models:
        row = compare(model, options.runs, options.set)
        record("time_to_quality", row)
        seconds, reached = row["tutorial"][-1]
        median = statistics.median(s for s, _ in row["ours"])
        worst = max(q for _, q in row["ours"])
        met = "" if reached <= row["target"] else f" (at {reached:.4g})"
        ok = "" if worst <= row["target"] else " (missed)"
        ratio = f"{seconds / median:.1f}x"
        lines.append(
            [
                model,
                f"<= {row['target']}",
                f"{seconds:.1f}{met}",
                f"{median:.1f}",
                f"<= {worst:.5g}{ok}",
                ratio,
                f">= {TARGETS[model][3]:g}x",
            ]
        )
        print(lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
