"""Training seconds to the founding quality: the default schedule against the tutorial loop.

All are live processes in one run. The tutorial loop trains until it reaches the founding quality on
the test images; between its epochs our runs are made, one after another with new seeds, so that both
see the same load. A jitted JAX scan with constant Adam, where JAX is installed, trains on in between
until it reaches the quality or has taken as long as the tutorial loop. Only training is timed,
compiling is not.

    python benchmarks/time_to_quality.py [--models A B C D] [--runs 3] [--set precision=bf16]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from _peers_jax import PEERS, JaxScan
from _record import Process, record, serve, table
from _tutorial import RECIPES, Tutorial

# model: founding quality, most epochs of the tutorial loop, our epochs, goal
TARGETS = {
    "A": (0.0101, 14, 1, 20.0),
    "B": (106.6, 12, 4, 10.0),
    "C": (0.00036, 12, 1, 5.0),
    "D": (0.0416, 6, 1, 6.0),
}


def tutorial(model: str) -> Callable[[str], tuple[float, float]]:
    """An epoch of the tutorial loop for each line: its seconds and the quality after it."""
    from autoencode.data import load_data

    data = load_data("mnist")
    loop = Tutorial(model, data.train.x)
    return lambda line: (loop.epoch(), loop.quality(data.test.x))


def scan(model: str) -> Callable[[str], tuple[float, float]]:
    """As ``tutorial``, by JAX; of D, whose convolutions take it half an hour, parts of an epoch."""
    from autoencode.data import load_data

    data = load_data("mnist")
    loop = JaxScan(model, data.train.x, pieces=20 if model == "D" else 1)
    return lambda line: (loop(), loop.quality(data.test.x))


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


class Curve:
    """A contender's training, epoch by epoch: all seconds so far and the quality."""

    def __init__(self, kind: str, model: str) -> None:
        self._process, self._target = Process(__file__, kind, model), TARGETS[model][0]
        self.points: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        return self.points[-1][0] if self.points else 0.0

    @property
    def reached(self) -> bool:
        return bool(self.points) and self.points[-1][1] <= self._target

    def go_on(self) -> None:
        seconds, quality = self._process.ask()
        self.points.append((self.seconds + seconds, quality))

    def close(self) -> None:
        self._process.close()


def compare(model: str, runs: int, sets: list[str]) -> dict:
    target, most, epochs, _ = TARGETS[model]
    loop, package = Curve("tutorial", model), Process(__file__, "autoencode", model)
    jax = Curve("jax", model) if PEERS["JAX scan"].installed else None
    trained: list[tuple[float, float]] = []
    while not loop.reached and len(loop.points) < most:
        loop.go_on()
        if len(trained) < runs:
            trained.append(tuple(package.ask(" ".join([str(len(trained)), *sets]))))
        while jax and not jax.reached and jax.seconds < loop.seconds:
            jax.go_on()
        said = f"{model} tutorial {loop.points[-1]} ours {trained[-1]}"
        print(said, f"JAX {jax.points[-1]}" if jax else "", flush=True)
    curves = {"tutorial": loop, **({"jax": jax} if jax else {})}
    for process in (package, *curves.values()):
        process.close()
    row = {"model": model, "target": target, "epochs": epochs, "set": sets, "ours": trained}
    return row | {name: curve.points for name, curve in curves.items()}


def said(points: list[tuple[float, float]], row: dict) -> str:
    """When the quality was reached, or after how long it was not."""
    seconds, quality = points[-1]
    return f"{seconds:.1f}" + ("" if quality <= row["target"] else f" (at {quality:.4g})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(RECIPES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--set", nargs="+", default=[], metavar="OPTION=VALUE", help="of ours")
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        kind, model = options.serve
        serve({"tutorial": tutorial, "autoencode": ours, "jax": scan}[kind](model))
        return
    lines = [["model", "quality", "tutorial s", "JAX s", "ours s", "our quality", "ratio", "goal"]]
    for model in options.models:
        row = compare(model, options.runs, options.set)
        record("time_to_quality", row)
        median = statistics.median(s for s, _ in row["ours"])
        worst = max(q for _, q in row["ours"])
        ok = "" if worst <= row["target"] else " (missed)"
        ratio = f"{row['tutorial'][-1][0] / median:.1f}x"
        lines.append(
            [
                model,
                f"<= {row['target']}",
                said(row["tutorial"], row),
                said(row["jax"], row) if "jax" in row else "not installed",
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
