"""Carries out commands of the command line, each in processes that train as one.

    python jobs_of_two.py < JOBS > ENDS

JOBS is a JSON object: for each name ``command``, and where they are not the usual ones ``world`` (how
many processes), ``variables``, ``program`` (a module here with a function main(), in the place of the
command line), ``folder`` (where it works, and finds modules, as python -m does) and ``interrupt``,
[rank, signal, step]: that process sends itself a signal after a step.
ENDS is a JSON object that says for each name how its processes ended: lists of [code, stdout, stderr].

This process imports everything once and the others are its children, so that a job costs a fraction
of a second. A command may hold ``{rank}``. Jobs are carried out one after the other.
"""

import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

from autoencode.cli import main as command_line
from autoencode.pictures import of_runs
from interrupted import interrupt

# What jobs import once they have begun.
USED = (
    *("autoencode.evaluate.metrics", "autoencode.jobs.embed", "autoencode.runs", "autoencode.parallel"),
    *("autoencode.training.sharding", "autoencode.pictures.pages", "autoencode.pictures.plots"),
    *("pandas", "scipy.optimize", "scipy.stats", "sklearn.datasets", "sklearn.feature_extraction"),
    *("torch._dynamo", "torch.distributed.fsdp", "torch.fx.experimental.symbolic_shapes"),
)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def begin(rank, job, port, folder):
    """Starts one process of a job; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for number, stream in ((1, "out"), (2, "err")):
            file = os.open(folder / f"{stream}{rank}", os.O_WRONLY | os.O_CREAT)
            os.dup2(file, number)
        sys.stdout = os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        world = job.get("world", 2)
        if world > 1:
            place = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in place.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", **job.get("variables", {})}
        who, *when = job.get("interrupt", [None])
        if who == rank:
            interrupt(*when)
        if "folder" in job:
            os.chdir(job["folder"])
            sys.path.insert(0, job["folder"])
        of_runs.available = lambda trained: ()
        words = [word.replace("{rank}", str(rank)) for word in job["command"]]
        if "program" in job:
            importlib.import_module(job["program"]).main(*words)
            code = 0
        else:
            command_line(words)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def carried_out(job):
    """How the processes of a job ended."""
    ends, port = [], free_port()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pids = [begin(rank, job, port, folder) for rank in range(job.get("world", 2))]
        for rank, pid in enumerate(pids):
            if job.get("interrupt", [None])[:2] == [rank, signal.SIGSTOP]:  # it hangs
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            code = os.waitstatus_to_exitcode(status)
            out, err = ((folder / f"{s}{rank}").read_text(errors="replace") for s in ("out", "err"))
            ends.append((code, out, err))
    return ends


def main():
    jobs = json.load(sys.stdin)
    for name in (*USED, *(job["program"] for job in jobs.values() if "program" in job)):
        importlib.import_module(name)
    print(json.dumps({name: carried_out(job) for name, job in jobs.items()}))


if __name__ == "__main__":
    main()
