"""One list of the forms of data: what a source is, and a new form by one line."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
import zarr
from PIL import Image
from torch.utils.data import TensorDataset

from autoencode.data import load_data, load_examples, on_disk, open_examples
from autoencode.data.disk.conformed import Conformed
from autoencode.data.disk.store import Store
from autoencode.data.formats import all as forms
from autoencode.data.formats.format import Format, Opening, ends_with
from autoencode.data.raw import Raw
from autoencode.data.values.frames import is_frame
from autoencode.errors import DataError, OptionError
from autoencode.jobs import anomalies, impute
from autoencode.runs import train
from autoencode.runs.data import run_data
from autoencode.trained import load_trained

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5)).astype(np.float32)
FRAME = pa.table({f"c{i}": X[:, i] for i in range(5)})


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


def sources(folder):
    """One source of each form, and what it holds."""
    np.save(folder / "x.npy", X)
    np.savez(folder / "x.npz", x=X)
    zarr.create_array(str(folder / "z.zarr"), data=X, chunks=(20, 5))
    (folder / "t.csv").write_text("a,b\n1,2\n3,4\n")
    pa.parquet.write_table(FRAME, folder / "t.parquet")
    pa.feather.write_feather(FRAME, folder / "t.feather", compression="uncompressed")
    (folder / "many").mkdir()
    pa.parquet.write_table(FRAME, folder / "many/a.parquet")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 5)
    pa.parquet.write_table(pa.table({"x": lists}), folder / "lists.parquet")
    image(folder / "photos/a.png")
    return [
        ("digits", forms.NAMED, Raw),
        (folder / "x.npy", forms.NPY, Raw),
        (str(folder / "x.npz"), forms.NPZ, Raw),
        (np.load(folder / "x.npy", mmap_mode="r"), forms.MEMORY_MAPS, Store),
        (folder / "z.zarr", forms.ZARR, Store),
        (folder / "t.csv", forms.TEXT_FILES, "table"),
        (folder / "t.parquet", forms.COLUMN_FILES, "table"),
        (folder / "t.feather", forms.COLUMN_FILES, "table"),
        (folder / "many", forms.COLUMN_FILES, Store),
        (folder / "lists.parquet", forms.COLUMN_FILES, Store),
        (folder / "photos", forms.IMAGES, Store),
        (FRAME, forms.FRAMES, "table"),
        (pd.DataFrame(X), forms.FRAMES, "table"),
        (pl.DataFrame(X), forms.FRAMES, "table"),
        (TensorDataset(torch.from_numpy(X)), forms.DATASETS, Raw),
        (X, forms.ARRAYS, Raw),
        (X.tolist(), forms.ARRAYS, Raw),
        (torch.from_numpy(X), forms.ARRAYS, Raw),
    ]


def kind(found):
    if isinstance(found, Raw):
        return Raw
    return "table" if is_frame(found) else Store


def test_every_source_has_its_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = set()
    for source, form, wanted in sources(tmp_path):
        assert forms.format_of(source) is form, source
        found = forms.open_source(source, Opening(data_dir=tmp_path))
        assert kind(found) == wanted, source
        seen.add(form.name)
        # What is said of a form beforehand holds.
        assert form.stores or wanted is not Store
        assert form.tables == (wanted == "table") or form is forms.COLUMN_FILES
        if not form.stores:
            with pytest.raises(OptionError, match=r"cannot be streamed, only .*Zarr arrays"):
                forms.open_source(source, Opening(stream=True))
        assert on_disk(source) == (isinstance(source, str | Path) or form.stores)
    assert {form.name for form in forms.FORMATS} - seen == {"data sets of Hugging Face"}


def test_a_name_goes_before_a_folder_and_a_known_folder_before_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "digits/a.png")
    assert forms.format_of("digits") is forms.NAMED
    assert forms.format_of("./digits") is forms.IMAGES
    zarr.create_array(str(tmp_path / "z"), data=X)
    image(tmp_path / "z/a.png")
    assert forms.format_of("z") is forms.ZARR


def test_an_unknown_source_is_told_what_there_is(tmp_path, monkeypatch):
    (tmp_path / "x.bin").write_bytes(b"123")
    every = (".npy", ".npz", ".zarr", ".csv", ".tsv", ".parquet", ".arrow", ".feather", ".tar")
    for source, error in (("nowhere", OptionError), (tmp_path / "x.bin", DataError)):
        assert forms.format_of(source) is None
        with pytest.raises(error) as caught:
            load_data(source)
        assert all(ending in str(caught.value) for ending in every)
        assert ".toy" not in str(caught.value)
    monkeypatch.setattr(forms, "FORMATS", [*forms.FORMATS, TOY])
    with pytest.raises(OptionError, match=r"\.toy"):
        load_data("nowhere")


# A new form: numbers in lines of text, and an object that stays where it is.


def _read_toy(source, how):
    return Raw(Path(source).stem, np.loadtxt(source, dtype=np.float32, ndmin=2))


TOY = Format("toys", ends_with(".toy"), _read_toy, (".toy",))


@dataclass(frozen=True, eq=False)
class Rows:
    """A store of rows in somebody's own object."""

    x: np.ndarray
    name: str = "rows"
    labels: None = None

    @property
    def shape(self):
        return self.x.shape[1:]

    @property
    def dtype(self):
        return self.x.dtype

    def __len__(self):
        return len(self.x)

    def read(self, start, stop):
        return self.x[start:stop].copy()

    def take(self, rows):
        return self.x[rows]

    def bounds(self, rows):
        return np.append(np.arange(0, len(self), rows), len(self))


OWN = Format("rows of mine", lambda source: isinstance(source, Rows), lambda s, how: s, stores=True)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A file of the new form, once the form stands in the list."""
    monkeypatch.setattr(forms, "FORMATS", [*forms.FORMATS, TOY])
    np.savetxt(tmp_path / "x.toy", X)
    return tmp_path / "x.toy"


def test_a_new_form_is_loaded_everywhere(toy, tmp_path, hurried):
    hurried(20)  # what is read is the point
    data = load_data(toy)
    assert data.name == "x"
    np.testing.assert_array_equal(
        np.sort(np.concatenate([data.train.x, data.test.x]), 0), np.sort(X, 0)
    )
    for read in (load_examples, open_examples):
        np.testing.assert_array_equal(read(toy, data.spec).x, X)
    with pytest.raises(OptionError, match="cannot be streamed"):
        load_data(toy, stream=True)
    # A run reads its data again, a model a new file, and jobs whatever they are given.
    run = train(str(toy), "mlp_small", out=tmp_path / "r", epochs=1, latent_dim=2)
    trained = load_trained(tmp_path / "r")
    assert run_data(trained, tmp_path / "r", None).fingerprint() == run.data.fingerprint()
    np.testing.assert_array_equal(trained.embed(toy), trained.embed(X))
    found = anomalies(toy, recipe="mlp_small", contamination=0.1)
    assert len(found.scores) == 80
    holed = X.copy()
    holed[::5, 1] = np.nan
    np.savetxt(tmp_path / "holed.toy", holed)
    assert impute(tmp_path / "holed.toy", tmp_path / "filled.npy")[1] == 16
    assert np.isfinite(np.load(tmp_path / "filled.npy")).all()


def test_a_new_form_may_stay_where_it_is(monkeypatch):
    # Before arrays, which are whatever is no path.
    monkeypatch.setattr(forms, "FORMATS", [OWN, *forms.FORMATS])
    data = load_data(Rows(X), stream=True)
    assert any("read from disk" in notice for notice in data.notices)
    inside = load_data(Rows(X))
    np.testing.assert_array_equal(load_examples(Rows(X), inside.spec).x, X)
    stored = open_examples(Rows(X), inside.spec)
    assert isinstance(stored, Conformed)
    np.testing.assert_array_equal(stored.read(0, 80), X)
    assert on_disk(Rows(X))


def test_heavy_libraries_come_with_the_first_source_that_needs_them():
    code = (
        "import sys, numpy as np\n"
        "from autoencode.data import load_data\n"
        "load_data(np.random.default_rng(0).normal(size=(20, 3)))\n"
        "heavy = {'PIL', 'pyarrow', 'zarr', 'datasets', 'sklearn', 'pandas', 'polars'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
