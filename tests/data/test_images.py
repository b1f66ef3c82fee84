"""Folders of images as people have them: every mode, any size, and files that are no images."""

import io
import os
import zlib

import numpy as np
import pytest
from PIL import Image

from autoencode.data import ImageOptions, load_data, load_examples
from autoencode.data.formats import images
from autoencode.data.formats.folders import image_files
from autoencode.data.formats.images import open_images
from autoencode.errors import DataError, InputError, OptionError
from autoencode.types import DataSpec

pytest_plugins = ["cli_runs"]

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 8, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (40, 8, 6, 3), dtype=np.uint8)
SKIP = ImageOptions(on_bad_file="skip")


@pytest.fixture
def folder(tmp_path):
    """A folder with 20 intact grey images, 10 in each of two subfolders."""
    for i in range(20):
        write(tmp_path / f"set/{'ab'[i // 10]}/{i:02}.png", GREY[i])
    return tmp_path / "set"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Opens a folder with a cache of its own."""
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))

    def call(path, options=None, shape=None):
        store = open_images(path, shape, options or ImageOptions())
        return store, store.read(0, len(store))

    return call


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def claiming(width, height):
    """A PNG whose header claims another size than it has."""
    content = bytearray(png(GREY[0]))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


def jpeg(cut=None):
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8)).save(buffer, "jpeg")
    return buffer.getvalue()[:cut]


def portable():
    buffer = io.BytesIO()
    Image.fromarray(GREY[0]).save(buffer, "ppm")
    return buffer.getvalue()


BAD = {
    "text.png": b"this is no image",
    "empty.png": b"",
    "cut.jpg": jpeg(900),
    "bomb.png": claiming(60_000, 60_000),
    "cut.png": png(RNG.integers(0, 256, (60, 60), dtype=np.uint8))[:1500],
    "portable.png": portable(),
}


# Modes


# PNG knows no CMYK, JPEG neither transparency nor palettes.
ABSENT = {("CMYK", "png"), ("LA", "jpg"), ("P", "jpg"), ("RGBA", "jpg")}


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        (mode, ending)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")
        for ending in ("png", "jpg", "webp", "tif")
        if (mode, ending) not in ABSENT
    ],
)
def test_every_mode_that_a_format_has_gives_pillows_own_rgb(tmp_path, read, mode, ending):
    source = Image.fromarray(COLOUR[0]).convert("RGB" if mode == "LA" else mode).convert(mode)
    path = tmp_path / f"set/x.{ending}"
    path.parent.mkdir()
    lossless = {"lossless": True} if ending == "webp" else {}
    source.save(path, **lossless)
    write(tmp_path / "set/y.png", COLOUR[1])  # so that all become RGB
    with Image.open(path) as image:
        expected = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    np.testing.assert_array_equal(read(tmp_path / "set")[1][0], expected)


def test_16_bits_become_8_where_that_is_asked_for(tmp_path, read):
    values = np.array([[0, 257], [65535, 128 * 257]], np.uint16)
    for i in range(2):
        write(tmp_path / f"set/{i}.png", values)
    store, x = read(tmp_path / "set", ImageOptions(depth="uint8"))
    np.testing.assert_array_equal(x[0, 0], [[0, 1], [255, 128]])
    assert "2 images have 16 bits a pixel and were brought to 8, divided by 257" in store.notices[1]


def test_of_an_animation_the_first_frame_is_taken_and_a_notice_says_so(tmp_path, read):
    frames = [Image.fromarray(one) for one in COLOUR[:3]]
    (tmp_path / "set").mkdir()
    frames[0].save(tmp_path / "set/a.webp", save_all=True, append_images=frames[1:], lossless=True)
    write(tmp_path / "set/b.png", COLOUR[5])
    store, x = read(tmp_path / "set")
    np.testing.assert_array_equal(x[0], np.moveaxis(COLOUR[0], -1, 0))
    assert "1 image has several frames or pages, of which the first was taken" in store.notices[1]
    assert "a.webp" in store.notices[1]


# Sizes


def test_a_size_is_reached_by_cropping_or_by_stretching(tmp_path, read):
    """Of a wide image with a white left half, a crop keeps the middle and a resize everything."""
    wide = np.zeros((16, 64), np.uint8)
    wide[:, :32] = 255
    for i in range(2):
        write(tmp_path / f"set/{i}.png", wide)
    size = (16, 16)
    _, cropped = read(tmp_path / "set", ImageOptions(size, "crop"))
    _, resized = read(tmp_path / "set", ImageOptions(size, "resize"))
    assert cropped.shape == resized.shape == (2, 1, 16, 16)
    np.testing.assert_array_equal(cropped[0, 0], wide[:, 24:40])
    expected = np.asarray(Image.fromarray(wide).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resized[0, 0], expected)


def test_mixed_sizes_can_be_given_one(tmp_path, read):
    for i, size in enumerate([(8, 6), (20, 30), (5, 5)]):
        write(tmp_path / f"set/{i}.png", np.full(size, 40 * i, np.uint8))
    _, x = read(tmp_path / "set", ImageOptions((10, 12)))
    assert x.shape == (3, 1, 10, 12)
    assert [int(one.max()) for one in x] == [0, 40, 80]


def test_images_too_large_for_a_network_ask_for_a_size(tmp_path, read):
    for i in range(2):
        write(tmp_path / f"set/{i}.png", np.zeros((3000, 2000), np.uint8))
    with pytest.raises(DataError, match=r"images of 3000 x 2000 pixels.*--image-size"):
        read(tmp_path / "set")
    assert read(tmp_path / "set", ImageOptions((30, 20)))[1].shape == (2, 1, 30, 20)


@pytest.mark.parametrize(
    "wrong", [{"size": (0, 5)}, {"size": (9000, 9000)}, {"fit": "pad"}, {"on_bad_file": "ignore"}]
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(OptionError):
        ImageOptions(**wrong)


# Bad files


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_refused_by_name_or_skipped_by_choice(folder, read, name):
    (folder / "a" / name).write_bytes(BAD[name])
    with pytest.raises(InputError) as caught:
        read(folder)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    store, x = read(folder, SKIP)
    assert len(x) == 20
    assert store.ids.tolist()[0] == "a/00.png"
    assert not any(name in one for one in store.ids)
    assert "1 image was not intact and left out" in store.notices[0]
    assert name in store.notices[0]
    again, _ = read(folder, SKIP)  # from the cache
    assert again.notices == store.notices


def test_the_first_of_many_bad_files_are_named_and_all_are_counted(folder, read):
    for i in range(7):
        (folder / f"bad{i}.png").write_bytes(b"nonsense")
    store, x = read(folder, SKIP)
    assert len(x) == 20
    assert store.notices[0].startswith("7 images were not intact and left out: ")
    assert (
        "bad2.png, ... (the first: not an intact image (none of PNG, JPEG, WEBP, TIFF, GIF, BMP))"
        in store.notices[0]
    )


def test_a_folder_with_nothing_but_bad_files_is_refused(tmp_path, read):
    (tmp_path / "set").mkdir()
    for i in range(3):
        (tmp_path / f"set/{i}.png").write_bytes(jpeg(700))  # the header is whole
    with pytest.raises(DataError, match="none of 3 images is intact"):
        read(tmp_path / "set", SKIP)


def test_links_that_lead_round_and_links_to_nothing(folder, read):
    (folder / "a/round").symlink_to(folder)
    (folder / "c").symlink_to(folder / "a")
    assert len(image_files(folder)) == 20  # each folder once
    (folder / "a/self.png").symlink_to(folder / "a/self.png")
    (folder / "b/gone.png").symlink_to(folder / "nowhere")
    with pytest.raises(DataError, match=r"gone.png|self.png"):
        read(folder)
    store, x = read(folder, SKIP)
    assert len(x) == 20
    assert "2 images were not intact" in store.notices[0]


def test_what_is_no_file_does_not_keep_the_reader_waiting(folder, read):
    os.mkfifo(folder / "a/pipe.png")
    (folder / "a/folder.png").mkdir()
    write(folder / ".hidden/x.png", GREY[0])
    with pytest.raises(DataError, match=r"pipe.png.*is a pipe, not a file"):
        read(folder)
    (folder / "a/pipe.png").unlink()
    assert len(read(folder)[1]) == 20


def test_a_file_that_may_not_be_read_is_named(folder, read, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(images, "_file", refuse)
    with pytest.raises(DataError, match=r"00.png: .*Permission denied"):
        read(folder)


# A trained model


def test_colour_given_to_a_model_of_grey_images_is_refused(tmp_path, read):
    write(tmp_path / "new/x.png", COLOUR[0])
    with pytest.raises(DataError, match=r"x.png: a colour image, the model was trained on grey"):
        load_examples(tmp_path / "new", DataSpec((1, 8, 6), scale=(255.0,)), data_dir=tmp_path / "c")
    write(tmp_path / "new/x.png", np.repeat(GREY[0][..., None], 3, 2))  # grey, stored as colours
    found = load_examples(
        tmp_path / "new", DataSpec((1, 8, 6), scale=(255.0,)), data_dir=tmp_path / "c"
    )
    np.testing.assert_array_equal(found.x[0, 0], GREY[0])


def test_grey_given_to_a_model_of_colours_and_other_channels(tmp_path):
    write(tmp_path / "new/x.png", GREY[0])
    cache = tmp_path / "c"
    found = load_examples(tmp_path / "new", DataSpec((3, 8, 6), scale=(255.0,)), data_dir=cache)
    np.testing.assert_array_equal(found.x[0], np.stack([GREY[0]] * 3))
    with pytest.raises(DataError, match="1 or 3 channels, and the model takes 4"):
        load_examples(tmp_path / "new", DataSpec((4, 8, 6), scale=(255.0,)), data_dir=cache)


def test_the_names_of_the_files_stay_with_the_examples(folder, tmp_path):
    data = load_data(folder, data_dir=tmp_path / "cache")
    assert data.name == "set"
    every = {**dict(zip(data.train.ids, data.train.x, strict=True))}
    every |= dict(zip(data.test.ids, data.test.x, strict=True))
    assert len(every) == 20
    np.testing.assert_array_equal(every["b/13.png"][0], GREY[13])


# The command line


TRAIN = ("--recipe", "mlp", "--set", "hidden=8", "--epochs", "1", "--quiet", "--device", "cpu")


def csv(path):
    return [line.split(",") for line in path.read_text().splitlines()]


def test_a_folder_through_train_embed_and_reconstruct(cli, folder, tmp_path):
    (folder / "a/bad.png").write_bytes(b"nonsense")
    place = ("--data-dir", tmp_path / "cache")
    refused = cli("train", folder, *TRAIN, *place, "--out", "run")
    assert refused.code == 2
    assert "bad.png: not an intact image (none of PNG" in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
    options = (*TRAIN[:-3], "--device", "cpu", "--on-bad-file", "skip", "--image-size", "12x10")
    trained = cli("train", folder, *options, "--fit", "resize", *place, "--out", "run")
    assert trained.code == 0
    assert "note: 1 image was not intact and left out" in trained.err
    assert cli("evaluate", "run", "--json", *place).json["n"] == 2
    found = cli("embed", "run", folder, "-o", "codes.csv", *place)
    assert "1 image was not intact" in found.err  # skipped as in training
    rows = csv(tmp_path / "codes.csv")
    assert rows[0][0].strip('"') == "file"
    assert [row[0].strip('"') for row in rows[1:]] == [f"{'ab'[i // 10]}/{i:02}.png" for i in range(20)]
    again = cli("embed", "run", folder, "--on-bad-file", "refuse", "-o", "codes.npy", *place)
    assert again.code == 2
    assert "bad.png" in again.err
    assert cli("reconstruct", "run", folder, "-o", "back.csv", *place).code == 0
    rows = csv(tmp_path / "back.csv")
    assert (len(rows), len(rows[0])) == (21, 121)
    assert rows[1][0].strip('"') == "a/00.png"


def test_a_run_on_resized_images_is_read_again_as_it_was(cli, folder, tmp_path):
    place = ("--data-dir", tmp_path / "cache")
    options = ("--image-size", "5", "--fit", "resize")
    assert cli("train", folder, *TRAIN, *options, *place, "--out", "run").code == 0
    measured = cli("evaluate", "run", "--json", *place)
    assert measured.code == 0
    assert measured.json["n"] == 2
    assert cli("embed", "run", "-o", "codes.csv", *place).code == 0
    assert len(csv(tmp_path / "codes.csv")) == 3


@pytest.mark.parametrize("given", ["0", "5x", "x", "4x4x4", "huge", "-3", "9999999"])
def test_an_image_size_that_is_none_is_refused(cli, folder, given):
    refused = cli("train", folder, *TRAIN, f"--image-size={given}")
    assert refused.code == 2
    assert "size" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_folder_and_one_image_are_refused(cli, tmp_path, n):
    (tmp_path / "few").mkdir()
    for i in range(n):
        write(tmp_path / f"few/{i}.png", GREY[i])
    refused = cli("train", tmp_path / "few", *TRAIN, "--data-dir", tmp_path / "cache")
    assert refused.code == 2
    assert ("no images in it" if n == 0 else "at least 2 examples") in refused.err
