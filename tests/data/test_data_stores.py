"""Zarr, Parquet, Arrow, folders of images and WebDataset shards, against their own libraries."""

import builtins
import importlib
import io
import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import webdataset
import zarr
from PIL import Image

from autoencode.data import Stored, Streamed, load_data, load_examples
from autoencode.data.formats import images
from autoencode.data.formats.chunked import open_columns
from autoencode.data.formats.images import open_images
from autoencode.data.formats.zarr_arrays import open_zarr
from autoencode.errors import DataError, InputError, StorageError
from autoencode.runs import train
from autoencode.runs.evaluation import evaluate_run
from autoencode.types import DataSpec, Pass

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (230, 6, 5), dtype=np.uint8)


def refusal(function, *args, **options):
    with pytest.raises(InputError) as caught:
        function(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check_store(store, x):
    """Any stretch, any rows, and whole blocks of it are what they should be."""
    assert (len(store), *store.shape) == x.shape
    np.testing.assert_array_equal(store.read(0, len(x)), x)
    np.testing.assert_array_equal(store.read(37, 151), x[37:151])
    np.testing.assert_array_equal(store.take(np.array([0, 1, 99, 229])), x[[0, 1, 99, 229]])
    for rows in (1, 30, 10_000):
        bounds = store.bounds(rows)
        assert (bounds[0], bounds[-1]) == (0, len(x))
        assert (np.diff(bounds) > 0).all()


def seen(data, batch_size=32):
    source = Streamed(data.train, data.spec, threads=2)
    return np.concatenate([batch.x.numpy() for batch in source.shuffled(Pass(0, 0, batch_size))])


# Zarr


@pytest.mark.parametrize("layout", [{}, {"shards": (50, 6, 5)}, {"zarr_format": 2}])
def test_zarr(tmp_path, layout):
    path = tmp_path / "x.zarr"
    zarr.create_array(str(path), data=X, chunks=(25, 6, 5), **layout)
    check_store(open_zarr(path), X)
    data = load_data(path, stream=True)
    assert isinstance(data.train, Stored)
    assert (data.train.shape, data.spec.scale) == ((1, 6, 5), (255,))
    assert sorted(map(bytes, (seen(data) * 255).round().astype(np.uint8))) == sorted(
        map(bytes, data.train.read(0, 230))
    )


def test_a_small_zarr_array_is_read_into_memory(tmp_path):
    zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(25, 6, 5))
    np.save(tmp_path / "x.npy", X)
    mine, same = load_data(tmp_path / "x.zarr"), load_data(tmp_path / "x.npy")
    np.testing.assert_array_equal(mine.train.x, same.train.x)
    assert mine.spec == same.spec


def test_a_zarr_group_holds_examples_and_labels(tmp_path):
    group = zarr.open_group(str(tmp_path / "set"), mode="w")
    group.create_array("x", data=X, chunks=(25, 6, 5))
    group.create_array("labels", data=np.arange(230))
    data = load_data(str(tmp_path / "set"), stream=True)
    for x, label in zip(data.test.x, data.test.labels, strict=True):
        np.testing.assert_array_equal(x[0], X[label])


def test_zarr_refusals(tmp_path):
    group = zarr.open_group(str(tmp_path / "two.zarr"), mode="w")
    for name in ("one", "other"):
        group.create_array(name, data=X)
    assert "arrays: one, other); name it x" in refusal(open_zarr, tmp_path / "two.zarr")
    assert "not a Zarr array" in refusal(load_data, tmp_path / "absent.zarr")
    path = tmp_path / "damaged.zarr"
    zarr.create_array(str(path), data=X, chunks=(25, 6, 5))
    chunk = next(file for file in sorted(path.rglob("*")) if file.is_file() and file.name == "0")
    chunk.write_bytes(b"nonsense")
    assert "cannot be read" in refusal(load_data, path, stream=True)


# Parquet and Arrow

COLUMNS = {"a": RNG.normal(size=230), "b": RNG.random(230).astype("f4"), "c": RNG.integers(0, 9, 230)}
TABLE = np.stack([np.asarray(column, np.float64) for column in COLUMNS.values()], axis=1)


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow"])
def test_columns(tmp_path, kind):
    path = tmp_path / f"table.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(COLUMNS), path, row_group_size=40)
    else:
        feather.write_feather(pa.table(COLUMNS), str(path), chunksize=40, compression="zstd")
    check_store(open_columns(path), TABLE)
    data = load_data(path, stream=True)
    assert data.spec.kind == "real"
    np.testing.assert_allclose(seen(data).std(axis=0), 1, atol=1e-3)
    small = load_data(path)
    assert not isinstance(small.train, Stored)
    assert len(small.train) == 207


def test_a_folder_of_parquet_files_is_one_table_in_order_of_names(tmp_path):
    for i, rows in enumerate(np.split(np.arange(230), [60, 61, 200])):
        part = {name: column[rows] for name, column in COLUMNS.items()}
        pq.write_table(pa.table(part), tmp_path / f"part-{i}.parquet", row_group_size=25)
    check_store(open_columns(tmp_path), TABLE)


def test_a_column_of_lists_of_one_length_holds_the_examples(tmp_path):
    flat = pa.array(X.reshape(-1))
    table = pa.table({"pixels": pa.FixedSizeListArray.from_arrays(flat, 30)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=40)
    check_store(open_columns(tmp_path / "x.parquet"), X.reshape(230, 30))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": [1, 2], "t": ["x", "y"]}, "column t holds string; drop it"),
        ({"a": [1, None, 3]}, "missing values in column a"),
        ({"a": [1.0, None, 3.0]}, "1 NaN value, first at row 1, column 0"),
        ({"a": pa.array([], pa.float32())}, "no values in it"),
    ],
)
def test_column_refusals(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    assert message in refusal(load_data, tmp_path / "x.parquet", stream=True)


def test_damaged_and_ill_fitting_column_files(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nonsense PAR1")
    assert "x.parquet: " in refusal(load_data, tmp_path / "x.parquet")
    assert "no such file" in refusal(load_data, tmp_path / "absent.parquet")
    folder = tmp_path / "mixed"
    folder.mkdir()
    pq.write_table(pa.table({"a": [1.0, 2.0]}), folder / "1.parquet")
    pq.write_table(pa.table({"b": [1.0, 2.0]}), folder / "2.parquet")
    assert "has other columns than" in refusal(load_data, folder)


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [
        ("zarr", "x.zarr", "stream-zarr"),
        ("datasets", "saved/dataset_dict.json", "stream-datasets"),
    ],
)
def test_a_library_that_is_not_there_is_named_with_its_extra(
    tmp_path, monkeypatch, library, name, extra
):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")

    def missing(wanted, *args):
        if wanted.split(".")[0] == library:
            raise ImportError(wanted)
        return builtins.__import__(wanted, *args)

    monkeypatch.setattr(importlib, "import_module", missing)
    message = refusal(load_data, tmp_path / name.partition("/")[0])
    assert f"needs {library}; install it with pip install 'autoencode[{extra}]'" in message


# Folders of images


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_images_of_one_size_keep_every_pixel(tmp_path, cache, ending):
    colour = RNG.integers(0, 256, (12, 7, 9, 3), dtype=np.uint8)
    for i, pixels in enumerate(colour):
        write(
            tmp_path / f"set/{i:02}.{ending}",
            pixels,
            **({"lossless": True} if ending == "webp" else {}),
        )
    store = open_images(tmp_path / "set")
    assert store.labels is None
    np.testing.assert_array_equal(store.read(0, 12), np.moveaxis(colour, -1, 1))


def test_grey_images_stay_grey_and_subfolders_are_labels(tmp_path, cache):
    for i, pixels in enumerate(X[:30]):
        write(tmp_path / f"set/{'ab'[i % 2]}/{i:02}.png", pixels)
    store = open_images(tmp_path / "set")
    assert store.shape == (1, 6, 5)
    assert store.labels.tolist() == ["a"] * 15 + ["b"] * 15
    np.testing.assert_array_equal(store.read(0, 15)[:, 0], X[:30:2])


def test_one_coloured_image_makes_all_of_them_rgb(tmp_path, cache):
    write(tmp_path / "set/1.png", X[0])
    write(tmp_path / "set/2.png", RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    store = open_images(tmp_path / "set")
    np.testing.assert_array_equal(store.read(0, 1)[0], np.stack([X[0]] * 3))


def test_images_of_different_sizes_are_scaled_and_cropped_in_the_middle(tmp_path, cache):
    """White in the middle third of a wide image stays; the black ends are cut off."""
    wide = np.zeros((100, 300), np.uint8)
    wide[:, 100:200] = 255
    write(tmp_path / "set/wide.png", wide)
    write(tmp_path / "set/small.jpg", np.full((10, 20), 90, np.uint8), quality=95)
    store = open_images(tmp_path / "set")
    assert store.shape == (1, 64, 64)
    small, shown = store.read(0, 2)[:, 0]
    assert np.abs(small.astype(int) - 90).max() <= 2
    assert shown[:, 2:-2].min() == 255


def test_images_are_turned_as_their_exif_note_says(tmp_path, cache):
    note = Image.Exif()
    note[0x0112] = 6  # to be turned a quarter clockwise
    for i in range(2):
        write(tmp_path / f"set/{i}.png", X[i], exif=note)
    store = open_images(tmp_path / "set")
    np.testing.assert_array_equal(store.read(0, 1)[0, 0], np.rot90(X[0], -1))


def test_images_are_decoded_once_until_they_change(tmp_path, cache, monkeypatch):
    for i in range(12):
        write(tmp_path / f"set/{i:02}.png", X[i])
    first = open_images(tmp_path / "set").path
    with monkeypatch.context() as patch:
        patch.setattr(images, "opened", None)
        assert open_images(tmp_path / "set").path == first
    write(tmp_path / "set/03.png", X[99])
    os.utime(tmp_path / "set/03.png", (1, 1))
    again = open_images(tmp_path / "set")
    assert again.path != first
    np.testing.assert_array_equal(again.read(3, 4)[0, 0], X[99])
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("damage", ["cut off", "no image", "a bomb", "empty"])
def test_a_bad_image_is_named(tmp_path, cache, monkeypatch, damage):
    for i in range(12):
        write(tmp_path / f"set/{i:02}.png", X[i])
    bad = tmp_path / "set/07.png"
    if damage == "cut off":
        noise = RNG.integers(0, 256, (40, 40), dtype=np.uint8)
        write(bad, noise)
        bad.write_bytes(bad.read_bytes()[:900])
    elif damage == "a bomb":
        write(bad, np.zeros((300, 300), np.uint8))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    else:
        bad.write_bytes(b"" if damage == "empty" else b"nonsense")
    message = refusal(open_images, tmp_path / "set")
    assert "07.png: " in message
    assert "repair or remove" in message
    assert not list(cache.glob("decoded/*"))


def test_a_folder_without_images_and_a_full_disk_are_refused(tmp_path, cache, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert "no images in it (.png, .jpg" in refusal(load_data, tmp_path / "empty")
    write(tmp_path / "set/1.png", X[0])
    monkeypatch.setattr(images.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 9}))
    with pytest.raises(StorageError, match="need 30 bytes and 9 bytes are free"):
        open_images(tmp_path / "set")


def test_a_folder_does_not_hide_the_data_set_of_its_name(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "digits/1.png", X[0])
    assert load_data("digits").train.x.shape == (1438, 1, 8, 8)
    with pytest.raises(DataError, match="at least 2 examples"):
        load_data("./digits")


def test_a_run_on_a_folder_of_images_and_other_images_for_it(tmp_path, cache):
    for i in range(60):
        write(tmp_path / f"set/{i:02}.png", RNG.integers(0, 256, (8, 8), dtype=np.uint8))
    options = {"device": "cpu"}
    for stream in (None, True):
        folder = tmp_path / f"run-{stream}"
        run = train(
            tmp_path / "set", "mlp", out=folder, stream=stream, epochs=1, hidden=(8,), **options
        )
        assert isinstance(run.data.train, Stored) == bool(stream)
        assert evaluate_run(folder, **options)["mse"] == pytest.approx(run.metrics["mse"], rel=1e-5)
    write(tmp_path / "others/large.jpg", np.full((50, 60, 3), 200, np.uint8))
    given = load_examples(tmp_path / "others", run.trained.spec)
    assert given.x.shape == (1, 1, 8, 8)
    assert np.abs(given.x.astype(int) - 200).max() <= 3


# Shards


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def test_shards_as_webdataset_writes_them(tmp_path, cache):
    folder = tmp_path / "shards"
    folder.mkdir()
    with webdataset.ShardWriter(str(folder / "s-%02d.tar"), maxcount=10, verbose=0) as writer:
        for i in range(25):
            writer.write({"__key__": f"{i:05}", "png": png(X[i]), "cls": i % 3, "json": {"n": i}})
    store = open_images(folder)
    np.testing.assert_array_equal(store.read(0, 25)[:, 0], X[:25])
    assert store.labels.tolist() == [i % 3 for i in range(25)]
    one = load_data(folder / "s-00.tar")
    assert len(one.train) + len(one.test) == 10


def test_bad_shards_are_named(tmp_path, cache):
    path = tmp_path / "x.tar"
    path.write_bytes(b"nonsense" * 200)
    assert "x.tar: not an intact shard" in refusal(load_data, path)
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("00.png")
        member.size = 8
        archive.addfile(member, io.BytesIO(b"nonsense"))
    message = refusal(load_data, path)
    assert "x.tar, 00.png: not an intact image" in message
    path.write_bytes(path.read_bytes()[:700])
    assert "x.tar" in refusal(load_data, path)


def test_a_model_of_rows_takes_images_as_they_are(tmp_path, cache):
    for i in range(3):
        write(tmp_path / f"set/{i}.png", X[i])
    examples = load_examples(tmp_path / "set", DataSpec((30,), scale=(255.0,)))
    np.testing.assert_array_equal(examples.x, X[:3].reshape(3, 30))
