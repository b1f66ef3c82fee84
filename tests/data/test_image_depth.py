"""Images keep what they have: their depth to the last bit, their size, and what is lost is said."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from autoencode.data import ImageOptions, Origin, load_data, load_examples
from autoencode.data.formats.image_pixels import Entry, alpha, header, opened, pixels
from autoencode.data.formats.images import open_images
from autoencode.data.formats.own_sizes import OwnSizes
from autoencode.errors import DataError, OptionError
from autoencode.jobs.picture_files import encoded, ending_for, file_names
from autoencode.runs.data import read_again
from autoencode.types import DataSpec

RNG = np.random.default_rng(0)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Opens a folder with a cache of its own."""
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))

    def call(path=tmp_path / "set", shape=None, **options):
        store = open_images(path, shape, ImageOptions(**options))
        return store, store.read(0, len(store))

    return call


@pytest.fixture
def put(tmp_path):
    """Writes a file into the folder."""

    def call(name, content):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            Image.fromarray(content).save(path)
        else:
            path.write_bytes(content)
        return path

    return call


def values(dtype, channels, size=(9, 7)):
    low, high = (0, 1) if dtype == "float32" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    made = RNG.uniform(low, high, (*size, channels))
    return made.astype(dtype)


def saved(image, ending, **options):
    buffer = io.BytesIO()
    image.save(buffer, ending, **options)
    return buffer.getvalue()


# Depth


DEPTHS = [
    *((dtype, 1, ".tif") for dtype in ("uint8", "uint16", "int16", "uint32", "int32", "float32")),
    *((dtype, 3, ending) for dtype in ("uint8", "uint16") for ending in (".tif", ".png")),
    ("uint16", 1, ".png"),
    ("uint8", 3, ".webp"),
    ("uint8", 3, ".bmp"),
]


@pytest.mark.parametrize(("dtype", "channels", "ending"), DEPTHS)
def test_what_is_written_is_read_to_the_last_bit_and_stays_in_the_store(
    put, read, dtype, channels, ending
):
    written = [values(dtype, channels) for _ in range(2)]
    for i, one in enumerate(written):
        put(f"{i}{ending}", encoded(one, ending))
    store, x = read()
    assert store.dtype == dtype
    np.testing.assert_array_equal(np.moveaxis(x, 1, -1), np.stack(written))


@pytest.mark.parametrize(
    ("dtype", "ending"), [("uint8", ".png"), ("uint16", ".png"), ("uint16", ".tif")]
)
def test_transparency_beside_colours_is_read_apart(dtype, ending):
    colours, opaque = values(dtype, 3), values(dtype, 1)[:, :, 0]
    entry = Entry("x", lambda: io.BytesIO(encoded(colours, ending, opaque)))
    with opened(entry) as image:
        found = header(image)
        np.testing.assert_array_equal(pixels(entry, image, found), colours)
        np.testing.assert_array_equal(alpha(entry, image, found), opaque)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_pillows_own_files_of_every_compression(put, read, dtype, compression):
    one = values(dtype, 1)[:, :, 0]
    put("x.tif", saved(Image.fromarray(one), "tiff", compression=compression))
    np.testing.assert_array_equal(read()[1][0, 0], one)


def test_big_endian_16_bits(put, read):
    one = values("uint16", 1)[:, :, 0]
    little = encoded(one[:, :, None], ".tif")
    assert little[:2] == b"II"
    big = Image.frombytes("I;16B", (7, 9), one.astype(">u2").tobytes())
    put("x.tif", saved(big, "tiff"))
    store, x = read()
    assert store.dtype == np.uint16
    assert store.dtype.isnative
    np.testing.assert_array_equal(x[0, 0], one)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_every_depth_is_turned_upright_as_8_bits_are(put, read, dtype, orientation):
    one = values(dtype, 1, (6, 4))[:, :, 0]
    note = Image.Exif()
    note[0x0112] = orientation
    put("x.tif", saved(Image.fromarray(one), "tiff", exif=note))
    turned = [
        *(one, one[:, ::-1], one[::-1, ::-1], one[::-1]),
        *(one.T, np.rot90(one, -1), one[::-1, ::-1].T, np.rot90(one)),
    ]
    np.testing.assert_array_equal(read()[1][0, 0], turned[orientation - 1])


def test_among_16_bits_white_of_8_stays_white_and_a_notice_says_so(put, read):
    put("a.png", np.array([[0, 65535], [1, 2]], np.uint16))
    put("b.png", np.array([[0, 255], [1, 2]], np.uint8))
    store, x = read()
    np.testing.assert_array_equal(x[1, 0], [[0, 65535], [257, 514]])
    assert "1 image has 8 bits a pixel and were multiplied by 257" in store.notices[1]
    assert "b.png" in store.notices[1]


def test_beside_fractions_whole_numbers_are_taken_as_they_are(put, read):
    put("a.tif", np.full((2, 2), 0.25, np.float32))
    put("b.png", np.array([[0, 255], [1, 2]], np.uint8))
    store, x = read()
    assert store.dtype == np.float32
    np.testing.assert_array_equal(x[1, 0], [[0, 255], [1, 2]])
    assert "1 image has 8 bits a pixel and are taken as such numbers" in store.notices[1]


@pytest.mark.parametrize("depth", ["uint8", "float32"])
def test_a_depth_can_be_asked_for_and_a_wrong_one_is_refused(put, read, depth):
    put("a.png", np.array([[0, 65535]], np.uint16))
    expected = [[0, 255]] if depth == "uint8" else [[0, 65535]]
    np.testing.assert_array_equal(read(depth=depth)[1][0, 0], expected)
    with pytest.raises(OptionError, match="unknown depth '12'; use uint8, uint16"):
        ImageOptions(depth="12")


def test_folders_are_scaled_as_arrays_of_the_same_numbers_are(put, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))
    x = RNG.integers(1000, 1462, (12, 6, 5)).astype(np.uint16)
    for i, one in enumerate(x):
        put(f"{i:02}.tif", one)
    files, array = load_data(tmp_path / "set"), load_data(x)
    assert files.spec.given_dtype == "uint16"
    assert (files.spec.kind, files.spec.offset, files.spec.scale) == (
        array.spec.kind,
        array.spec.offset,
        array.spec.scale,
    )
    np.testing.assert_array_equal(files.train.x, array.train.x)
    assert len(np.unique(files.train.x)) == len(np.unique(array.train.x)) > 200  # /257, three


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_model_of_8_bits_and_one_of_16_take_files_of_both(put, tmp_path, monkeypatch, dtype):
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))
    put("a.png", np.array([[0, 65535], [257, 514]], np.uint16))
    put("b.png", np.array([[0, 255], [1, 2]], np.uint8))
    scale = float(np.iinfo(dtype).max)
    spec = DataSpec((1, 2, 2), "real", scale=(scale,), given_dtype=dtype)
    if dtype == "uint8":
        spec = DataSpec((1, 2, 2), "unit", scale=(scale,), given_dtype=dtype)
    x = load_examples(tmp_path / "set", spec).x
    np.testing.assert_allclose(x[0] / scale, x[1] / scale)
    own = [one.values for one in OwnSizes(tmp_path / "set", ImageOptions(), spec)]
    np.testing.assert_allclose(own[0], own[1], rtol=1e-6)


def test_what_is_dropped_is_said_once_with_the_number(put, read):
    colours = RNG.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    for i in range(3):
        put(f"alpha{i}.png", colours)
    put("cmyk.tif", saved(Image.fromarray(colours, "CMYK"), "tiff"))
    put("profile.png", saved(Image.fromarray(colours[..., :3]), "png", icc_profile=b"a profile"))
    pages = [Image.fromarray(colours[..., i]) for i in range(3)]
    put("pages.tif", saved(pages[0], "tiff", save_all=True, append_images=pages[1:]))
    put("moves.gif", saved(pages[0], "gif", save_all=True, append_images=pages[1:]))
    store, x = read()
    told = "\n".join(store.notices)
    assert x.shape == (7, 3, 8, 8)
    for said in (
        "7 images of 8x8, of three colours, 8 bits a pixel",
        "2 images have several frames or pages, of which the first was taken",
        "3 images have transparency, which was dropped",
        "1 image has a colour profile, which was not applied",
        "1 image has colours in CMYK, which became RGB",
    ):
        assert told.count(said) == 1, told
    assert len(store.notices) == 5


def test_16_bits_of_grey_with_transparency_are_said_to_be_brought_to_8(put, read):
    put("x.png", encoded(values("uint16", 1), ".png", values("uint16", 1)[:, :, 0]))
    assert any("16 bits in a form of which only 8 can be read" in one for one in read()[0].notices)


# Size


def test_one_image_of_another_size_is_brought_to_that_of_the_others(put, read):
    for i in range(5):
        put(f"{i}.png", RNG.integers(0, 256, (10, 6), dtype=np.uint8))
    put("other.png", RNG.integers(0, 256, (40, 30), dtype=np.uint8))
    store, x = read()
    assert x.shape == (6, 1, 10, 6)
    said = (
        "6 images of 2 sizes, 10x6 to 40x30, grey, 8 bits a pixel: 1 of them scaled and cropped to 10x6"
    )
    assert store.notices[0].startswith(said)


def test_what_a_size_loses_is_said_with_the_size_that_keeps_it(put, read):
    for i in range(2):
        put(f"{i}.png", RNG.integers(0, 256, (100, 60), dtype=np.uint8))
    assert read()[1].shape == (2, 1, 100, 60)
    store, _ = read(size=(20, 30))
    assert store.notices[0] == (
        "2 images of 100x60, grey, 8 bits a pixel: scaled and cropped to 20x30, 90 % of the pixels are "
        "lost; --image-size 100x60 keeps them"
    )


def test_patches_are_the_images_at_their_own_resolution(put, read):
    made = {"a.png": (64, 64), "b.png": (100, 70), "c.png": (70, 300)}
    whole = {name: RNG.integers(0, 60_000, size).astype(np.uint16) for name, size in made.items()}
    for name, one in whole.items():
        put(name, one)
    store, x = read(fit="patches")
    assert x.shape[1:] == (1, 64, 64)
    covered = {name: np.zeros(size, bool) for name, size in made.items()}
    for name, (patch,) in zip(store.ids.tolist(), x, strict=True):
        name, _, place = name.partition("@")
        top, left = (int(n) for n in place.split(",")) if place else (0, 0)
        np.testing.assert_array_equal(patch, whole[name][top : top + 64, left : left + 64])
        covered[name][top : top + 64, left : left + 64] = True
    assert all(mask.all() for mask in covered.values())
    assert "patches of 64x64 are cut from them" in store.notices[0]


def test_an_image_smaller_than_a_patch_is_mirrored(put, read):
    for i in range(3):
        put(f"{i}.png", RNG.integers(0, 256, (20, 20 + i), dtype=np.uint8))
    tiny = np.array([[7]], np.uint8)
    put("tiny.png", tiny)
    store, x = read(fit="patches")
    assert x.shape[1:] == (1, 20, 20)
    np.testing.assert_array_equal(x[store.ids.tolist().index("tiny.png@0,0")], np.full((1, 20, 20), 7))


def test_small_images_of_one_size_are_not_cut(put, read):
    for i in range(3):
        put(f"{i}.png", RNG.integers(0, 256, (100, 60), dtype=np.uint8))
    store, x = read(fit="patches")
    assert x.shape == (3, 1, 100, 60)
    assert store.ids.tolist() == ["0.png", "1.png", "2.png"]


def test_of_more_patches_than_there_is_room_for_some_are_taken_evenly(put, read, monkeypatch):
    monkeypatch.setattr("autoencode.data.formats.image_form.MOST", 10)
    for i in range(2):
        put(f"{i}.png", RNG.integers(0, 256, (256, 320), dtype=np.uint8))
    store, x = read(fit="patches")
    assert len(x) == 10
    assert [name[0] for name in store.ids.tolist()] == ["0"] * 5 + ["1"] * 5
    assert "10 of 40 patches" in store.notices[0]


def test_an_image_that_memory_has_no_room_for_is_refused_in_one_line(put, read, monkeypatch):
    put("large.png", saved(Image.new("L", (4000, 4000)), "png"))
    monkeypatch.setattr("autoencode.files.free_memory.available_memory", lambda: 100_000_000)
    with pytest.raises(DataError, match=r"large.png: needs 256.0 MB of memory and 100.0 MB are free"):
        read()


def test_patches_of_one_image_are_all_in_training_or_all_in_the_test_part(put, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))
    for i in range(12):
        put(f"{i}.png", RNG.integers(0, 256, (130, 70 + i), dtype=np.uint8))
    data = load_data(tmp_path / "set", images=ImageOptions(fit="patches"))
    learned, held = ({name.partition("@")[0] for name in part.ids} for part in (data.train, data.test))
    assert (len(learned), len(held)) == (11, 1)
    assert not learned & held


@pytest.mark.parametrize("sizes", [[(10, 6)] * 12, [(10, 6)] * 8 + [(40, 30)] * 4])
def test_a_run_from_before_images_kept_their_depth_finds_its_data(put, tmp_path, monkeypatch, sizes):
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))
    for i, size in enumerate(sizes):
        put(f"{i:02}.png", RNG.integers(0, 60_000, size).astype(np.uint16))
    size = sizes[0] if len(set(sizes)) == 1 else (64, 64)
    before = load_data(tmp_path / "set", images=ImageOptions(size=size, depth="uint8"))
    origin = Origin.from_data(before, tmp_path / "set")
    spec = replace(before.spec, given_dtype="")
    again = read_again(origin, "columns", "other data", spec=spec)
    np.testing.assert_array_equal(again.train.x, before.train.x)


# Names


@pytest.mark.parametrize(
    ("name", "dtype", "transparent", "ending"),
    [
        ("a.png", "uint16", True, ".png"),
        ("a.TIFF", "float32", False, ".TIFF"),
        ("a.png", "float32", False, ".tif"),
        ("a.jpg", "uint8", False, ".png"),
        ("a.bmp", "uint8", False, ".bmp"),
        ("a.bmp", "uint8", True, ".png"),
        ("a.gif", "uint8", False, ".png"),
        ("a", "int32", False, ".tif"),
    ],
)
def test_the_ending_is_the_files_own_where_that_loses_nothing(name, dtype, transparent, ending):
    assert ending_for(name, np.dtype(dtype), transparent) == ending


def test_no_two_images_get_one_name_and_none_leaves_the_folder():
    ids = ["a.png", "a.jpg", "a.jpeg", "b.jpg", "../c.png", "c.png", "x/d.png", "d.png"]
    names = file_names(ids, [".png"] * len(ids))
    assert names[:4] == ["a.png", "a.jpg.png", "a.jpeg.png", "b.png"]
    assert len(set(names)) == len(names)
    assert not any(".." in name for name in names)
