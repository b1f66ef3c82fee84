"""Codes of files larger than memory: the bits of codes made in memory, in bounded memory."""

import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import torch
from PIL import Image

from autoencode.data import Conformed, Stored, in_order, load_examples, open_examples
from autoencode.data.batches import streamed
from autoencode.data.formats.npy import open_npy
from autoencode.errors import DataError
from autoencode.runs import train
from autoencode.trained import load_trained
from autoencode.types import DataSpec
from cli_runs import cli  # noqa: F401  a fixture
from processes import command

RNG = np.random.default_rng(0)
WIDTH = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on rows of six numbers, which are standardised."""
    folder = tmp_path_factory.mktemp("run")
    np.save(folder / "x.npy", RNG.normal(size=(80, WIDTH)).astype(np.float32))
    return train(
        str(folder / "x.npy"), "mlp", out=folder / "run", epochs=1, hidden=(8,), latent_dim=3
    ).folder


@pytest.fixture
def small_stretches(monkeypatch):
    """So that a few thousand rows are read in many pieces."""
    monkeypatch.setattr(streamed, "_STRETCH_BYTES", 1)


def rows(n=4321, dtype=np.float32):
    return RNG.normal(size=(n, WIDTH)).astype(dtype)


# The pieces


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("without", [(), (0, 5, 6, 1999), range(1000)])
def test_pieces_are_the_examples_in_order(tmp_path, small_stretches, size, without):
    np.save(tmp_path / "x.npy", np.arange(2000, dtype=np.float32)[:, None])
    stored = Stored(open_npy(tmp_path / "x.npy"), np.dtype(np.float32), np.array(without, np.int64))
    expected = np.delete(np.arange(2000), list(without))
    for first, last in ((0, None), (0, 1), (13, 800), (999, len(expected)), (5, 5)):
        pieces = list(in_order(stored, size, first, last))
        assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
        found = np.concatenate([np.empty((0, 1)), *pieces])[:, 0]
        np.testing.assert_array_equal(found, expected[first:last])


def test_a_loop_that_is_left_ends_the_reading(tmp_path, small_stretches):
    np.save(tmp_path / "x.npy", rows())
    examples = open_examples(tmp_path / "x.npy", DataSpec((WIDTH,), "real"))
    pieces = in_order(examples, 10)
    next(pieces)
    pieces.close()


# The same codes as in memory


def as_npy(x, path):
    np.save(path / "x.npy", x)
    return path / "x.npy"


def as_memmap(x, path):
    return np.load(as_npy(x, path), mmap_mode="r")


def as_fortran(x, path):
    np.save(path / "x.npy", np.asfortranarray(x))
    return path / "x.npy"


def as_zarr(x, path):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(path / "x.zarr"), data=x, chunks=(300, *x.shape[1:]))
    return path / "x.zarr"


def as_parquet(x, path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = pyarrow.table({f"c{i}": x[:, i] for i in range(x.shape[1])})
    parquet.write_table(table, path / "x.parquet", row_group_size=700)
    return path / "x.parquet"


@pytest.mark.parametrize("write", [as_npy, as_memmap, as_fortran, as_zarr, as_parquet])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_codes_of_a_file_have_the_bits_of_codes_made_in_memory(
    run, tmp_path, small_stretches, write, dtype
):
    x = (rows() * 3).astype(dtype)
    trained = load_trained(run)
    codes = trained.embed(write(x, tmp_path))
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, trained.embed(x))


def test_reconstructions_too(run, tmp_path, small_stretches):
    x = rows()
    trained = load_trained(run)
    np.testing.assert_array_equal(trained.reconstruct(as_memmap(x, tmp_path)), trained.reconstruct(x))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A run on images, other images in a folder, and the same in a shard."""
    folder = tmp_path_factory.mktemp("pictures")
    x = RNG.integers(0, 256, (64, 8, 8), dtype=np.uint8)
    (folder / "set").mkdir()
    with tarfile.open(folder / "set.tar", "w") as shard:
        for i, image in enumerate(x):
            name = folder / "set" / f"{i:03}.png"
            Image.fromarray(image).save(name)
            shard.add(name, name.name)
    np.save(folder / "x.npy", x)
    done = train(str(folder / "x.npy"), "mlp", out=folder / "run", epochs=1, hidden=(8,), latent_dim=3)
    return done.folder, folder, x


@pytest.mark.parametrize("name", ["x.npy", "set", "set.tar"])
def test_codes_of_images(pictures, tmp_path, cli, name):  # noqa: F811
    run, folder, x = pictures
    done = cli("embed", run, folder / name, "-o", "z.npy", "--data-dir", tmp_path / "cache")
    assert done.code == 0, done.err
    np.testing.assert_array_equal(np.load("z.npy"), load_trained(run).embed(x))


def test_the_training_part_of_a_streamed_run(tmp_path, cli):  # noqa: F811
    np.save("x.npy", rows(2500))
    done = train("x.npy", "mlp", out="run", stream=True, epochs=1, hidden=(8,), latent_dim=3)
    assert cli("embed", "run", "--split", "train", "-o", "z.npy").code == 0
    training = done.data.split(done.trained.recipe.plan.validation, 0)[0]
    assert isinstance(training, Stored)
    x = training.take(np.arange(len(training))).x
    np.testing.assert_array_equal(np.load("z.npy"), done.trained.embed(x))


# What is written


@pytest.mark.parametrize("ending", ["npy", "npz", "csv"])
def test_every_ending_holds_all_codes_of_all_files(run, cli, small_stretches, ending):  # noqa: F811
    x = rows(2500)
    np.save("a.npy", x[:1800])
    np.save("b.npy", x[1800:])
    done = cli("embed", run, "a.npy", "b.npy", "-o", f"z.{ending}", "--json")
    assert done.json == {"file": f"z.{ending}", "shape": [2500, 3], "dtype": "float32"}
    trained = load_trained(run)
    expected = np.concatenate([trained.embed(x[:1800]), trained.embed(x[1800:])])
    if ending == "csv":
        with open("z.csv") as file:
            assert file.readline() == "z0,z1,z2\n"
        found = np.loadtxt("z.csv", delimiter=",", skiprows=1, dtype=np.float32)
    else:
        found = np.load(f"z.{ending}")
        found = found["x"] if ending == "npz" else found
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("ending", ["npy", "npz", "csv"])
@pytest.mark.parametrize("place", [0, 2400])
def test_a_bad_value_is_told_with_its_row_and_leaves_the_old_file(
    run,
    cli,  # noqa: F811
    tmp_path,
    small_stretches,
    ending,
    place,
):
    x = rows(2500)
    x[place, 4] = np.nan
    np.save("x.npy", x)
    target = tmp_path / f"z.{ending}"
    target.write_bytes(b"old")
    done = cli("embed", run, "x.npy", "-o", target)
    assert done.code == 2
    assert f"row {place}, column 4" in done.err
    assert len(done.err.splitlines()) == 1
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", f"z.{ending}"]


def test_rows_of_another_width_are_refused_before_they_are_read(run, cli):  # noqa: F811
    np.save("x.npy", rows()[:, :5])
    done = cli("embed", run, "x.npy", "-o", "z.npy")
    assert done.code == 2
    assert "expected 6 values per example" in done.err


# Values that a model of pixels cannot take


def opened(path, x):
    np.save(path / "x.npy", x)
    return open_examples(path / "x.npy", DataSpec((WIDTH,), scale=(255.0,)))


@pytest.mark.parametrize("dark", [0, 300_000])
def test_pixels_that_begin_in_the_dark_are_pixels(tmp_path, dark):
    """Floats up to 255 whose first megabytes are below 1."""
    x = RNG.random((dark + 10, WIDTH), dtype=np.float32)
    x[-1] = 255
    examples = opened(tmp_path, x)
    assert isinstance(examples, Conformed)
    np.testing.assert_array_equal(examples.read(0, len(x)), x)
    np.testing.assert_array_equal(load_examples(tmp_path / "x.npy", examples.spec).x, x)


def test_fractions_are_refused_as_they_are_in_memory(tmp_path):
    x = RNG.random((300_000, WIDTH), dtype=np.float32)
    with pytest.raises(DataError, match="multiply them by 255"):
        opened(tmp_path, x)
    assert len(opened(tmp_path, np.rint(x))) == len(x)  # black and white may be meant


def test_a_value_out_of_range_is_told_with_its_row(tmp_path, small_stretches, caplog):
    x = RNG.integers(0, 256, (2500, WIDTH)).astype(np.int16)
    x[2345, 2] = 300
    read = np.concatenate(list(in_order(opened(tmp_path, x), 1000)))
    assert read[2345, 2] == 255
    assert "300 at row 2345, column 2 (index (2345, 2)); taken as the nearest" in caplog.text


# Memory and signals

MEASURE = r"""
import re, sys
from autoencode.cli import main

def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])

for file in sys.argv[3:]:
    try:
        main(["embed", sys.argv[1], file, "-o", sys.argv[2]])
    except SystemExit as left:
        assert not left.code, left.code
    print(peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize(("ending", "n", "more"), [("npy", 4_000_000, 48), ("csv", 700_000, 32)])
def test_memory_does_not_grow_with_the_file(run, tmp_path, ending, n, more):
    """A small file and a large one, whose codes take as much: the peak grows by some pieces."""

    def written(name, n):
        x = np.lib.format.open_memmap(tmp_path / name, "w+", np.float32, (n, WIDTH))
        for start in range(0, n, 1 << 20):
            x[start : start + (1 << 20)] = 0.5
        return tmp_path / name

    files = written("few.npy", 16_000), written("many.npy", n)
    program = [sys.executable, "-c", MEASURE, run, tmp_path / f"z.{ending}", *files]
    printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    small, large = (int(line) * 1024 for line in printed.splitlines() if line.isdigit())
    assert large - small < more << 20, (small, large)


def test_sigterm_leaves_no_temporary_file(run, tmp_path):
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (20_000_000, WIDTH))
    job = subprocess.Popen(
        command("embed", run, tmp_path / "x.npy", "-o", tmp_path / "z.npy"),
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 300
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < until:
        time.sleep(0.02)
    assert list(tmp_path.glob(".*.part"))
    job.send_signal(signal.SIGTERM)
    _, err = job.communicate()
    assert job.returncode == 143
    assert err == "error: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_gradients_can_be_had_between_two_pieces(run):
    """Whoever takes the pieces is not inside inference mode."""
    trained = load_trained(run)
    for _ in trained.embed_pieces(rows(2500)):
        x = torch.ones(2, requires_grad=True)
        x.sum().backward()
        assert x.grad is not None
