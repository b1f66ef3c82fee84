""".npy and .npz: what numpy stored is read, what cannot be trusted is refused in one line."""

import contextlib
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoencode.data import read_file
from autoencode.data.formats.npy import SUPPORTED
from autoencode.errors import DataError

TABLE = np.arange(12.0).reshape(4, 3)
IMAGES = np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 2, 2)
LABELS = np.array([0, 1, 0, 1])


def npy_bytes(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **options)
    return buffer.getvalue()


def header_only(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_file(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    "array",
    [TABLE, IMAGES, TABLE.astype(">f4"), np.asfortranarray(TABLE), TABLE > 3, TABLE.astype("f2")],
    ids=["float64", "uint8", "big-endian", "fortran", "bool", "float16"],
)
def test_npy(tmp_path, array):
    np.save(tmp_path / "my data.npy", array)
    raw = read_file(str(tmp_path / "my data.npy"))
    np.testing.assert_array_equal(raw.x, array)
    assert raw.name == "my data"
    assert raw.labels is None
    assert raw.x_test is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "keys",
    [("x", "y"), ("X", "y"), ("x_train", "y_train"), ("train_images", "train_labels")],
)
def test_npz_with_labels(tmp_path, save, keys):
    save(tmp_path / "set.npz", **{keys[0]: IMAGES, keys[1]: LABELS, "other": TABLE})
    raw = read_file(tmp_path / "set.npz")
    np.testing.assert_array_equal(raw.x, IMAGES)
    np.testing.assert_array_equal(raw.labels, LABELS)


def test_npz_in_the_manner_of_keras(tmp_path):
    parts = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:2], "y_test": LABELS[:2]}
    np.savez(tmp_path / "mnist.npz", **parts)
    raw = read_file(tmp_path / "mnist.npz")
    np.testing.assert_array_equal(raw.x_test, IMAGES[:2])
    np.testing.assert_array_equal(raw.labels_test, LABELS[:2])


def test_npz_without_names(tmp_path):
    np.savez(tmp_path / "set.npz", TABLE)
    np.testing.assert_array_equal(read_file(tmp_path / "set.npz").x, TABLE)


def test_npz_with_one_candidate(tmp_path):
    np.savez(tmp_path / "set.npz", spectra=TABLE, wavelengths=np.arange(3.0))
    np.testing.assert_array_equal(read_file(tmp_path / "set.npz").x, TABLE)


def test_npz_with_text_labels(tmp_path):
    np.savez(tmp_path / "set.npz", x=TABLE, y=np.array(["cat", "dog", "cat", "dog"]))
    assert read_file(tmp_path / "set.npz").labels[1] == "dog"


@pytest.mark.parametrize("arrays", [{}, {"a": TABLE, "b": IMAGES}, {"a": LABELS}])
def test_npz_without_a_clear_candidate(tmp_path, arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    message = refusal(tmp_path / "set.npz")
    assert f"(arrays: {', '.join(arrays) or 'none'})" in message


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([["a", "b"]]), "text columns (<U1); encode them as numbers"),
        (np.array([["a", 1]], dtype=object), "text columns (object); encode them as numbers"),
        (np.array([[1j]]), "Complex data"),
        (np.zeros((3, 2), [("age", "f4"), ("name", "i4")]), "structured array (fields age, name)"),
        (np.zeros((3, 2), [("größe", "f4")]), "structured array"),
        (np.zeros((3, 2), "M8[s]"), "datetime64[s] is not numeric"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_dtypes_that_are_refused(file, array, says):
    assert says in refusal(file("set.npy", npy_bytes(array)))
    path = file("set.npz", b"")
    np.savez(path, x=array)
    assert says in refusal(path)


GOOD = npy_bytes(TABLE)
HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000), }"
NEGATIVE = "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }"
BOMB = "{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').getpid(), }"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"1,2,3\n4,5,6\n", "not an array in numpy's format"),
        (GOOD[:50], "not an array in numpy's format"),
        (GOOD[:-1], "promises 96 bytes (4 x 3 float64) and 95 bytes follow"),
        (GOOD + b"!", "and 97 bytes follow"),
        (header_only(HUGE), "promises 8.0 GB (1000000 x 1000 float64) and 0 bytes follow"),
        (header_only(NEGATIVE), "negative shape"),
        (header_only(BOMB), "not an array"),
        (header_only("{'shape': (" * 20), "not an array"),
    ],
)
def test_damaged_npy(file, content, says):
    assert says in refusal(file("set.npy", content))


def test_damaged_npz(file, tmp_path):
    np.savez_compressed(tmp_path / "good.npz", x=np.random.default_rng(0).random((50, 50)))
    good = (tmp_path / "good.npz").read_bytes()
    middle = len(good) // 2
    assert "empty" in refusal(file("a.npz", b""))
    assert "not an intact .npz" in refusal(file("b.npz", GOOD))
    assert "not an intact .npz" in refusal(file("c.npz", good[:middle]))
    flipped = bytearray(good)
    flipped[middle] ^= 0xFF
    assert "not an intact .npz" in refusal(file("d.npz", bytes(flipped)))


def test_npz_bombs(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header_only(HUGE))
    assert "promises 8.0 GB" in refusal(path)

    np.savez_compressed(path, x=np.zeros((1000, 1000)))
    monkeypatch.setattr("autoencode.files.free_memory.available_memory", lambda: 10**6)
    assert "needs 16.0 MB of memory and 1.0 MB are free" in refusal(path)


def test_a_member_that_lies_about_its_size(tmp_path):
    content = header_only(HUGE)
    path = tmp_path / "liar.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
    honest, lie = struct.pack("<I", len(content)), struct.pack("<I", 0xFFFFFFF0)
    data = path.read_bytes()
    directory = data.rindex(b"PK\x01\x02")
    sizes = data.index(honest + honest, directory)
    path.write_bytes(data[: sizes + 4] + lie + data[sizes + 8 :])
    assert "claims 4.3 GB, more than 128 bytes can be unpacked to" in refusal(path)


def test_unusual_packing(tmp_path):
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", GOOD)
    assert "numpy.savez" in refusal(path)


def test_places_that_are_no_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.npy")
    (tmp_path / "folder.npy").mkdir()
    assert "it is a folder" in refusal(tmp_path / "folder.npy")
    message = refusal(tmp_path / "table.csv")
    assert all(ending in message for ending in SUPPORTED)


@given(st.data())
def test_no_damage_escapes_as_another_error(tmp_path_factory, data):
    buffer = io.BytesIO()
    np.savez(buffer, x=TABLE, y=LABELS)
    ending, content = data.draw(
        st.sampled_from([(".npy", GOOD), (".npz", buffer.getvalue())]), label="file"
    )
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    path = tmp_path_factory.mktemp("damage") / f"set{ending}"
    path.write_bytes(damaged)
    with contextlib.suppress(DataError):
        read_file(path)
