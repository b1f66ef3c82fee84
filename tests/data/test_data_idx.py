"""The IDX reader: what numpy wrote comes back, and damage is one line that names the file."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autoencode.data import read_idx
from autoencode.data.formats.idx import content_md5
from autoencode.errors import DataError
from idx import DTYPES, idx_bytes

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def idx_file(tmp_path):
    def write(content, name="images-idx3-ubyte"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(idx_file, dtype):
    array = np.arange(-3 if dtype[0] != "u" else 0, 9).astype(dtype).reshape(-1, 3)
    back = read_idx(idx_file(idx_bytes(array)))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.dtype(dtype)
    assert back.dtype.isnative


def test_gzip_is_known_by_its_bytes_not_its_name(idx_file):
    np.testing.assert_array_equal(read_idx(idx_file(gzip.compress(idx_bytes(IMAGES), mtime=0))), IMAGES)
    plain = idx_file(idx_bytes(IMAGES), "plain.gz")
    np.testing.assert_array_equal(read_idx(plain), IMAGES)


def test_content_md5_is_that_of_the_unpacked_file(idx_file):
    import hashlib

    for dtype in DTYPES:
        array = IMAGES.astype(dtype)
        expected = hashlib.md5(idx_bytes(array)).hexdigest()
        assert content_md5(read_idx(idx_file(gzip.compress(idx_bytes(array), mtime=0)))) == expected


def test_the_array_can_be_written(idx_file):
    assert read_idx(idx_file(idx_bytes(IMAGES))).flags.writeable


GOOD = idx_bytes(IMAGES)
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\0\0", "not an IDX file"),
        (b"hello world", "not an IDX file"),
        (b"\0\0\x07\x01" + GOOD[4:], "not an IDX file"),
        (b"\0\0\x08\0", "0 dimensions"),
        (b"\0\0\x08\xff", "255 dimensions"),
        (GOOD[:10], "expected 16 bytes of header, got 10"),
        (GOOD[:-1], r"more than the file can hold|expected 24 bytes \(2 x 3 x 4\), got 23"),
        (GOOD + b"!", r"expected 24 bytes \(2 x 3 x 4\), got more"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "more than the file can hold"),
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12, mtime=0), "more than the file can hold"),
        (gzip.compress(GOOD[:-1], mtime=0), r"expected 24 bytes \(2 x 3 x 4\), got 23"),
        (gzip.compress(GOOD + b"!", mtime=0), "got more"),
        (PACKED[: len(PACKED) // 2], "gzip"),
        (PACKED[:-4], "gzip"),
        (PACKED[:5], "gzip"),
        (PACKED[:12] + b"\xff\xff\xff" + PACKED[15:], "gzip"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "gzip"),
        (PACKED + b"junk", "gzip"),
    ],
)
def test_damage_is_told(idx_file, content, says):
    import re

    assert re.search(says, refusal(idx_file(content)))


def test_missing_file_and_folder(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing")
    assert "it is a folder" in refusal(tmp_path)


@given(
    hnp.arrays(
        st.sampled_from(sorted(DTYPES)),
        hnp.array_shapes(max_dims=4, max_side=4),
        elements={"allow_nan": False},
    ),
    st.data(),
)
def test_any_cut_is_noticed(tmp_path_factory, array, data):
    content = idx_bytes(array)
    path = tmp_path_factory.mktemp("idx") / "cut"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refusal(path)
