"""Throughput of whole epochs: the tutorial loop, ours, and the bare forward, backward and step.

The contenders are live processes whose epochs are interleaved; medians and ratios inside one run count,
absolute figures move with the machine's load.

    python benchmarks/throughput.py [--models A B C D] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from _record import record, table
from _tutorial import RECIPES, Tutorial

ROWS = {"A": 60000, "B": 60000, "C": 12800, "D": 3200}
GOALS = {"A": 3.5, "B": 2.5, "C": 1.6, "D": 2.0}
CONTENDERS = ("tutorial", "autoencode", "bare")


def contender(kind: str, model: str):
    """A function that trains one epoch and returns its seconds."""
    from autoencode.data import load_data

    x = load_data("mnist").train.x[: ROWS[model]]
    if kind == "tutorial":
        return Tutorial(model, x).epoch
    return ours(model, x) if kind == "autoencode" else bare(model, x)


def ours(model: str, x):
    from autoencode.data import Examples, Resident, load_data
    from autoencode.recipes import build
    from autoencode.training import fit

    spec = load_data("mnist").spec
    recipe = build(RECIPES[model], spec, schedule="paper", epochs=1)
    source = Resident(Examples(x), spec)

    def epoch() -> float:
        return fit(recipe.model, recipe.updates, source, recipe.plan)[0].seconds

    return epoch


def bare(model: str, x):
    """Forward, backward and step on one ready batch: what no loop can be faster than."""
    import torch
    import torch.nn.functional as F

    from autoencode.data import Examples, Resident, load_data
    from autoencode.recipes import build
    from autoencode.training import tuned

    spec = load_data("mnist").spec
    recipe = build(RECIPES[model], spec, schedule="paper")
    net, plan = recipe.model, recipe.plan
    if model in "CD":
        net.to(memory_format=torch.channels_last)
    optimizer = plan.make_optimizer(list(net.parameters()))
    batch = Resident(Examples(x), spec).batch(torch.arange(plan.batch_size)).x

    def loss() -> torch.Tensor:
        if model != "B":
            logits = net.decoder(net.bottleneck.embed(net.encoder(batch)))
            return F.mse_loss(torch.sigmoid(logits), batch)
        loc, log_scale = net.bottleneck.heads(net.encoder(batch)).chunk(2, -1)
        z = torch.addcmul(loc, torch.randn_like(loc), log_scale.exp())
        nats = F.binary_cross_entropy_with_logits(net.decoder(z), batch, reduction="sum")
        kl = 0.5 * (loc.square() + (2 * log_scale).exp() - 1) - log_scale
        return (nats + kl.sum()) / len(batch)

    def epoch() -> float:
        with tuned(torch.device("cpu")):
            start = time.perf_counter()
            for _ in range(-(-len(x) // plan.batch_size)):
                loss().backward()
                optimizer.step()
                optimizer.zero_grad()
            return time.perf_counter() - start

    return epoch


def serve(kind: str, model: str) -> None:
    """The other side of a contender's process: an epoch for each line."""
    epoch = contender(kind, model)
    for _ in sys.stdin:
        print(epoch(), flush=True)


class Process:
    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, __file__, "--serve", *arguments]
        self.pipe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self) -> float:
        assert self.pipe.stdin is not None
        assert self.pipe.stdout is not None
        self.pipe.stdin.write("epoch\n")
        self.pipe.stdin.flush()
        return float(self.pipe.stdout.readline())

    def close(self) -> None:
        self.pipe.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(RECIPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    head = ["model", "images/s tutorial", "ours", "bare", "ours / tutorial", "goal", "overhead"]
    lines = [head]
    for model in options.models:
        processes = {kind: Process(kind, model) for kind in CONTENDERS}
        seconds: dict[str, list[float]] = {kind: [] for kind in CONTENDERS}
        for process in processes.values():
            process.ask()  # the first epoch warms up
        for _ in range(options.rounds):
            for kind, process in processes.items():
                seconds[kind].append(process.ask())
        for process in processes.values():
            process.close()
        medians = {kind: statistics.median(values) for kind, values in seconds.items()}
        ratio = medians["tutorial"] / medians["autoencode"]
        overhead = statistics.median(
            a / b - 1 for a, b in zip(seconds["autoencode"], seconds["bare"], strict=True)
        )
        record("throughput", {"model": model, "rows": ROWS[model], "seconds": seconds})
        speeds = [f"{ROWS[model] / medians[kind]:,.0f}" for kind in CONTENDERS]
        goal = f">= {GOALS[model]}"
        lines.append([model, *speeds, f"{ratio:.2f}x", goal, f"{overhead:+.1%} (goal 5 %)"])
        print(lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
