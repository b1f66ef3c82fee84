"""Data that stay on disk: which rows come in which batch, in what memory, and what they mean."""

import gc
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import Autoencoder
from autoencode.data import Resident, Stored, Streamed, load_data, prepare
from autoencode.data.disk.store import take_by_blocks
from autoencode.data.formats import format as large_data
from autoencode.data.formats.npy import FileStore, open_memmap, open_npy
from autoencode.errors import DataError, InputError, OptionError
from autoencode.runs import resume, train
from autoencode.runs.data import examples_for
from autoencode.runs.evaluation import evaluate_run
from autoencode.trained import load_trained
from autoencode.training import Observer
from autoencode.types import DataSpec, Pass
from cli_runs import cli  # noqa: F401  a fixture

RNG = np.random.default_rng(0)


class Rows:
    """A store whose row i holds the number i, read in chunks that cannot be cut."""

    name = "rows"
    shape = (1,)
    dtype = np.dtype(np.float32)
    labels = None

    def __init__(self, n, chunk=1, fail_at=None):
        self.n, self.chunk, self.fail_at = n, chunk, fail_at
        self.asked = []

    def __len__(self):
        return self.n

    def read(self, start, stop):
        assert start % self.chunk == 0
        assert stop % self.chunk == 0 or stop == self.n
        self.asked.append((start, stop))
        if self.fail_at is not None and start <= self.fail_at < stop:
            raise DataError(f"rows: row {self.fail_at} is damaged; write it again")
        return np.arange(start, stop, dtype=np.float32)[:, None]

    def take(self, rows):
        return take_by_blocks(self, rows)

    def bounds(self, rows):
        step = -(-rows // self.chunk) * self.chunk
        return np.append(np.arange(0, self.n, step), self.n)


def source_over(n, window=1 << 20, threads=1, without=(), chunk=1, store=None):
    """Streamed rows of four bytes, so that a window of w bytes holds w / 4 of them."""
    window = max(window, 4 * 8 * chunk)  # less would be refused
    examples = Stored(store or Rows(n, chunk), np.dtype(np.float32), np.array(without, np.int64))
    return Streamed(examples, DataSpec((1,), "real"), window_bytes=window, threads=threads)


def rows_of(source, **one):
    """The row numbers of each batch of a pass."""
    given = Pass(**{"seed": 0, "epoch": 0, "batch_size": 10, **one})
    return [batch.x[:, 0].int().tolist() for batch in source.shuffled(given)]


def flat(batches):
    return [row for batch in batches for row in batch]


passes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**40),
        "epoch": st.integers(0, 50),
        "batch_size": st.integers(1, 70),
    }
)
sizes = {"n": st.integers(1, 400), "window": st.integers(1, 900), "chunk": st.integers(1, 12)}


# Order


@given(**sizes, one=passes, without=st.sets(st.integers(0, 399)))
@settings(max_examples=100, deadline=None)
def test_every_example_comes_exactly_once_and_batches_are_full(n, window, chunk, one, without):
    without = sorted(row for row in without if row < n - 1)
    batches = rows_of(source_over(n, window, without=without, chunk=chunk), **one)
    assert sorted(flat(batches)) == sorted(set(range(n)) - set(without))
    assert {len(batch) for batch in batches[:-1]} <= {one["batch_size"]}
    assert 0 < len(batches[-1]) <= one["batch_size"]


@given(**sizes, one=passes, threads=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_the_number_of_threads_changes_nothing(n, window, chunk, one, threads):
    batches = rows_of(source_over(n, window, chunk=chunk), **one)
    assert rows_of(source_over(n, window, threads, chunk=chunk), **one) == batches


@given(**sizes, one=passes, start=st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_pass_taken_up_in_the_middle_goes_on_as_it_would_have(n, window, chunk, one, start):
    source = source_over(n, window, chunk=chunk)
    assert rows_of(source, **one, start=start) == rows_of(source, **one)[start:]


@given(**sizes, one=passes, world=st.integers(1, 5), start=st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_the_parts_of_all_processes_make_up_each_batch(n, window, chunk, one, world, start):
    source = source_over(n, window, chunk=chunk)
    parts = [rows_of(source, **one, rank=rank, world=world, start=start) for rank in range(world)]
    whole = rows_of(source, **one, start=start)
    assert all(len(part) == len(whole) for part in parts)
    for i, batch in enumerate(whole):
        assert [part[i] for part in parts] == [batch[rank::world] for rank in range(world)]


def test_epochs_and_seeds_differ_and_one_pass_is_always_the_same():
    source = source_over(300, window=400)
    first = rows_of(source)
    assert rows_of(source) == first
    assert rows_of(source, epoch=1) != first
    assert rows_of(source, seed=1) != first


def test_the_batch_size_does_not_change_the_order():
    source = source_over(300, window=400)
    assert flat(rows_of(source, batch_size=7)) == flat(rows_of(source, batch_size=32))


def test_to_go_on_late_reads_nothing_of_what_is_over():
    store = Rows(4000)
    source = source_over(4000, window=400, store=store)
    rows_of(source, start=399)
    assert sum(stop - start for start, stop in store.asked) <= 100  # a window


def test_all_examples_in_order_for_measuring():
    source = source_over(95, window=80, without=(3, 50))
    batches = [batch.x[:, 0].int().tolist() for batch in source.batches(10)]
    assert flat(batches) == [row for row in range(95) if row not in (3, 50)]
    assert [len(batch) for batch in batches] == [10] * 9 + [3]


# Shuffle


def test_data_that_fit_into_a_window_are_shuffled_in_full():
    """Every place is as likely for every row: the means of many epochs lie where they should."""
    source = source_over(64)
    places = np.array([np.argsort(flat(rows_of(source, epoch=e))) for e in range(400)])
    expected, spread = 31.5, np.sqrt((64**2 - 1) / 12)
    assert np.abs(places.mean(axis=0) - expected).max() < 5 * spread / np.sqrt(400)
    together = np.corrcoef(places[:, 10], places[:, 11])[0, 1]
    assert abs(together) < 5 / np.sqrt(400)


def test_a_batch_of_block_shuffled_rows_comes_from_all_over_the_store():
    """The mean row number of a batch scatters little more than that of a random sample."""
    source = source_over(40_000, window=8_000)  # twenty windows
    means = [np.mean(batch) for batch in rows_of(source, batch_size=100)]
    random = 40_000 / np.sqrt(12 * 100)
    window = 40_000 / np.sqrt(12 * 256)  # the mean of a window of 256 blocks
    assert 1 / 1.2 < np.std(means) / np.hypot(random, window) < 1.2


# Chunks that cannot be cut


def test_chunks_are_read_whole_and_once():
    store = Rows(1000, chunk=24)
    source = source_over(1000, window=4 * 24 * 8, store=store)
    assert sorted(flat(rows_of(source))) == list(range(1000))
    assert len(store.asked) == len(set(store.asked)) == -(-1000 // 24)


def test_chunks_too_long_to_be_mixed_are_refused():
    examples = Stored(Rows(1000, chunk=100), np.dtype(np.float32))
    with pytest.raises(DataError, match=r"100 rows can only be read together.*at most 25 rows"):
        Streamed(examples, DataSpec((1,), "real"), window_bytes=4 * 200)


@given(n=st.integers(1, 300), chunk=st.integers(1, 50), wanted=st.sets(st.integers(0, 299)))
def test_rows_are_picked_out_of_chunks(n, chunk, wanted):
    rows = np.array(sorted(row for row in wanted if row < n), np.int64)
    store = Rows(n, chunk)
    assert store.take(rows)[:, 0].tolist() == rows.tolist()
    assert len(store.asked) == len(set(rows // chunk))


# Threads and errors


def reading_threads():
    return [thread for thread in threading.enumerate() if "autoencode-read" in thread.name]


@pytest.mark.parametrize("n_batches", [0, 1, 3, 1000])
def test_no_thread_outlives_a_pass_however_it_ends(n_batches):
    batches = source_over(2000, window=400, threads=3).shuffled(Pass(0, 0, 10))
    for _, _ in zip(range(n_batches), batches, strict=False):
        assert reading_threads()
    batches.close()
    assert not reading_threads()


def test_a_loop_that_is_left_ends_the_threads():
    for _ in source_over(2000, window=400).shuffled(Pass(0, 0, 10)):
        break
    gc.collect()
    assert not reading_threads()


def test_damage_is_told_once_and_in_words():
    source = source_over(2000, window=400, store=Rows(2000, fail_at=777))
    with pytest.raises(DataError, match=r"^rows: row 777 is damaged; write it again$"):
        rows_of(source)
    assert not reading_threads()


def test_no_threads_is_an_error():
    with pytest.raises(OptionError, match="at least 1, got 0"):
        source_over(10, threads=0)


# Files


@pytest.fixture
def npy(tmp_path):
    def write(x, name="x.npy"):
        np.save(tmp_path / name, x)
        return tmp_path / name

    return write


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8", "<i2", "?", "<f2"])
def test_a_file_is_read_as_numpy_reads_it(npy, dtype):
    x = (RNG.random((40, 3, 5)) * 9).astype(dtype)
    store = open_npy(npy(x))
    assert (len(store), store.shape, store.dtype) == (40, (3, 5), x.dtype)
    np.testing.assert_array_equal(store.read(7, 31), x[7:31])
    np.testing.assert_array_equal(store.take(np.array([0, 3, 39])), x[[0, 3, 39]])
    assert store.bounds(16).tolist() == [0, 16, 32, 40]


def test_a_file_cut_off_since_it_was_opened_is_one_clear_error(npy):
    path = npy(RNG.random((1000, 8)))
    data = load_data(path, stream=True)
    os.truncate(path, 40_000)
    source = Streamed(data.train, data.spec, window_bytes=8000)
    with pytest.raises(DataError, match=r"x\.npy: ends in row 623 of 1000; it was cut off") as caught:
        list(source.shuffled(Pass(0, 0, 10)))
    assert "\n" not in str(caught.value)


def test_a_file_that_went_away_is_one_clear_error(npy):
    path = npy(RNG.random((1000, 8)))
    data = load_data(path, stream=True)
    path.unlink()
    with pytest.raises(DataError, match=r"x\.npy: no such file; check the path"):
        list(Streamed(data.train, data.spec).shuffled(Pass(0, 0, 10)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 3)), "no values in it"),
        (np.zeros((3, 0)), "no values in it"),
        (np.zeros(7), "expected one row for each example"),
        (np.float64(1), "expected one row for each example"),
        (np.zeros((1, 3)), "at least 2 examples"),
        (np.array([["a"], ["b"]]), "text columns"),
        (np.zeros((4, 2), complex), "Complex data"),
        (np.asfortranarray(RNG.random((9, 4))), "stored column by column"),
    ],
)
def test_files_that_cannot_be_streamed_are_refused(npy, x, message):
    with pytest.raises(InputError, match=message):
        load_data(npy(x), stream=True)


def test_a_damaged_file_is_refused_before_training(npy):
    path = npy(RNG.random((100, 8)))
    os.truncate(path, 5000)
    with pytest.raises(DataError, match="header promises"):
        load_data(path, stream=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_found_with_their_place(npy, bad):
    x = RNG.random((200_000, 6))
    x[150_003, 2] = bad
    with pytest.raises(DataError, match=r"first at row 150003, column 2 .*drop or fill"):
        load_data(npy(x), stream=True)


def test_what_cannot_be_streamed_is_refused(npy):
    for source in ("digits", RNG.random((20, 3)), [[0.0], [1.0]]):
        with pytest.raises(OptionError, match="cannot be streamed"):
            load_data(source, stream=True)


# Meaning: the same as in memory

PIXELS = RNG.integers(0, 256, (300, 12, 9), dtype=np.uint8)
MEANINGS = {
    "pixels": PIXELS,
    "pixels as rows": PIXELS[:, :9].reshape(300, 81),
    "dark pixels": PIXELS % 17,
    "binary": PIXELS % 2,
    "bool": PIXELS > 99,
    "counts": PIXELS[:, 0],
    "counts that are 0 or 1": PIXELS[:, 0] % 2,
    "channels last": RNG.integers(0, 256, (50, 9, 8, 3), dtype=np.uint8),
    "pixels as integers": PIXELS.astype(np.int64),
    "pixels as floats": PIXELS.astype(np.float32),
    "unit": RNG.random((300, 7)),
    "table": RNG.normal([1, 1e4, -5], [1, 50, 0.1], (3000, 3)),
    "table with a constant column": RNG.normal([1, 1e4, -5], [1, 50, 0], (300, 3)),
    "dates": 1.7e9 + RNG.random((300, 2)),
    "images of reals": RNG.normal(3, 2, (200, 1, 6, 5)).astype(np.float32),
}


@pytest.mark.parametrize("standardize", ["columns", "robust", "global", "none"])
@pytest.mark.parametrize("name", MEANINGS)
def test_values_mean_what_they_mean_in_memory(npy, name, standardize):
    """Against the spec of the same training rows in memory, which the survey never holds at once."""
    path = npy(MEANINGS[name])
    data = load_data(path, stream=True, standardize=standardize)
    kept = np.delete(MEANINGS[name], data.train.without, axis=0)
    examples, spec, notices = prepare(kept, standardize=standardize)
    assert (data.spec.shape, data.spec.kind) == (spec.shape, spec.kind)
    np.testing.assert_allclose(data.spec.offset, spec.offset, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(data.spec.scale, spec.scale, rtol=1e-9)
    assert data.train.dtype == examples.x.dtype
    assert data.train.shape == examples.x.shape[1:]
    np.testing.assert_array_equal(data.train.read(0, len(data.train.store)), examples.x)
    assert [text for text in data.notices if "examples held out" not in text][1:] == list(notices)
    streamed = torch.cat([b.x for b in Streamed(data.train, data.spec).batches(7)])
    torch.testing.assert_close(streamed, next(Resident(examples, spec).batches(len(kept))).x)


def test_the_survey_of_pixels_ends_when_nothing_more_can_change(npy, monkeypatch):
    path, asked = npy(RNG.integers(0, 256, (50_000, 8, 8), dtype=np.uint8)), []
    monkeypatch.setattr(
        FileStore, "read", lambda self, start, stop: asked.append(start) or PIXELS[:20, :8, :8]
    )
    load_data(path, stream=True)
    assert asked == [0]


def test_the_parts_are_apart_and_spread_over_the_whole_file(npy):
    x = np.arange(3000, dtype=np.float32)[:, None]
    data = load_data(npy(x), stream=True, standardize="none")
    training, validation = data.split(0.1, seed=3)
    test = data.test.x[:, 0]
    left = training.read(0, 3000)[:, 0]
    assert len(test) == 300
    assert len(validation) == 270
    assert len(left) == len(training) == 2430
    assert sorted([*test, *validation.x[:, 0], *left]) == list(range(3000))
    for part in (test, validation.x[:, 0]):
        assert np.histogram(part, 10, (0, 3000))[0].min() >= 0.9 * len(part) / 10
    assert not np.array_equal(data.split(0.1, seed=4)[1].x, validation.x)
    assert data.split(0, seed=3) == (data.train, None)


def test_labels_stay_with_their_examples(npy):
    x = np.arange(500, dtype=np.float32)[:, None]
    data = load_data(npy(x), stream=True, labels=np.arange(500) * 2, standardize="none")
    for part in (data.test, data.split(0.1, 0)[1], data.train.bounded()):
        np.testing.assert_array_equal(part.labels, part.x[:, 0] * 2)
    with pytest.raises(DataError, match="one label for each of 500"):
        load_data(npy(x), stream=True, labels=np.arange(400))


def test_what_is_held_in_memory_is_bounded(npy, monkeypatch):
    monkeypatch.setattr("autoencode.data.disk.stored.SAMPLE_BYTES", 4 * 40)
    x = np.arange(3000, dtype=np.float32)[:, None]
    data = load_data(npy(x), stream=True, standardize="none")
    assert len(data.test) == len(data.train.bounded()) == len(data.split(0.5, 0)[1]) == 40


def test_the_fingerprint_tells_contents_apart(npy):
    x = RNG.integers(0, 256, (300, 64), dtype=np.uint8)
    one = load_data(npy(x), stream=True).fingerprint()
    assert load_data(npy(x, "copy.npy"), stream=True).fingerprint() == one
    changed = x.copy()
    changed[299, 63] ^= 1
    assert load_data(npy(changed), stream=True).fingerprint() != one
    assert load_data(npy(x[:299]), stream=True).fingerprint() != one
    assert load_data(npy(x.reshape(300, 8, 8)), stream=True).fingerprint() != one


def test_the_fingerprint_of_a_large_file_reads_a_part_of_it(npy):
    x = RNG.integers(0, 256, (200_000, 64), dtype=np.uint8)
    store = open_npy(npy(x))
    data = Stored(store, np.dtype(np.uint8))
    assert data.fingerprint() == Stored(store, np.dtype(np.uint8)).fingerprint()
    for row in (0, 199_999):
        changed = x.copy()
        changed[row, 5] ^= 1
        other = Stored(open_npy(npy(changed, "changed.npy")), np.dtype(np.uint8))
        assert other.fingerprint() != data.fingerprint()


# When


def test_large_files_are_streamed_by_themselves(npy, monkeypatch):
    path = npy(RNG.random((100, 10)))
    assert not isinstance(load_data(path).train, Stored)
    monkeypatch.setattr(large_data, "available_memory", lambda: 4 * path.stat().st_size - 1)
    assert isinstance(load_data(path).train, Stored)
    assert not isinstance(load_data(path, stream=False).train, Stored)
    monkeypatch.setattr(large_data, "available_memory", lambda: None)
    assert not isinstance(load_data(path).train, Stored)


# Memory maps


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_memory_map_is_read_in_place(npy, mode):
    x = RNG.random((200, 6)).astype(np.float32)
    mapped = np.load(npy(x), mmap_mode=mode)
    examples, spec, _ = prepare(mapped)
    assert isinstance(examples, Stored)
    assert len(examples) == 200
    np.testing.assert_array_equal(examples.read(10, 20), x[10:20])
    assert spec == replace(prepare(x)[1], support=None)  # what draws are like is not looked for on disk


def test_parts_of_a_memory_map_are_the_parts_that_they_are(npy):
    x = RNG.random((200, 6, 4))
    mapped = np.load(npy(x), mmap_mode="r")
    for part, same in ((mapped[50:150], x[50:150]), (mapped[50:150][20:], x[70:150])):
        np.testing.assert_array_equal(open_memmap(part).read(3, 9), same[3:9])
    assert open_memmap(mapped.reshape(200, 24)[7:]).shape == (24,)
    assert len(open_memmap(mapped[5])) == 6


def test_maps_that_do_not_lie_in_a_file_row_by_row_are_read_into_memory(npy):
    x = RNG.random((200, 6))
    path = npy(x)
    mapped = np.load(path, mmap_mode="r")
    private = np.load(path, mmap_mode="c")
    private[3] = 0.5
    for given_map in (mapped[::2], mapped[:, 2:4], mapped.T, mapped * 2, private):
        assert open_memmap(given_map) is None
        examples = prepare(given_map)[0]
        np.testing.assert_array_equal(examples.x, np.asarray(given_map))


def test_what_was_written_to_a_map_is_seen(npy):
    mapped = np.load(npy(np.zeros((50, 3))), mmap_mode="r+")
    mapped[7] = [0.25, 0.5, 1]
    assert prepare(mapped)[0].read(7, 8).tolist() == [[0.25, 0.5, 1]]


def test_the_estimator_trains_on_a_memory_map(npy):
    x = np.load(npy(RNG.random((400, 6))), mmap_mode="r")
    options = {"hidden": (8,)}

    def codes(given_x):
        ae = Autoencoder("mlp", 2, epochs=1, options=options, random_state=0, device="cpu")
        return ae.fit(given_x).transform(np.asarray(x[:5]))

    first = codes(x)
    assert first.shape == (5, 2)
    np.testing.assert_array_equal(codes(x), first)


# Whole runs

SMALL = {"epochs": 2, "batch_size": 32, "device": "cpu"}


def test_a_run_from_a_file_that_stays_on_disk_and_back_again(npy, tmp_path):
    path = npy(RNG.integers(0, 256, (500, 8, 8), dtype=np.uint8))
    folder = tmp_path / "run"
    run = train(path, "vae", out=folder, stream=True, latent_dim=2, hidden=(16,), **SMALL)
    assert run.trained.info["data"]["streamed"] is True
    assert len(run.history) == 2
    assert (folder / "report.html").exists()
    assert len(run.split("train")) == 442
    again = evaluate_run(folder, device="cpu")
    assert again["mse"] == pytest.approx(run.metrics["mse"], rel=1e-5)
    assert again["n"] == 50
    trained = load_trained(folder)
    np.testing.assert_array_equal(examples_for(trained, folder).x, run.data.test.x)
    assert len(examples_for(trained, folder, split="validation")) == 8
    with pytest.raises(DataError, match=r"stays on disk.*--split test or validation"):
        examples_for(trained, folder, split="train")
    npy(RNG.integers(0, 256, (500, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match=r"is not what .* was trained on any more"):
        evaluate_run(folder)


def test_a_run_knows_whether_its_data_were_streamed(npy, tmp_path, monkeypatch):
    """The test part of a run does not depend on how much memory is free when it is looked at."""
    path = npy(RNG.random((300, 6)))
    run = train(path, "mlp", out=tmp_path / "run", hidden=(8,), **SMALL)
    monkeypatch.setattr(large_data, "available_memory", lambda: 1)
    assert evaluate_run(tmp_path / "run")["mse"] == pytest.approx(run.metrics["mse"], rel=1e-5)


def test_a_streamed_run_that_was_interrupted_goes_on_to_the_bit(npy, tmp_path, monkeypatch):
    """In the middle of an epoch; and it stays streamed, however much memory is free by then."""
    path = npy(RNG.random((900, 6)))
    options = {**SMALL, "stream": True, "hidden": (8,), "seed": 5, "epochs": 3, "min_steps": 0}

    class Stop(Observer):
        def step(self, step):
            self.reached = step

        def stop(self):
            return self.reached == 37

    whole = train(path, "mlp", out=tmp_path / "whole", **options)
    train(path, "mlp", out=tmp_path / "broken", observer=Stop(), **options)
    monkeypatch.setattr(large_data, "available_memory", lambda: 1 << 60)
    again = resume(tmp_path / "broken")
    assert again.complete
    assert isinstance(again.data.train, Stored)
    first, second = (run.trained.model.state_dict() for run in (whole, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert again.metrics == whole.metrics


def test_a_window_that_holds_everything_learns_as_well_as_memory(npy):
    """Not the same order, so not the same weights; but the same thing is learned."""
    x = np.repeat(RNG.random((20, 1, 12)), 40, axis=1).reshape(800, 12)  # sorted by kind
    losses = {}
    for stream in (True, False):
        run = train(npy(x), "linear", stream=stream, latent_dim=4, epochs=30, device="cpu", seed=1)
        losses[stream] = run.history[-1]["loss"]
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_the_same_run_twice_gives_the_same_weights(npy):
    path = npy(RNG.random((600, 6)))
    runs = [train(path, "mlp", stream=True, hidden=(8,), seed=5, **SMALL) for _ in range(2)]
    first, second = (run.trained.model.state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_command_line_streams(cli, npy):  # noqa: F811
    path = npy(RNG.integers(0, 256, (300, 8, 8), dtype=np.uint8))
    done = cli("train", path, "--stream", "--epochs", 1, "--device", "cpu", "--out", "run", "--json")
    assert done.code == 0, done.err
    assert "read from disk while training" in done.err
    assert done.json["data"] == "x"
    looked = cli("evaluate", "run", "--json")
    assert looked.json["mse"] == pytest.approx(done.json["mse"], rel=1e-5)
    assert cli("embed", "run", "-o", "codes.npy").code == 0
    assert len(np.load("codes.npy")) == 30


@pytest.mark.parametrize("data", ["digits", "absent.npy"])
def test_the_command_line_refuses_what_it_cannot_stream(cli, data):  # noqa: F811
    done = cli("train", data, "--stream", "--epochs", 1)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1


# Memory

MEASURE = r"""
import re, sys
from autoencode.data import Streamed, load_data
from autoencode.types import Pass

def peak():  # of this program; what getrusage says begins with that of its parent
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])

data = load_data(sys.argv[1], stream=True)
before = peak()
source = Streamed(data.train, data.spec, window_bytes=8 << 20, threads=int(sys.argv[2]))
seen = sum(len(batch.x) for batch in source.shuffled(Pass(0, 0, 256)))
assert seen == len(data.train)
print(before, peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize(
    ("dtype", "threads"),
    [pytest.param(np.uint8, 1, marks=pytest.mark.slow), (np.float64, 3)],
)
def test_memory_is_bounded_by_the_windows_and_not_by_the_file(tmp_path, dtype, threads):
    """125 MB are read through windows of 8 MB: the peak grows by a few of these."""
    width = 1000 // np.dtype(dtype).itemsize
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", dtype, (125_000, width))
    for start in range(0, len(x), 25_000):
        x[start : start + 25_000] = RNG.integers(0, 256, (25_000, width), dtype=np.uint8)
    del x
    command = [sys.executable, "-c", MEASURE, path, str(threads)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    before, after = map(int, printed.split())
    assert after - before < 60 * 1024, printed  # kB; what torch takes depends on how it was built
