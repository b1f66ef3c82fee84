"""Jobs of several processes on this machine, ended should they hang."""

import os
import subprocess
import sys

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


def finished(job, seconds=90):
    """Exit code, stdout and stderr of a job; it is ended if it hangs."""
    try:
        out, err = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        job.kill()
        out, err = job.communicate()
        pytest.fail(f"the job did not end within {seconds} s\n{out}\n{err}")
    return job.returncode, out, err


def single(rank, port, *command, world=2, **more):
    """One process of a job that no launcher watches over."""
    variables = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "MASTER_PORT": port}
    variables = {name: str(value) for name, value in variables.items()} | more
    return process("-m", "autoencode", *command, MASTER_ADDR="127.0.0.1", **variables)


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
