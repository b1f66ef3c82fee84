"""Jobs of several processes on this machine, ended should they hang."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STARTED = []
LAUNCHER = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
# Sums of float32 in another order: up to 1.2e-7 was seen. Muon stretches small singular values up to
# 296 times, and their rounding with them: 2.8e-5.
TOLERANCE, MUON_TOLERANCE = 2e-6, 1e-4


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    return clean | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | more


def torchrun(*command, n=2, options=(), **more):
    """A job of n processes."""
    start = ("-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1")
    return process(*start, f"--nproc-per-node={n}", *options, *command, **more)


def finished(job, seconds=600):
    """Exit code, stdout and stderr of a job; it is ended if it hangs."""
    try:
        out, err = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        job.kill()
        out, err = job.communicate()
        pytest.fail(f"the job did not end within {seconds} s\n{out}\n{err}")
    return job.returncode, out, err


def carried_out(jobs):
    """How the jobs ended (``jobs_of_two.py``): {name: one (code, stdout, stderr) for each process}."""
    words = {name: {**job, "command": [str(w) for w in job["command"]]} for name, job in jobs.items()}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("jobs_of_two.py")],
        input=json.dumps(words),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: [tuple(end) for end in ends] for name, ends in json.loads(done.stdout).items()}


def assert_well(ends):
    """All processes of a job ended with code 0."""
    assert [code for code, _, _ in ends] == [0] * len(ends), ends


def process(*arguments, **more):
    started = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    STARTED.append(started)
    return started


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left():
    yield
    for one in STARTED:
        one.kill()
        one.communicate()
