"""Same seed, same bytes; what checkpoints and the guard cost; the time from Ctrl-C to the end.

python benchmarks/exactness.py [--processes 20] [--epochs 4] [--parts same checkpoints guard leaving]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _record import record, table

from autoencode.data import Resident, load_data
from autoencode.recipes import build
from autoencode.trained import fit_recipe
from autoencode.training import Stepper
from autoencode.training.checkpoints import Checkpoints
from autoencode.types import Pass, Progress

PARTS = ("same", "checkpoints", "guard", "leaving")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "autoencode", "train", *arguments]


def same_bytes(folder: Path, n: int) -> int:
    """How many of n fresh processes leave the model that most of them leave."""
    digests = []
    for i in range(n):
        out = folder / str(i)
        line = command("digits", "--recipe", "vae", "--epochs", "3", "--quiet", "--out", str(out))
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        digests.append(hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest())
    return max(digests.count(digest) for digest in digests)


def checkpoint_share(folder: Path, recipe: str, epochs: int, every: float) -> tuple[float, int]:
    """Share of the training time that went into checkpoints, and how many there were."""
    data = load_data("mnist")
    built = build(recipe, data.spec, epochs=epochs)
    keeper, kept = Checkpoints(folder, {}, every), 0
    keep = keeper.keep

    def counted(state) -> None:
        nonlocal kept
        kept += 1
        keep(state)

    keeper.keep = counted
    start = time.perf_counter()
    fit_recipe(built, data, 0, "cpu", keeper=keeper)
    return keeper.seconds / (time.perf_counter() - start), kept


def guard_share(recipe: str, non_finite: str, steps: int = 500) -> float:
    """Share of the processor's time for steps that goes into looking for what is not finite."""
    data = load_data("mnist")
    built = build(recipe, data.spec)
    source = Resident(data.train, data.spec)
    skip = non_finite == "skip"
    stepper = Stepper(built.model, built.updates, built.plan.make_optimizer, check_gradients=skip)
    look, spent = stepper._refuse_non_finite, 0.0

    def timed(*arguments) -> None:
        nonlocal spent
        begun = time.perf_counter()
        look(*arguments)
        spent += time.perf_counter() - begun

    stepper._refuse_non_finite = timed
    begun = time.perf_counter()
    batches = source.shuffled(Pass(0, 0, built.plan.batch_size))
    for step, batch in enumerate(itertools.islice(batches, steps)):
        stepper.step(batch, Progress(step, steps, len(source)))
    return spent / (time.perf_counter() - begun)


def seconds_to_leave(folder: Path) -> float:
    """From SIGINT in the middle of training on MNIST to the end of the process."""
    line = command("mnist", "--recipe", "vae", "--epochs", "99", "--out", str(folder / "stopped"))
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for text in process.stderr:
        if text.startswith("epoch 1/"):
            break
    start = time.perf_counter()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    rows = [["what", "measured", "goal"]]
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "same" in options.parts:
            found["same"] = same_bytes(folder, options.processes)
            rows.append(["same seed, same bytes", f"{found['same']} of {options.processes}", "all"])
        if "checkpoints" in options.parts:
            found["shares"] = shares = {}
            for recipe in ("mlp", "vae"):
                for every in (0.0, 10.0):
                    share, kept = checkpoint_share(folder, recipe, options.epochs, every)
                    shares[f"{recipe}, every {every:g} s"] = share
                    what = f"time for checkpoints, {recipe}, at most every {every:g} s ({kept})"
                    rows.append([what, f"{share:.2%}", "<= 2 %"])
        if "guard" in options.parts:
            found["guard"] = guards = {}
            for recipe in ("mlp", "vae"):
                for non_finite in ("stop", "skip"):
                    share = guards[f"{recipe}, {non_finite}"] = guard_share(recipe, non_finite)
                    what = f"time for the guard, {recipe}, non_finite={non_finite}"
                    rows.append([what, f"{share:.2%}", "<= 2 %"])
        if "leaving" in options.parts:
            found["seconds_to_leave"] = seconds = seconds_to_leave(folder)
            rows.append(["from Ctrl-C to the end", f"{seconds:.1f} s", "<= 5 s"])
    record("exactness", found)
    print(table(rows))


if __name__ == "__main__":
    main()
