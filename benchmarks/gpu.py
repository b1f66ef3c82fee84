"""Training on a CUDA GPU: seconds, images per second, and how near a step comes to the launch floor.

    python benchmarks/gpu.py [--epochs 10] [--rounds 3]

``vae``: model B on MNIST in batches of 128, with and without CUDA graphs, rounds interleaved; the first
round, with warm-up and recording, is told apart. ``conv``: images per second of model D in bfloat16 and
float32. ``floor``: the seconds of a step of model B against those of a graph of as many kernels that do
nothing: what no step of so many kernels can be faster than.

Needs CUDA; without it one line says so.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
from _record import record, table

from autoencode.data import Examples, Resident, load_data
from autoencode.recipes import build
from autoencode.training import Observer, fit

CONV_ROWS = 6400


class Notices(Observer):
    """Prints why steps are not replayed: then the figures are those of something else."""

    def notice(self, text: str) -> None:
        print(f"note: {text}", flush=True)


def seconds(recipe: str, x, device: torch.device, epochs: int, **options) -> float:
    """Of training from the start, validation and everything before the first step excluded."""
    data = load_data("mnist")
    built = build(recipe, data.spec, schedule="paper", epochs=epochs, doctor=False, **options)
    source = Resident(Examples(x), data.spec, device)
    torch.cuda.synchronize()
    start = time.perf_counter()
    fit(built.model, built.updates, source, built.plan, device=device, observer=Notices())
    torch.cuda.synchronize()
    return time.perf_counter() - start


def vae(device: torch.device, epochs: int, rounds: int) -> list[dict]:
    x = load_data("mnist").train.x
    times: dict[str, list[float]] = {"auto": [], "off": []}
    for _ in range(rounds + 1):
        for graphs, found in times.items():
            found.append(seconds("vae", x, device, epochs, batch_size=128, replay=graphs))
    return [
        {
            "part": "vae",
            "replay": graphs,
            "epochs": epochs,
            "first_seconds": found[0],
            "seconds": statistics.median(found[1:]),
            "all": found,
        }
        for graphs, found in times.items()
    ]


def conv(device: torch.device, rounds: int) -> list[dict]:
    x, rows = load_data("mnist").train.x[:CONV_ROWS], []
    for precision in ("bf16", "tf32", "float32"):
        found = [seconds("conv_latent2", x, device, 5, precision=precision) for _ in range(rounds + 1)]
        # Of four epochs, so that warm-up and recording are not counted.
        first = seconds("conv_latent2", x, device, 1, precision=precision)
        best = statistics.median(found[1:]) - first
        rate = 4 * len(x) / best
        rows.append({"part": "conv", "precision": precision, "images_per_second": rate})
    return rows


def kernels(step) -> int:
    """How many kernels a step starts."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        step()
        torch.cuda.synchronize()
    return sum(event.count for event in seen.key_averages() if event.device_time_total)


def floor(device: torch.device) -> list[dict]:
    from autoencode.training import Stepper
    from autoencode.training.cuda_graphs import CudaGraphs, Replayed

    data = load_data("mnist")
    built = build("vae", data.spec, schedule="paper", doctor=False)
    built.model.to(device)
    stepper = Stepper(built.model, built.updates, built.plan.make_optimizer)
    batch = next(Resident(data.train, data.spec, device).batches(128))
    n = kernels(lambda: stepper.step(batch))
    steps = Replayed(stepper, 128, CudaGraphs(), lambda text: print(f"note: {text}"))
    nothing, graph = torch.zeros(1, device=device), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(n):
            nothing.add_(1.0)
    took = {
        "as_it_is": timed(lambda: stepper.step(batch)),
        "replayed": timed(lambda: steps.step(batch)),
        "floor": timed(graph.replay),
    }
    share = took["floor"] / took["replayed"]
    return [{"part": "floor", "kernels": n, **took, "share_of_floor": share}]


def timed(step, n: int = 500) -> float:
    for _ in range(20):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs CUDA, and there is none here")
    device = torch.device("cuda")
    name = torch.cuda.get_device_name(device)
    rows = vae(device, options.epochs, options.rounds) + conv(device, options.rounds) + floor(device)
    lines = [["part", "what", "figure"]]
    for row in rows:
        record("gpu", {**row, "gpu": name})
        what = row.get("replay") or row.get("precision") or "step"
        shown = {k: v for k, v in row.items() if isinstance(v, float)}
        lines.append([row["part"], str(what), ", ".join(f"{k} {v:.4g}" for k, v in shown.items())])
    print(name)
    print(table(lines))


if __name__ == "__main__":
    main()
