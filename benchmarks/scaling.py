"""What an example costs, and what memory it takes, from 60 thousand to 6 million rows.

    python benchmarks/scaling.py [--where disk memory] [--sizes 60000 600000 6000000] [--rounds 5]

Synthetic uint8 images of 784 entries, `mlp`, in live processes whose rounds are interleaved; each round
trains on the same number of images and is compared with the smallest size in the same round. ``disk``:
streamed, as files of this size are by themselves. ``memory``: read whole, a tenth held out, and a
sixtieth of the rest for validation.
Goals: within 5 % of the smallest size, and no more memory than the data as bytes and 350 MB. Where
other programs run, the wall clock moves by a factor of two, and the processor's time least.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from _record import record, table
from larger_than_memory import ROW_BYTES, Process, write_images

SIZES = (60_000, 600_000, 6_000_000)
MOST_MORE, MOST_BESIDE = 0.05, 350e6


def measure(folder: Path, where: str, sizes: list[int], rounds: int, n_images: int) -> None:
    paths = {n: folder / f"{n}.npy" for n in sizes}
    for n, path in paths.items():
        write_images(path, n)
    processes = {n: Process(path, where == "disk", "mlp", n) for n, path in paths.items()}
    answers: dict[int, list[dict]] = {n: [] for n in sizes}
    for _ in range(rounds):
        for n, process in processes.items():
            answers[n].append(process.train(n_images))
    for process in processes.values():
        process.close()
    head = ["rows", "us per image", "beside the first", "CPU us per image", "beside the first"]
    lines = [[*head, "peak RSS", "uint8 + 350 MB"]]
    costs = {
        n: ([1e6 / a["speed"] for a in found], [a["cpu"] for a in found])
        for n, found in answers.items()
    }
    for n in sizes:
        peak = max(answer["peak"] for answer in answers[n])
        row = {"where": where, "rows": n, "us": costs[n][0], "cpu": costs[n][1], "peak": peak}
        record("scaling", row)
        cells = [f"{n:,}"]
        for cost, first in zip(costs[n], costs[sizes[0]], strict=True):
            ratio = statistics.median(a / b for a, b in zip(cost, first, strict=True)) - 1
            cells += [f"{statistics.median(cost):.1f}", f"{ratio:+.1%}{_missed(ratio > MOST_MORE)}"]
        most = n * ROW_BYTES + MOST_BESIDE
        lines.append([*cells, f"{peak / 1e6:.0f} MB{_missed(peak > most)}", f"{most / 1e6:.0f} MB"])
        paths[n].unlink()
    print(f"{where}, {rounds} rounds of {n_images} images")
    print(table(lines), flush=True)


def _missed(missed: bool) -> str:
    return " (missed)" if missed else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--where", nargs="+", default=["disk", "memory"], choices=["disk", "memory"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=200_000, help="trained on in each round")
    parser.add_argument("--folder", help="where the files are written, and deleted again")
    options = parser.parse_args()
    for where in options.where:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            measure(Path(name), where, options.sizes, options.rounds, options.images)


if __name__ == "__main__":
    main()
