"""The named data sets: where they are looked for, and that they are what they say."""

import dataclasses
import gzip
import hashlib
import http.server
import importlib
import shutil
import threading

import numpy as np
import pytest

from autoencode.data import catalogue, data_folder, load_data
from autoencode.data.formats.download import data_folders
from autoencode.errors import DataError, OptionError
from idx import idx_bytes

N_TRAIN, N_TEST = 12, 4


def contents(seed):
    """Four small IDX files in the manner of MNIST, by name."""
    rng = np.random.default_rng(seed)
    files = {}
    for part, count in (("train", N_TRAIN), ("t10k", N_TEST)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(images)
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes(rng.integers(0, 10, count, dtype=np.uint8))
    return files


def packed(content):
    return gzip.compress(content, mtime=0)


def md5(content):
    return hashlib.md5(content).hexdigest()


MNIST, FASHION = contents(0), contents(1)


@pytest.fixture
def module():
    # The package's attribute of this name is the function.
    return importlib.import_module("autoencode.data.formats.named")


@pytest.fixture
def small(module, monkeypatch):
    """``mnist`` and ``fashion-mnist`` of a few examples, at mirrors that do not answer."""

    def shrink(name, files, content_known):
        full = module._IDX_SETS[name]
        info = dataclasses.replace(full.info, n_train=N_TRAIN, n_test=N_TEST)
        known = tuple(
            module._IdxFile(file.name, md5(packed(content)), md5(content) if content_known else None)
            for file, content in zip(full.files, (files[f.name] for f in full.files), strict=True)
        )
        return dataclasses.replace(full, info=info, files=known, mirrors=("http://127.0.0.1:9/",))

    sets = {
        "mnist": shrink("mnist", MNIST, True),
        "fashion-mnist": shrink("fashion-mnist", FASHION, False),
    }
    monkeypatch.setattr(module, "_IDX_SETS", sets)
    return sets


def put(folder, files, pack=packed, ending=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}{ending}").write_bytes(pack(content))
    return folder


def refusal(name, folder):
    with pytest.raises(DataError) as caught:
        load_data(name, data_dir=folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_digits():
    data = load_data("digits")
    assert data.name == "digits"
    assert data.train.x.shape == (1438, 1, 8, 8)
    assert data.test.x.shape == (359, 1, 8, 8)
    assert data.train.x.dtype == np.uint8
    assert data.train.x.max() == 16
    assert data.spec.scale == (16.0,)
    assert data.notices == ()
    assert set(data.train.labels) == set(data.test.labels) == set(range(10))
    assert data.fingerprint() == load_data("DIGITS").fingerprint()


def test_the_catalogue_describes_each_set():
    assert list(catalogue()) == ["digits", "sprites", "mnist", "fashion-mnist", "kmnist"]
    for name, info in catalogue().items():
        assert info.name == name
        assert info.url.startswith("http")
        assert info.summary
    with pytest.raises(OptionError, match="did you mean mnist"):
        load_data("minst")


def test_mnist(data_dir):
    data = load_data("mnist", data_dir=data_dir)
    assert data.train.x.shape == (60_000, 1, 28, 28)
    assert data.test.x.shape == (10_000, 1, 28, 28)
    assert list(data.train.labels[:5]) == [5, 0, 4, 1, 9]
    assert data.spec.scale == (255.0,)
    assert data.notices == ()


def test_mnist_lying_flat_is_not_taken_for_its_relatives(data_dir):
    for name in ("fashion-mnist", "kmnist"):
        assert f"is a file of mnist, not of {name}" in refusal(name, data_dir / "mnist")


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOENCODE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert data_folder("other").name == "other"
    monkeypatch.setenv("AUTOENCODE_CACHE", "mine")
    assert [folder.name for folder in data_folders()] == [tmp_path.name, "mine"]
    assert [folder.name for folder in data_folders("other")] == ["other"]
    monkeypatch.delenv("AUTOENCODE_DATA")
    assert data_folder().name == "mine"
    monkeypatch.delenv("AUTOENCODE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert data_folder() == tmp_path / "autoencode"


@pytest.mark.parametrize("where", ["mnist", ".", "MNIST/raw"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_files_are_found(small, tmp_path, where, ending):
    put(tmp_path / where, MNIST, packed if ending else bytes, ending)
    data = load_data("mnist", data_dir=tmp_path)
    assert data.train.x.tobytes() == MNIST["train-images-idx3-ubyte"][16:]
    assert data.test.labels.tolist() == list(MNIST["t10k-labels-idx1-ubyte"][8:])
    assert data.notices == ()


def test_the_set_of_its_own_folder_comes_first(small, tmp_path):
    put(tmp_path, MNIST)
    put(tmp_path / "fashion-mnist", FASHION)
    data = load_data("fashion-mnist", data_dir=tmp_path)
    assert data.train.x.tobytes() == FASHION["train-images-idx3-ubyte"][16:]


def test_what_was_packed_anew_is_known_by_its_contents(small, tmp_path):
    put(tmp_path / "mnist", MNIST, lambda content: gzip.compress(content, 1, mtime=1))
    assert load_data("mnist", data_dir=tmp_path).notices == ()


def test_other_contents_are_refused(small, tmp_path):
    put(tmp_path / "mnist", FASHION)
    message = refusal("mnist", tmp_path)
    assert "wrong checksum" in message
    assert "delete it or point --data-dir elsewhere" in message


def test_contents_that_cannot_be_verified_are_noticed(small, tmp_path):
    put(tmp_path / "fashion-mnist", contents(2))
    (notice,) = load_data("fashion-mnist", data_dir=tmp_path).notices
    assert "not the published archive; contents not verified" in notice
    put(tmp_path / "fashion-mnist", FASHION)
    assert load_data("fashion-mnist", data_dir=tmp_path).notices == ()


def test_a_relative_lying_flat_is_refused(small, tmp_path):
    for pack in (packed, lambda content: gzip.compress(content, 1, mtime=1)):
        put(tmp_path, MNIST, pack)
        assert "is a file of mnist, not of fashion-mnist" in refusal("fashion-mnist", tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("train-labels-idx1-ubyte", np.zeros(11, np.uint8), "expected 12 labels"),
        (
            "train-images-idx3-ubyte",
            np.zeros((12, 28, 27), np.uint8),
            "expected 12 images of 28x28",
        ),
        ("t10k-labels-idx1-ubyte", np.full(4, 10, np.uint8), "expected labels 0..9, got 10"),
    ],
)
def test_parts_that_do_not_fit_are_refused(small, tmp_path, name, array, says):
    put(tmp_path / "fashion-mnist", FASHION | {name: idx_bytes(array)})
    message = refusal("fashion-mnist", tmp_path)
    assert says in message
    assert name in message


def test_offline_the_message_names_every_missing_file(small, tmp_path):
    put(tmp_path / "mnist", {"train-images-idx3-ubyte": MNIST["train-images-idx3-ubyte"]})
    message = refusal("mnist", tmp_path)
    missing = "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"
    assert f"put {missing} into {tmp_path / 'mnist'}" in message
    assert "http://127.0.0.1:9/train-labels-idx1-ubyte.gz" in message


def test_missing_files_are_downloaded(small, module, tmp_path, monkeypatch):
    shop = put(tmp_path / "shop", MNIST)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=shop)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        mirror = f"http://127.0.0.1:{server.server_port}/"
        small["mnist"] = dataclasses.replace(small["mnist"], mirrors=(mirror,))
        seen = []
        data = load_data("mnist", data_dir=tmp_path / "d", progress=lambda *p: seen.append(p))
        server.shutdown()
        thread.join()
    assert seen
    assert data.train.x.tobytes() == MNIST["train-images-idx3-ubyte"][16:]
    (notice,) = data.notices
    assert notice.startswith("downloaded train-images-idx3-ubyte.gz, ")
    shutil.rmtree(shop)
    assert load_data("mnist", data_dir=tmp_path / "d").notices == ()


# Sprites


@pytest.fixture(scope="module")
def sprites():
    from autoencode.data.formats import sprites

    x, factors = sprites.grid()
    return x, factors.values


def test_sprites_are_the_same_bytes_on_every_machine(sprites):
    x, _ = sprites
    assert x.dtype == np.uint8
    assert hashlib.sha256(x).hexdigest() == (
        "f94b49932af7d76861906773ffd02eaa943d8ae3420c1e197393c1e53b50844f"
    )


def test_no_point_of_a_sprite_hangs_on_a_rounding_error():
    from autoencode.data.formats.sprites import outline

    assert np.abs(outline()).min() > 1e-9


def test_no_sprite_occurs_twice(sprites):
    x, _ = sprites
    assert len(np.unique(x.reshape(len(x), -1).view("V1024"))) == len(x) == 46_080


def test_every_combination_of_factors_occurs_once(sprites):
    from autoencode.data.formats.sprites import COUNTS

    _, factors = sprites
    assert len(np.unique(factors, axis=0)) == len(factors)
    assert tuple(factors.max(axis=0) + 1) == tuple(COUNTS.values()) == (3, 6, 10, 16, 16)


def moments(x):
    """Area, centre and central second moments of each image, in pixels."""
    grey = x[:, 0].astype(float) / 255
    at = np.arange(32)
    area = grey.sum((1, 2))
    right, down = (grey.sum(axis) @ at / area for axis in (1, 2))
    u, v = at - right[:, None], at - down[:, None]
    second = (
        np.einsum("nyx,nx,ny->n", grey, u, v),
        (grey.sum(1) * u**2).sum(1) - (grey.sum(2) * v**2).sum(1),
    )
    return area, right, down, second


def test_factors_of_sprites_mean_what_they_say(sprites):
    x, factors = sprites
    area, right, down, (across, stretch) = moments(x)
    scale = 0.5 + 0.1 * factors[:, 1]
    np.testing.assert_allclose(area, 100 * scale**2, rtol=0.03)
    # The centre of mass is the place, whatever the shape: 8.0 is the middle of the first window.
    np.testing.assert_allclose(right, 8.0 + factors[:, 3], atol=0.06)
    np.testing.assert_allclose(down, 8.0 + factors[:, 4], atol=0.06)
    # The long axis of an ellipse; rows go down, so a counter-clockwise turn has the other sign.
    ellipse = factors[:, 0] == 1
    angle = np.degrees(np.arctan2(-2 * across, stretch) / 2)[ellipse]
    np.testing.assert_allclose(angle, 9 * factors[ellipse, 2], atol=2.0)


def test_a_square_would_repeat_itself_after_a_quarter_turn(sprites):
    """Why rotations end before it: no other shape does."""
    from autoencode.data.formats import sprites as module

    curve = module._CURVES["square"]
    u, v = np.meshgrid(np.linspace(-8, 8, 41), np.linspace(-8, 8, 41))
    np.testing.assert_array_equal(curve(u, v), curve(v, -u))
    assert max(module.DEGREES) < 90


def test_the_name_sprites_is_all_that_is_needed():
    data = load_data("sprites")
    info = catalogue()["sprites"]
    assert (len(data.train), len(data.test)) == (info.n_train, info.n_test)
    assert data.train.x.shape[1:] == data.spec.shape == info.shape
    assert data.spec.scale == (255.0,)
    assert data.notices == ()
    for part in (data.train, data.test):
        assert part.factors.names == ("shape", "scale", "rotation", "x", "y")
        assert part.factors.unordered == ("shape",)
        np.testing.assert_array_equal(part.labels, part.factors.values[:, 0])
        assert len(part.factors.varying().names) == 5
    everything = np.concatenate([data.train.factors.values, data.test.factors.values])
    assert len(np.unique(everything, axis=0)) == 46_080
    train, validation = data.split(0.1, 0)
    assert len(train.factors.values) == len(train)
    assert len(validation.factors.values) == len(validation)
