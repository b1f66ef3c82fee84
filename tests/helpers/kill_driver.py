"""Trains in forked children that are killed, and says what was left; run by test_resume.py.

    python kill_driver.py FOLDER RECIPE,RECIPE... random|calls N SEED [pictures]

The parent imports everything once, so that a child costs a fraction of a second. ``random`` kills at N
random moments, ``calls`` before each of the system's calls that write (the N first ones, or all for 0).
Runs learn all digits and have their pictures where that is asked for; else 300 digits and none.
Prints one JSON line: how many were killed, and what went wrong.
"""

import contextlib
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from autoencode.data import load_data
from autoencode.pictures import of_runs as drawn
from autoencode.runs import resume, train
from autoencode.training import checkpoints

FEW = "few.npy"
CALLS = ("replace", "fsync", "rename", "unlink", "mkdir", "rmdir", "open")
OPTIONS = {
    "linear": {"latent_dim": 4},
    "mlp": {"hidden": (16,), "latent_dim": 4},
    "vae": {"hidden": (16,), "latent_dim": 4},
    "conv_small": {"channels": (4, 4)},
    "mlp_small": {"hidden": (16,), "noise": "gaussian", "patience": 3, "dropout": 0.1},
    "vqvae": {"channels": (4, 4), "n_codes": 8, "code_dim": 4},
}


def start(folder, recipe):
    """A short training that keeps a state after nearly every step."""
    checkpoints._SHARE = 1.0
    few = folder.parents[1] / FEW
    figures = {"epochs": 4, "batch_size": 128, "seed": 3}
    data = str(few) if few.exists() else "digits"
    train(data, recipe, out=folder, checkpoint_seconds=0.0, **figures, **OPTIONS[recipe])


def go_on(folder, recipe):
    if (folder / "resume/run.json").exists() or (folder / "config.json").exists():
        checkpoints._SHARE = 1.0
        resume(folder)
    else:  # killed before there was a run
        start(folder, recipe)


def first(folder, recipe):
    """A run in a child, whose imports this process then makes for all that follow."""
    names = folder.parent / "names.json"
    assert ended(child(_start_and_tell, folder, recipe, names)) == 0
    for name in json.loads(names.read_text()):
        with contextlib.suppress(ImportError):  # not all can be imported by themselves
            importlib.import_module(name)
    names.unlink()
    shutil.rmtree(folder)


def _start_and_tell(folder, recipe, names):
    start(folder, recipe)
    ours = ("autoencode", "matplotlib", "scipy", "sklearn", "sympy", "torch")
    names.write_text(json.dumps([name for name in sys.modules if name.partition(".")[0] in ours]))


def child(work, *arguments):
    """Runs ``work`` in a child; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with open(os.devnull, "w") as sink:
            os.dup2(sink.fileno(), 1)
        work(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def die_at(n, folder, recipe):
    """Trains and is killed right before its n-th call; ends well when there are fewer."""
    left = n

    def counted(function):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    start(folder, recipe)


def ended(pid):
    return os.waitpid(pid, 0)[1]


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def torn(folder):
    """What a run folder must never hold after it went on to its end."""
    names = {path.name for path in folder.iterdir()}
    whole = {path.name for path in (folder.parent / "whole").iterdir()}
    return sorted(names ^ whole) + sorted(
        path.name for path in folder.parent.iterdir() if path.name not in ("run", "whole")
    )


def tried(top, recipe, mode, n, rng):
    """How many were killed, and what went wrong."""
    before = time.monotonic()
    assert ended(child(start, top / "whole", recipe)) == 0
    length = time.monotonic() - before
    wanted, wrong, killed = digest(top / "whole"), [], 0
    run = top / "run"
    for i in range(n or 1_000_000):
        if mode == "calls":
            status = ended(child(die_at, i, run, recipe))
        else:
            pid = child(start, run, recipe)
            time.sleep(rng.random() * length)
            os.kill(pid, signal.SIGKILL)
            status = ended(pid)
        killed += os.WIFSIGNALED(status)
        if mode == "calls" and not os.WIFSIGNALED(status):
            break
        if ended(child(go_on, run, recipe)) != 0:
            wrong.append(f"{recipe} {i}: could not go on")
        elif digest(run) != wanted:
            wrong.append(f"{recipe} {i}: other bits")
        elif torn(run):
            wrong.append(f"{recipe} {i}: {torn(run)}")
        shutil.rmtree(run, ignore_errors=True)
    return killed, wrong


def main():
    top, recipes, mode, n, seed, *more = sys.argv[1:]
    top, rng = Path(top), random.Random(int(seed))
    digits = load_data("digits")
    if more != ["pictures"]:
        np.save(top / FEW, digits.train.x[:300])
        drawn.available = lambda trained: ()
    killed, wrong = 0, []
    for i, recipe in enumerate(recipes.split(",")):
        (top / recipe).mkdir()
        if i == 0:
            first(top / recipe / "whole", recipe)
        more_killed, more_wrong = tried(top / recipe, recipe, mode, int(n), rng)
        killed, wrong = killed + more_killed, wrong + more_wrong
    print(json.dumps({"killed": killed, "wrong": wrong}))


if __name__ == "__main__":
    main()
