"""Data sets of Hugging Face, objects and saved ones, against the library's own reading of them."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from autoencode import Autoencoder
from autoencode.data import Stored, Streamed, load_data, open_examples
from autoencode.data.formats import format as large_data
from autoencode.data.formats.huggingface import is_dataset, open_dataset
from autoencode.errors import InputError
from autoencode.runs import resume, train
from autoencode.trained import load_trained
from autoencode.training import Observer
from autoencode.types import DataSpec, Pass
from cli_runs import cli  # noqa: F401  a fixture

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

RNG = np.random.default_rng(0)
N = 230
TABLE = RNG.normal(size=(N, 3)).astype(np.float32)
PIXELS = RNG.integers(0, 256, (N, 6, 5), dtype=np.uint8)
CLASSES = RNG.integers(0, 2, N)
LABEL = datasets.ClassLabel(names=["cat", "dog"])


def table(x=TABLE, **more):
    columns = {f"c{i}": x[:, i] for i in range(x.shape[1])}
    return datasets.Dataset.from_dict(columns | more)


def nested(x=PIXELS):
    return datasets.Dataset.from_dict({"x": list(x)})


def typed(feature, x=PIXELS):
    return datasets.Dataset.from_dict({"x": x.tolist()}, features=datasets.Features(x=feature))


KINDS = {
    "columns": (table, TABLE),
    "one_column": (lambda: table(TABLE[:, :1]), TABLE[:, :1]),
    "lists": (nested, PIXELS),
    "array2d": (lambda: typed(datasets.Array2D((6, 5), "uint8")), PIXELS),
    "fixed": (
        lambda: typed(datasets.List(datasets.Value("uint8"), length=30), PIXELS.reshape(N, 30)),
        PIXELS.reshape(N, 30),
    ),
}


def refusal(function, *args, **options):
    with pytest.raises(InputError) as caught:
        function(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def arranged(dataset, how, folder):
    """The same rows in another place or by way of a list of row numbers."""
    if how == "saved":
        dataset.save_to_disk(folder)
        return datasets.load_from_disk(folder)
    if how == "shards":
        dataset.save_to_disk(folder, num_shards=3)
        return datasets.load_from_disk(folder)
    if how == "selected":
        return datasets.concatenate_datasets([dataset, dataset]).select(range(N, 2 * N))
    return dataset


@pytest.mark.parametrize("how", ["memory", "saved", "shards", "selected"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_rows_are_those_of_the_data_set(tmp_path, kind, how):
    make, x = KINDS[kind]
    store = open_dataset(arranged(make(), how, tmp_path / "saved"))
    assert (len(store), *store.shape, store.dtype) == (*x.shape, x.dtype)
    np.testing.assert_array_equal(store.read(0, N), x)
    np.testing.assert_array_equal(store.read(37, 151), x[37:151])
    np.testing.assert_array_equal(store.take(np.array([0, 1, 99, 229])), x[[0, 1, 99, 229]])
    assert store.bounds(100).tolist() == [0, 100, 200, 230]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pass_holds_every_example_once_as_a_file_of_the_same_rows_does(tmp_path, threads):
    np.save(tmp_path / "x.npy", TABLE)

    def batches(source):
        data = load_data(source, stream=True)
        shuffled = Streamed(data.train, data.spec, threads=threads).shuffled(Pass(0, 0, 32))
        return np.concatenate([batch.x.numpy() for batch in shuffled])

    np.testing.assert_array_equal(batches(table()), batches(tmp_path / "x.npy"))


def test_what_is_small_is_read_into_memory_and_what_is_large_is_not(monkeypatch):
    assert not isinstance(load_data(table()).train, Stored)
    monkeypatch.setattr(large_data, "available_memory", lambda: 1000)
    assert isinstance(load_data(table()).train, Stored)


@pytest.mark.parametrize("labels", ["label", "kind"])
def test_labels_are_the_names_of_the_classes(labels):
    dataset = table(**{labels: CLASSES}).cast_column(labels, LABEL)
    store = open_dataset(dataset)
    assert store.shape == (3,)
    np.testing.assert_array_equal(store.labels, np.array(["cat", "dog"])[CLASSES])
    numbers = open_dataset(table(y=CLASSES))
    np.testing.assert_array_equal(numbers.labels, CLASSES)


# Images


def pictures(x=PIXELS):
    columns = {"image": [Image.fromarray(image) for image in x], "label": CLASSES[: len(x)]}
    return datasets.Dataset.from_dict(
        columns, features=datasets.Features(image=datasets.Image(), label=LABEL)
    )


@pytest.mark.parametrize("how", ["memory", "saved", "selected"])
def test_images_are_decoded_once_until_they_change(tmp_path, how, monkeypatch):
    dataset = arranged(pictures(), how, tmp_path / "saved")
    cache = tmp_path / "cache"
    monkeypatch.setenv("AUTOENCODE_CACHE", str(cache))
    store = open_dataset(dataset)
    np.testing.assert_array_equal(store.read(0, N), PIXELS[:, None])
    np.testing.assert_array_equal(store.labels, np.array(["cat", "dog"])[CLASSES])
    open_dataset(dataset)
    assert len(list((cache / "decoded").iterdir())) == 1
    other = open_dataset(dataset.select(range(10, 20)))
    np.testing.assert_array_equal(other.read(0, 10), PIXELS[10:20, None])


def test_images_that_are_files_and_a_size_that_a_model_asks_for(tmp_path):
    for i, image in enumerate(PIXELS[:12]):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    paths = [str(tmp_path / f"{i:02}.png") for i in range(12)]
    dataset = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())
    store = open_dataset(dataset)
    np.testing.assert_array_equal(store.read(0, 12), PIXELS[:12, None])
    examples = open_examples(dataset, DataSpec((1, 3, 3), scale=(255.0,)))
    assert examples.read(0, 12).shape == (12, 1, 3, 3)


def test_a_damaged_image_is_named(tmp_path):
    dataset = datasets.Dataset.from_dict({"image": [{"bytes": b"none", "path": None}] * 2})
    dataset = dataset.cast_column("image", datasets.Image())
    assert "row 0: not an intact image" in refusal(open_dataset, dataset)


# What it is for


def test_a_saved_data_set_streams_by_the_command_line(cli, tmp_path):  # noqa: F811
    table(label=CLASSES).save_to_disk("saved")
    done = cli("train", "saved", "--stream", "--epochs", "2", "--out", "run", "--quiet")
    assert done.code == 0, done.err
    assert cli("embed", "run", "saved", "-o", "z.npy").code == 0
    trained = load_trained("run")
    np.testing.assert_array_equal(np.load("z.npy"), trained.embed(TABLE))
    np.testing.assert_array_equal(np.load("z.npy"), trained.embed(table()))
    assert cli("evaluate", "run").code == 0


class StopAt(Observer):
    def __init__(self, step):
        self.left = step

    def step(self, step):
        self.left -= 1

    def stop(self):
        return self.left <= 0


def test_an_object_trains_and_goes_on_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(large_data, "available_memory", lambda: 1000)
    options = {"epochs": 3, "batch_size": 50, "hidden": (8,), "latent_dim": 2}
    whole = train(table(), "mlp", **options)
    train(table(), "mlp", out=tmp_path / "run", observer=StopAt(5), **options)
    run = resume(tmp_path / "run", source=table())
    for name, value in whole.trained.model.state_dict().items():
        assert (run.trained.model.state_dict()[name] == value).all(), name


def test_the_estimator_takes_it():
    given = Autoencoder("mlp_small", 2, epochs=2, random_state=0).fit(table())
    same = Autoencoder("mlp_small", 2, epochs=2, random_state=0).fit(TABLE)
    np.testing.assert_array_equal(given.transform(table()), same.transform(TABLE))


# What cannot be used


def test_refusals(tmp_path):
    several = datasets.DatasetDict(train=table(), test=table())
    assert "several data sets (train, test); give one" in refusal(load_data, several)
    several.save_to_disk(tmp_path / "several")
    assert "several data sets (train, test); give one" in refusal(load_data, tmp_path / "several")
    endless = table().to_iterable_dataset()
    assert "has no length; give a datasets.Dataset" in refusal(load_data, endless)
    text = table(text=["x"] * N)
    assert "column text holds string; drop it" in refusal(load_data, text)
    ragged = datasets.Dataset.from_dict({"x": [[1.0, 2.0], [3.0]] * 5})
    assert "lists of different lengths in column x" in refusal(load_data, ragged)
    later = datasets.Dataset.from_dict({"x": [[1.0, 2.0]] * 5 + [[3.0]] * 5})
    assert "lists of different lengths in column x" in refusal(load_data, later)
    missing = datasets.Dataset.from_dict({"a": [1, None, 3] * 4})
    assert "missing values" in refusal(load_data, missing)
    gaps = datasets.Dataset.from_dict({"a": [1.0, None, 3.0] * 4, "b": [1.0] * 12})
    assert "first at row 1, column 0" in refusal(load_data, gaps)
    mixed = table(more=list(PIXELS))
    assert "columns of lists (more) beside others; keep one" in refusal(load_data, mixed)
    beside = pictures().add_column("size", list(range(N)))
    assert "the columns image, size beside each other" in refusal(load_data, beside)
    empty = datasets.Dataset.from_dict({"a": []})
    assert "no values in it" in refusal(load_data, empty)


def test_a_damaged_folder_is_one_line(tmp_path):
    table().save_to_disk(tmp_path / "x")
    next((tmp_path / "x").glob("*.arrow")).write_bytes(b"nonsense")
    assert "not an intact file" in refusal(load_data, tmp_path / "x")


def test_the_library_is_imported_by_those_who_use_it_only():
    code = "import autoencode, sys; autoencode.load_data('digits'); print('datasets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
    assert not is_dataset(TABLE)
    assert not is_dataset([1, 2])
