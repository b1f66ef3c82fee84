"""Training on data that stay on disk: speed and memory beside data in memory, and how well blocks mix.

    python benchmarks/larger_than_memory.py [--gb 20] [--folder DIR] [--parts speed shuffle]

``speed``: a file of N GB of random images is trained on for a while, from disk and (its first rows)
from memory, in processes of their own. ``shuffle``: MNIST sorted by digit, in full and in blocks of a
window that holds a tenth of it. How the cost moves with the number of rows: ``scaling.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _record import record, table

from autoencode.training import Observer

SHAPE = (1, 28, 28)
ROW_BYTES = 28 * 28
IN_MEMORY_ROWS = 300_000
RECIPES = ("mlp", "vae")


def peak_rss() -> int:
    """Bytes at most in memory so far, of this program alone."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) * 1024


def write_images(path: Path, n_rows: int) -> None:
    """Random images: 16 MB of random bytes again and again, each time shifted.

    What was written is dropped from the system's cache."""
    block = np.random.default_rng(0).integers(0, 256, (20_000, *SHAPE), dtype=np.uint8)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n_rows, *SHAPE)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, n_rows, len(block)):
            shifted = np.roll(block, start // len(block), axis=2)
            file.write(shifted[: n_rows - start].tobytes())
        # So that what is read comes from the disk and not from the system's cache.
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def file_rows(path: str) -> int:
    """How many rows a file has."""
    return len(np.lib.format.open_memmap(path, mode="r"))


class Until(Observer):
    """An observer that ends training after some steps and times the later ones."""

    def __init__(self, steps: int, warm_up: int) -> None:
        self.steps, self.warm_up, self.begun = steps, warm_up, 0.0
        self.seconds, self.processor = 0.0, 0.0

    def step(self, step: int) -> None:
        if step == self.warm_up:
            self.begun, self.processor = time.perf_counter(), time.process_time()
        if step == self.steps:
            self.seconds = time.perf_counter() - self.begun
            self.processor = time.process_time() - self.processor

    def stop(self) -> bool:
        return self.seconds > 0


def serve(path: str, stream: bool, recipe_name: str, n_rows: int) -> None:
    """The other side of a contender's process: some thousand images of training for each line."""
    from autoencode.data import Examples, load_data, source_of
    from autoencode.recipes import build
    from autoencode.training import fit

    begun = time.perf_counter()
    data = load_data(path, stream=stream or n_rows < file_rows(path))
    spec, examples = data.spec, data.split(1 / 60, 0)[0]
    if not stream and n_rows < file_rows(path):
        x = np.lib.format.open_memmap(path, mode="r")[:n_rows]
        examples = Examples(np.array(x))
    recipe = build(recipe_name, spec, epochs=100, min_steps=0)
    source = source_of(examples, spec)
    print(json.dumps({"open": time.perf_counter() - begun}), flush=True)
    for line in sys.stdin:
        steps = int(line) // recipe.plan.batch_size
        until = Until(steps, steps // 5)
        fit(recipe.model, recipe.updates, source, recipe.plan, observer=until)
        measured = (until.steps - until.warm_up) * recipe.plan.batch_size
        answer = {
            "speed": measured / until.seconds,
            "cpu": 1e6 * until.processor / measured,
            "peak": peak_rss(),
        }
        print(json.dumps(answer), flush=True)


class Process:
    """A contender that stays alive, so that rounds can be interleaved."""

    def __init__(self, path: Path, stream: bool, recipe: str, n_rows: int) -> None:
        arguments = ["--serve", str(path), str(int(stream)), recipe, str(n_rows)]
        self.pipe = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.opened = self._answer()["open"]

    def _answer(self) -> dict:
        assert self.pipe.stdout is not None
        return json.loads(self.pipe.stdout.readline())

    def train(self, n_images: int) -> dict:
        assert self.pipe.stdin is not None
        self.pipe.stdin.write(f"{n_images}\n")
        self.pipe.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.pipe.communicate()


def speed(folder: Path, gb: float, rounds: int, n_images: int) -> None:
    """Streamed beside resident, interleaved."""
    n_rows = int(gb * 1e9) // ROW_BYTES
    path = folder / "images.npy"
    begun = time.perf_counter()
    write_images(path, n_rows)
    print(f"{path}: {path.stat().st_size / 1e9:.1f} GB in {time.perf_counter() - begun:.0f} s")
    head = ["recipe", "in memory, images/s", "from disk", "ratio", "goal", "CPU us per image, both"]
    lines = [[*head, "peak RSS", "goal", "to open"]]
    for recipe in RECIPES:
        both = {stream: Process(path, stream, recipe, IN_MEMORY_ROWS) for stream in (False, True)}
        found: dict[bool, list[float]] = {False: [], True: []}
        cpu: dict[bool, list[float]] = {False: [], True: []}
        peak = 0
        for _ in range(rounds):
            for stream, process in both.items():
                answer = process.train(n_images)
                found[stream].append(answer["speed"])
                cpu[stream].append(answer["cpu"])
                peak = max(peak, answer["peak"]) if stream else peak
        opened = both[True].opened
        for process in both.values():
            process.close()
        memory, disk = (statistics.median(found[stream]) for stream in (False, True))
        ratio = statistics.median(b / a for a, b in zip(found[False], found[True], strict=True))
        row = {"recipe": recipe, "gb": gb, "in_memory": found[False], "streamed": found[True]}
        row |= {"cpu_in_memory": cpu[False], "cpu_streamed": cpu[True], "peak": peak}
        record("larger_than_memory", {"part": "speed", **row, "opened": opened})
        work = " / ".join(f"{statistics.median(cpu[stream]):.1f}" for stream in (False, True))
        size = f"{peak / 1e9:.2f} GB"
        line = [
            recipe,
            f"{memory:,.0f}",
            f"{disk:,.0f}",
            f"{ratio:.0%}",
            ">= 85 %",
            work,
            size,
            "1.5 GB",
        ]
        lines.append([*line, f"{opened:.1f} s"])
    path.unlink()
    print(table(lines))


def shuffle(folder: Path, seeds: int) -> None:
    """MNIST sorted by digit: how mixed batches are, and what is learned."""
    from autoencode.data import Examples, Resident, Streamed, load_data
    from autoencode.data.disk.stored import Stored
    from autoencode.data.formats.npy import open_npy
    from autoencode.recipes import build
    from autoencode.training import fit
    from autoencode.training.loop import evaluate_losses
    from autoencode.types import DataSpec, Pass, Progress

    mnist = load_data("mnist")
    order = np.argsort(mnist.train.labels, kind="stable")
    x, labels = mnist.train.x[order], mnist.train.labels[order]
    np.save(folder / "sorted.npy", x)
    np.save(folder / "rows.npy", np.repeat(np.arange(len(x), dtype=np.uint32), 196).reshape(-1, 196))
    window = x.nbytes // 10

    def sources(name: str, spec: DataSpec, raw: np.ndarray) -> dict:
        # Rows of one size in bytes, so that both files are cut into the same blocks.
        kept = np.dtype(np.uint8 if raw.dtype == np.uint8 else np.float32)
        stored = Stored(open_npy(folder / name), kept)
        return {
            "full": Resident(Examples(raw.astype(kept)), spec),
            "blocks": Streamed(stored, spec, window_bytes=window),
        }

    numbers = np.load(folder / "rows.npy")
    lines = [["shuffle", "digit entropy in a batch, bits", "batch means of rows", "test loss, nats"]]
    mixed = sources("rows.npy", DataSpec((196,), "real"), numbers)
    learned = sources("sorted.npy", mnist.spec, x)
    for kind in ("full", "blocks"):
        entropies, means = [], []
        for batch in mixed[kind].shuffled(Pass(0, 0, 128)):
            rows = batch.x[:, 0].numpy().astype(int)
            shares = np.bincount(labels[rows], minlength=10) / len(rows)
            entropies.append(-sum(p * np.log2(p) for p in shares if p))
            means.append(rows.mean() / len(x))
        losses = []
        for seed in range(seeds):
            recipe = build("vae", mnist.spec, seed=seed, epochs=4)
            fit(recipe.model, recipe.updates, learned[kind], recipe.plan, seed=seed)
            test = Resident(mnist.test, mnist.spec)
            objective = recipe.updates[0].objective
            losses.append(evaluate_losses(recipe.model, objective, test, Progress(1))["loss"])
        entropy, spread = float(np.mean(entropies)), float(np.std(means))
        row = {"part": "shuffle", "kind": kind, "entropy": entropy, "spread": spread, "losses": losses}
        record("larger_than_memory", row)
        said = f"{statistics.mean(losses):.2f} ({', '.join(f'{loss:.2f}' for loss in losses)})"
        lines.append([kind, f"{entropy:.3f}", f"std {spread:.4f}", said])
    print(table(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gb", type=float, default=20)
    parser.add_argument("--folder", help="where the files are written, and deleted again")
    parser.add_argument("--parts", nargs="+", default=["speed", "shuffle"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=200_000, help="trained on in each round")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        path, stream, recipe, n_rows = options.serve
        serve(path, stream == "1", recipe, int(n_rows))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if "speed" in options.parts:
            if free < options.gb * 1e9 + 2e9:
                raise SystemExit(f"{folder}: {free / 1e9:.0f} GB are free; give a smaller --gb")
            speed(folder, options.gb, options.rounds, options.images)
        if "shuffle" in options.parts:
            shuffle(folder, options.seeds)


if __name__ == "__main__":
    main()
