"""Data files of other people: no claim is believed, nothing is waited for, all damage is one line."""

import contextlib
import gzip
import io
import json
import os
import struct
import tarfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from autoencode.data import ImageOptions, load_data
from autoencode.data.formats.arrow_files import read_arrow, read_parquet
from autoencode.data.formats.tables import read_table
from autoencode.errors import DataError, InputError, OptionError
from autoencode.files.free_memory import available_memory
from autoencode.files.regular import open_regular, read_regular

WORDS = pa.table({"c": ["red", "green", "blue"] * 20, "v": list(range(60))})
NESTED = pa.table(
    {
        "d": pa.array(["a", "b", None] * 20).dictionary_encode(),
        "l": pa.array([[1.0, 2.0], [], None] * 20),
        "s": pa.array([{"x": 1, "y": "q"}] * 60),
        "b": pa.array([True, None, False] * 20),
    }
)


def feather(table, **options):
    buffer = io.BytesIO()
    pf.write_feather(table, buffer, **options)
    return buffer.getvalue()


def stream(table, compression=None):
    buffer = io.BytesIO()
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_stream(buffer, table.schema, options=options) as writer:
        writer.write_table(table)
    return buffer.getvalue()


@pytest.fixture
def little(monkeypatch):
    """Allows the process 100 MB more than it has, so that no test takes gigabytes."""

    def allow(n_bytes=100_000_000):
        monkeypatch.delenv("AUTOENCODE_MEMORY", raising=False)
        with open("/proc/self/statm") as file:
            held = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        monkeypatch.setenv("AUTOENCODE_MEMORY", str(held + n_bytes))

    allow()
    return allow


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        load_data(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# The budget


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("1GB", 10**9), ("1.5 gib", 3 << 29), ("500 MB", 5 * 10**8), ("2e9", None)]
)
def test_the_budget_is_what_the_variable_says(monkeypatch, text, n_bytes):
    monkeypatch.setattr("autoencode.files.free_memory._held", lambda: 1000)
    monkeypatch.setattr("autoencode.files.free_memory._of_the_machine", lambda: 10**12)
    monkeypatch.setenv("AUTOENCODE_MEMORY", text)
    if n_bytes is None:
        with pytest.raises(OptionError, match="AUTOENCODE_MEMORY is '2e9'"):
            available_memory()
    else:
        assert available_memory() == n_bytes - 1000
        monkeypatch.setattr("autoencode.files.free_memory._of_the_machine", lambda: 7)
        assert available_memory() == 7
    monkeypatch.delenv("AUTOENCODE_MEMORY")
    monkeypatch.setattr("autoencode.files.free_memory._of_the_machine", lambda: 1000)
    assert available_memory() == 800


# Arrow: buffers that lie


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
@pytest.mark.parametrize("table", [WORDS, NESTED], ids=["words", "nested"])
def test_files_and_streams_come_back_as_they_were(tmp_path, compression, table):
    path = tmp_path / "x.feather"
    path.write_bytes(feather(table, compression=compression))
    assert read_arrow(path).equals(table)
    path.write_bytes(stream(table, None if compression == "uncompressed" else compression))
    assert read_arrow(path).equals(table)
    pq.write_table(table, path, compression="none" if compression == "uncompressed" else compression)
    assert read_parquet(path).equals(table)
    assert read_parquet(path).schema.equals(table.schema)


@pytest.mark.parametrize("ending", [".feather", ".arrow"])
@pytest.mark.parametrize("offset", [2**30, -5, 2**31 - 1, 1])
@pytest.mark.parametrize("make", [lambda t: feather(t, compression="uncompressed"), stream])
def test_text_offsets_beyond_the_buffer_are_refused(tmp_path, ending, offset, make):
    content = bytearray(make(WORDS))
    at = bytes(content).find(np.array([0, 3, 8, 12], "<i4").tobytes())
    content[at + 8 : at + 12] = struct.pack("<i", offset)
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    assert f"x{ending}: not an intact file" in refused(path)


def test_text_that_is_no_utf_8_is_refused(tmp_path):
    content = bytearray(feather(WORDS, compression="uncompressed"))
    content[bytes(content).find(b"redgreen")] = 0xFF
    path = tmp_path / "x.feather"
    path.write_bytes(content)
    assert "x.feather" in refused(path)
    assert "UTF" in refused(path)


@pytest.mark.parametrize("claim", [-7, 2**40, 2**62, 5])
def test_a_packed_buffer_that_lies_about_its_size_is_refused(tmp_path, claim, little):
    content = bytearray(feather(pa.table({"v": np.zeros(5000)}), compression="lz4"))
    at = bytes(content).find(struct.pack("<q", 40_000))
    content[at : at + 8] = struct.pack("<q", claim)
    path = tmp_path / "x.feather"
    path.write_bytes(content)
    message = refused(path)
    assert "x.feather" in message
    assert ("needs" in message) == (claim > 10**9)


def test_a_feather_file_of_the_old_kind_is_refused(tmp_path):
    (tmp_path / "x.feather").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    assert "version 1; write it" in refused(tmp_path / "x.feather")


@pytest.mark.parametrize("seed", range(40))
def test_altered_columns_are_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    kinds = {
        "x.feather": feather(NESTED, compression="uncompressed"),
        "y.feather": feather(WORDS, compression="lz4"),
        "x.arrow": stream(WORDS),
    }
    buffer = io.BytesIO()
    pq.write_table(NESTED, buffer)
    kinds["x.parquet"] = buffer.getvalue()
    for name, good in kinds.items():
        content = np.frombuffer(good, np.uint8).copy()
        for at in rng.integers(0, len(content), rng.integers(1, 6)):
            content[at] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(content.tobytes())
        with contextlib.suppress(DataError):  # anything else is a defect
            read_table(tmp_path / name).to_pydict()


# Small files that claim much


def bomb_npz(path):
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 30)}
    )
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as file,
    ):
        file.write(header.getvalue())
        for _ in range(240):
            file.write(bytes(10**6))


def bomb_parquet(path):
    columns = {name: pa.array(np.zeros(3_000_000)) for name in "ab"}
    pq.write_table(pa.table(columns), path, compression="zstd")


def bomb_repeated(path):
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(10_000, np.int32)), pa.array(["x" * 10**6])
    )
    table = pa.table({"c": words, "v": np.arange(10_000)})
    if path.suffix == ".feather":
        pf.write_feather(table, path)
    else:
        pq.write_table(table, path, compression="zstd")


def bomb_feather(path):
    pf.write_feather(pa.table({"v": np.zeros(30_000_000)}), path, compression="zstd")


def bomb_rows(path):
    pf.write_feather(pa.table({"n": pa.nulls(10**9)}), path)


def bomb_tar(path):
    with gzip.open(path, "wb") as file:
        member = tarfile.TarInfo("a.png")
        member.size = 3 * 10**9
        file.write(member.tobuf())
        file.write(bytes(10**6))


def bomb_sparse(path):
    member = tarfile.TarInfo("a.png")
    member.pax_headers = {"GNU.sparse.size": "3000000000", "GNU.sparse.map": "0,0,3000000000,0"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO())


def bomb_header(path):
    member = tarfile.TarInfo("a.png")
    member.type, member.size = tarfile.XHDTYPE, 3 * 10**9
    with gzip.open(path, "wb") as file:
        file.write(member.tobuf() + bytes(10**6))


def bomb_csv(path):
    path.write_bytes(b",".join([b"a"] * 500_000) + b"\n" + b",".join([b"1"] * 500_000) + b"\n")


def holes(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


def bomb_png(path):
    path.mkdir()
    pixels = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    body = chunk(b"IHDR", pixels) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    (path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)


BOMBS = {
    "x.npz": bomb_npz,
    "x.parquet": bomb_parquet,
    "repeated.parquet": bomb_repeated,
    "repeated.feather": bomb_repeated,
    "x.feather": bomb_feather,
    "rows.feather": bomb_rows,
    "x.tar": bomb_tar,
    "sparse.tar": bomb_sparse,
    "header.tar": bomb_header,
    "x.csv": bomb_csv,
    **{f"holes.{ending}": holes for ending in ("csv", "feather", "tar")},
    "images": bomb_png,
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_claims_more_than_there_is_memory_for_is_refused_unread(tmp_path, name, little):
    path = tmp_path / name
    BOMBS[name](path)
    little()
    message = refused(path)
    assert name.partition(".")[0] in message


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("shape", [[2**40, 16], [2**62, 2**62], [10**6, 16], [-1, 4]])
@pytest.mark.parametrize("stream", [None, True])
def test_a_zarr_array_that_is_not_there_is_refused(tmp_path, shape, stored, stream):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "x.zarr"
    array = zarr.create_array(path, shape=(100, 16), chunks=(10, 16), dtype="f4")
    if stored:
        array[:10] = 1.0
    facts = json.loads((path / "zarr.json").read_text())
    facts["shape"] = shape
    (path / "zarr.json").write_text(json.dumps(facts))
    assert "x.zarr" in refused(path, stream=stream)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_pipe_in_a_zarr_array_is_not_waited_for(tmp_path):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=(20, 2), chunks=(10, 2), dtype="f4")[:] = 1.0
    (path / "c/0/0").unlink()
    os.mkfifo(path / "c/0/0")
    assert "neither a file nor a folder" in refused(path)


def test_a_large_image_can_be_left_out(tmp_path):
    bomb_png(tmp_path / "set")
    for i in range(3):
        Image.fromarray(np.full((8, 8), 80 * i, np.uint8)).save(tmp_path / f"set/{i}.png")
    data = load_data(tmp_path / "set", images=ImageOptions(on_bad_file="skip"))
    assert len(data.train) == 3


# What is no file


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "tsv", "parquet", "feather", "arrow", "tar"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("stream", [None, True])
def test_pipes_and_devices_are_refused_at_once(tmp_path, ending, kind, stream):
    path = tmp_path / f"x.{ending}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    message = refused(path, stream=stream)
    assert f"it is a {kind}" in message or "cannot be streamed" in message


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("x")
    assert read_regular(tmp_path / "link") == b"abc"
    for path in (tmp_path, tmp_path / "none", "/dev/null", "a\0b"):
        with pytest.raises(OSError):  # noqa: PT011  of several kinds
            open_regular(path)


# Damage that surfaces as anything


def tar_of(path, *members, pack=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, headers in members:
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(content), headers
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(buffer.getvalue() if pack is None else pack(buffer.getvalue()))


def png(grey):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), grey, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def wrong_crc(content):
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1
    return bytes(packed)


@pytest.mark.parametrize(
    ("headers", "pack"),
    [
        ({}, wrong_crc),
        ({}, lambda content: gzip.compress(content)[:-30]),
        ({"GNU.sparse.size": "x", "GNU.sparse.map": "0,1"}, None),
        ({"GNU.sparse.size": "9" * 50, "GNU.sparse.map": "0,1"}, None),
        ({"GNU.sparse.map": "a,b"}, None),
        ({"size": "x"}, None),
        ({"path": "a\0b.png"}, None),
        ({"path": "a" * 5000 + ".png"}, None),
        ({}, lambda content: b"\xfd7zXZ\0" + content),
    ],
)
def test_shards_damaged_in_any_way_are_refused(tmp_path, headers, pack):
    tar_of(tmp_path / "x.tar", ("a.png", png(0), headers), ("b.png", png(99), {}), pack=pack)
    assert "x.tar" in refused(tmp_path / "x.tar")


@pytest.mark.parametrize("pack", [None, gzip.compress])
def test_whole_shards_are_read(tmp_path, pack):
    tar_of(tmp_path / "x.tar", ("a.png", png(0), {}), ("b.png", png(99), {}), pack=pack)
    assert len(load_data(tmp_path / "x.tar").train) == 2


def test_a_field_beyond_measure_is_refused_by_its_line(tmp_path):
    (tmp_path / "h.csv").write_text("a" * 200_000 + ",b\n1,2\n")
    assert "h.csv, line 1: field larger" in refused(tmp_path / "h.csv")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", 3),
        ('a,b,c\n"1\n1",2,3\n\n4,5,6,7\n', 5),
        ("1;2\n3;4;5\n", 2),
    ],
)
def test_a_row_of_another_length_is_named_by_its_line(tmp_path, text, line):
    (tmp_path / "x.csv").write_text(text)
    assert f"x.csv, line {line}: " in refused(tmp_path / "x.csv")


# Nothing to learn


@pytest.mark.parametrize("value", [1, 2**62, 0.5, True])
@pytest.mark.parametrize("stream", [False, True])
def test_values_that_are_all_the_same_are_refused(tmp_path, value, stream):
    np.save(tmp_path / "x.npy", np.full((40, 4), value))
    assert f"all values are {float(value):g}" in refused(tmp_path / "x.npy", stream=stream)


def test_examples_that_are_all_the_same_are_refused_and_a_constant_column_is_not(tmp_path):
    same = np.tile([1.0, 2.0], (40, 1))
    assert "all examples are the same" in refused(same)
    same[-1, 0] = 3.0
    assert load_data(same).spec.shape == (2,)


# Nothing is written where it is read


def test_decoded_images_lie_in_the_cache(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    for i in range(3):
        (tmp_path / f"set/{i}.png").write_bytes(png(80 * i))
    for variable in ("AUTOENCODE_DATA", "AUTOENCODE_CACHE"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    before = {path for path in tmp_path.rglob("*") if "CACHE" not in str(path)}
    load_data(tmp_path / "set")
    load_data(tmp_path / "set", data_dir=tmp_path / "AUTOENCODE_DATA")
    assert {path for path in tmp_path.rglob("*") if "CACHE" not in str(path)} == before
    assert len(list((tmp_path / "AUTOENCODE_CACHE/decoded").iterdir())) == 1
