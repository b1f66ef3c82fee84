"""Files from strangers: 20 altered files of each of nine kinds, through the command line.

Each is made anew from a seed and given to the console program in a process of its own, forked from one
that has imported everything. Counted are tracebacks, deaths by a signal, hangs, wrong exit codes, harm
(a neighbour's file is gone, a terminal escape comes through, a line lacks what it should say), the peak
of memory and the longest line. All counts but the last two should be 0, the peak below 1.5 GB with
``AUTOENCODE_MEMORY=1GB``, and no line longer than 400 bytes. Results go to ``results/hostile.jsonl``.

    python benchmarks/hostile.py [--kinds paths arrow ...] [--mutants 20] [--seed 0] [--verbose]
"""

from __future__ import annotations

import argparse
import collections
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _hostile import KINDS, Attack, made
from _record import record, table

MEMORY, MOST_RSS, MOST_LINE = "1GB", 1.5e9, 400
TIMEOUT = 60  # seconds
_CONTROL = frozenset(range(32)) - {10} | {127}


@dataclass
class Found:
    """What became of the mutants of one kind."""

    n: int = 0
    tracebacks: int = 0
    signals: int = 0
    hangs: int = 0
    wrong_codes: int = 0
    harm: int = 0
    peak: int = 0
    longest: int = 0
    codes: collections.Counter[str] = field(default_factory=collections.Counter)


def carry_out(attack: Attack, folder: Path) -> tuple[int | None, int, list[bytes]]:
    """Runs the program in a fork; returns its wait status (``None``: hung), peak bytes and output."""
    outputs = [folder / "stdout.txt", folder / "stderr.txt"]
    child = os.fork()
    if child == 0:
        try:
            _become(attack, folder, outputs)
        except SystemExit as error:
            sys.stdout.flush()
            os._exit(error.code if isinstance(error.code, int) else 0 if error.code is None else 1)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + TIMEOUT
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            status = None
            break
        time.sleep(0.01)
    return status, usage.ru_maxrss * 1024, [path.read_bytes() for path in outputs]


def _become(attack: Attack, folder: Path, outputs: list[Path]) -> None:
    from autoencode.cli import main

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, path in enumerate(outputs, 1):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
    os.chdir(folder)
    os.environ.update(attack.environment)
    sys.argv = ["autoencode", *attack.arguments]
    main()


def judge(attack: Attack, folder: Path, found: Found) -> str:
    """Adds what became of one mutant to what was found; returns what is wrong, or nothing."""
    status, peak, (out, err) = carry_out(attack, folder)
    wrong = []
    found.n += 1
    found.peak = max(found.peak, peak)
    lines = [line for text in (out, err) for line in text.split(b"\n")]
    found.longest = max(found.longest, *map(len, lines))
    if status is None:
        found.hangs += 1
        wrong.append("hangs")
    elif os.WIFSIGNALED(status):
        found.signals += 1
        wrong.append(f"signal {os.WTERMSIG(status)}")
    else:
        code = os.WEXITSTATUS(status)
        found.codes[str(code)] += 1
        if code not in attack.codes:
            found.wrong_codes += 1
            wrong.append(f"exit code {code}")
    if b"Traceback" in err:
        found.tracebacks += 1
        wrong.append("traceback")
    harm = attack.harm(folder) if attack.harm is not None else None
    pages = [path.read_bytes() for path in folder.rglob("*.html")]
    if any(_CONTROL & set(text) for text in (out, err)) or any(b"\x1b" in page for page in pages):
        harm = "an escape came through"
    if harm:
        found.harm += 1
        wrong.append(harm)
    if peak > MOST_RSS:
        wrong.append(f"{peak / 1e9:.2f} GB")
    if max(map(len, lines)) > MOST_LINE:
        wrong.append(f"a line of {max(map(len, lines))} bytes")
    return "; ".join(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--mutants", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every line that is said")
    chosen = parser.parse_args()
    rows = [
        ["kind", "n", "tracebacks", "signals", "hangs", "wrong codes", "harm", "peak", "longest line"]
    ]
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        os.environ["AUTOENCODE_CACHE"] = str(home / "cache")
        os.environ["AUTOENCODE_MEMORY"] = MEMORY
        template = made(home / "template")
        for number, kind in enumerate(chosen.kinds):
            found = Found()
            for i in range(chosen.mutants):
                folder = home / f"{kind}-{i}"
                shutil.copytree(template, folder, symlinks=True)
                rng = np.random.default_rng([chosen.seed, list(KINDS).index(kind), i])
                attack = KINDS[kind](folder, rng, i)
                wrong = judge(attack, folder, found)
                if wrong or chosen.verbose:
                    said = (folder / "stderr.txt").read_bytes()[:600].decode(errors="backslashreplace")
                    print(
                        f"{kind} {i}: {wrong or 'right'}: {' '.join(attack.arguments)[:200]}\n  {said}"
                    )
                shutil.rmtree(folder, ignore_errors=True)
            counts = [
                found.n,
                found.tracebacks,
                found.signals,
                found.hangs,
                found.wrong_codes,
                found.harm,
            ]
            rows.append([kind, *map(str, counts), f"{found.peak / 1e6:.0f} MB", str(found.longest)])
            record(
                "hostile",
                {"kind": kind, "seed": chosen.seed, **vars(found), "codes": dict(found.codes)},
            )
            print(f"{number + 1} of {len(chosen.kinds)}: {kind}", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
