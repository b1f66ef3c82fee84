"""Throughput of whole epochs: the tutorial loop, ours, the peers, and the bare arithmetic.

The contenders are live processes whose epochs are interleaved; medians and ratios inside one run count,
absolute figures move with the machine's load. Peers (``peers.txt``) that are missing are named so.
With ``--one-thread`` everybody gets one thread and the processor seconds of an epoch count, which other
programs on the machine disturb much less. ``--before PATH`` is another checkout, whose own loop runs
beside this one.

    python benchmarks/throughput.py [--models A B C D] [--rounds 5] [--only tutorial autoencode bare]
                                    [--before ../earlier]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import _peers
import _peers_jax
from _record import Process, record, serve, table
from _tutorial import RECIPES, Tutorial

# Multiples of the batch, so that nobody gains by leaving a part of one out.
ROWS = {"A": 12800, "B": 12800, "C": 3200, "D": 640}
PEERS = {**_peers.PEERS, **_peers_jax.PEERS}
OURS = {
    "autoencode": {},
    "autoencode, bf16": {"precision": "bf16"},
    "autoencode, compiled": {"compile": True},
    "autoencode, both": {"compile": True, "precision": "bf16"},
}
CONTENDERS = ("tutorial", *PEERS, *OURS, "bare")
BEFORE = "autoencode, before"
# (of whom, faster than whom): the least ratio for each model
GOALS = {
    ("autoencode", "tutorial"): {"A": 3.7, "B": 2.6, "C": 1.7, "D": 2.1},
    ("autoencode, bf16", "tutorial"): {"D": 2.6},
    ("autoencode", "Pythae"): {"A": 2.0, "B": 2.0, "D": 1.9},
    ("autoencode", "JAX scan"): {"A": 0.9, "B": 0.9, "C": 4.0},
    ("autoencode", "bare"): dict.fromkeys("ABCD", 1 / 1.05),
    ("autoencode", BEFORE): dict.fromkeys("ABCD", 0.98),
}


def contender(kind: str, model: str):
    """A function that trains one epoch and returns its seconds."""
    from autoencode.data import load_data

    x = load_data("mnist").train.x[: ROWS[model]]
    if kind in PEERS:
        return PEERS[kind].make(model, x)
    if kind == "tutorial":
        return Tutorial(model, x).epoch
    return bare(model, x) if kind == "bare" else ours(model, x, **OURS[kind])


def ours(model: str, x, **figures):
    from autoencode.data import Examples, Resident, load_data
    from autoencode.recipes import build
    from autoencode.training import fit

    spec = load_data("mnist").spec
    recipe = build(RECIPES[model], spec, schedule="paper", epochs=1, doctor=False, **figures)
    source = Resident(Examples(x), spec)

    def epoch() -> float:
        return fit(recipe.model, recipe.updates, source, recipe.plan)[0].seconds

    return epoch


def bare(model: str, x):
    """Forward, backward and step on batches that are ready: what no loop can be faster than.

    One batch again and again would be learnt by heart, and then the moments of its gradients become
    denormal numbers, which are many times slower than any loop.
    """
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
    batches = [batch.x for batch in Resident(Examples(x), spec).batches(plan.batch_size)]

    def loss(batch: torch.Tensor) -> torch.Tensor:
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
            for batch in batches:
                loss(batch).backward()
                optimizer.step()
                optimizer.zero_grad()
            return time.perf_counter() - start

    return epoch


def timed(epoch, one_thread: bool) -> list[float]:
    """Seconds of an epoch by the clock, or those that the processor spent."""
    before = time.process_time()
    seconds = epoch()
    return [time.process_time() - before if one_thread else seconds]


def use_one_thread() -> None:
    """For this process and those it starts."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ |= {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


def started(kind: str, model: str, before: Path | None) -> Process:
    """A contender's process; that of another checkout runs its own script and package."""
    if kind == BEFORE and before is not None:
        script = str(before / "benchmarks" / Path(__file__).name)
        return Process(script, "autoencode", model, package=before / "src")
    return Process(__file__, kind, model)


def race(
    model: str, kinds: list[str], rounds: int, before: Path | None = None
) -> dict[str, list[float]]:
    """Seconds of each contender's epochs, one of each in turn."""
    processes = {kind: started(kind, model, before) for kind in kinds}
    for process in processes.values():
        process.ask()  # the first epoch warms up
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, process in processes.items():
            seconds[kind].append(process.ask()[0])
    for process in processes.values():
        process.close()
    return seconds


def ratio(seconds: dict[str, list[float]], a: str, b: str) -> float:
    """How many times as fast as b a is: the median over rounds."""
    return statistics.median(y / x for x, y in zip(seconds[a], seconds[b], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(RECIPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--one-thread", action="store_true")
    parser.add_argument("--before", type=Path, help="another checkout, to be compared with")
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        epoch = contender(*options.serve)
        one_thread = os.environ.get("OMP_NUM_THREADS") == "1"
        serve(lambda line: timed(epoch, one_thread))
        return
    if options.one_thread:
        use_one_thread()
    missing = [kind for kind, peer in PEERS.items() if not peer.installed]
    results: dict[str, dict[str, list[float]]] = {}
    for model in options.models:
        kinds = [k for k in options.only if k not in missing]
        kinds = [k for k in kinds if k not in PEERS or model in PEERS[k].models]
        kinds += [BEFORE] if options.before else []
        results[model] = race(model, kinds, options.rounds, options.before)
        row = {
            "model": model,
            "rows": ROWS[model],
            "one_thread": options.one_thread,
            "seconds": results[model],
        }
        record("throughput", row)
        print(model, {k: f"{statistics.median(v):.3f}" for k, v in results[model].items()}, flush=True)
    shown = [*options.only, *([BEFORE] if options.before else [])]
    print(speeds(results, shown, missing), goals(results), sep="\n\n")


def speeds(results: dict, kinds: list[str], missing: list[str]) -> str:
    """Images per second of everybody, and how many times the tutorial loop that is."""
    lines = [["epochs of", *(f"{m}, {ROWS[m]:,} images" for m in results)]]
    for kind in kinds:
        line = [kind]
        for model, seconds in results.items():
            if kind in missing:
                line.append("not installed")
            elif kind not in seconds:
                line.append("-")
            else:
                speed = f"{ROWS[model] / statistics.median(seconds[kind]):,.0f}/s"
                times = f" ({ratio(seconds, kind, 'tutorial'):.2f}x)" if "tutorial" in seconds else ""
                line.append(speed + times)
        lines.append(line)
    return table(lines)


def goals(results: dict) -> str:
    """The ratios that were asked for."""
    lines = [["ratio", "model", "measured", "goal"]]
    for (a, b), least in GOALS.items():
        for model, goal in least.items():
            if {a, b} <= results.get(model, {}).keys():
                measured = ratio(results[model], a, b)
                missed = "" if measured >= goal else " (missed)"
                lines.append([f"{a} / {b}", model, f"{measured:.2f}x{missed}", f">= {goal:.2f}x"])
    return table(lines)


if __name__ == "__main__":
    main()
