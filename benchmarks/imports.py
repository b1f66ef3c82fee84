"""Seconds of importing autoencode, of ``--help``, and of first use beside importing torch.

Fresh processes, interleaved, medians.

    python benchmarks/imports.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from _record import record, table

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import autoencode": ["-c", "import autoencode"],
    "autoencode --help": ["-m", "autoencode", "--help"],
    "import torch": ["-c", "import torch"],
    "first use: build a recipe and take a step": [
        "-c",
        "import autoencode as a; s = a.build('mlp', a.DataSpec((30,))).stepper();"
        "import torch; s.step(a.Batch.from_examples(torch.rand(8, 30)))",
    ],
    "first use: load()": ["-c", "from autoencode import load"],
    "import sklearn.base after torch": ["-c", "import torch, sklearn.base"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds + 1):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    record("imports", {"medians": medians})
    print(table([["what", "seconds"], *[[n, f"{v:.2f}"] for n, v in medians.items()]]))


if __name__ == "__main__":
    main()
