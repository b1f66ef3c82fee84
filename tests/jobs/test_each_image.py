"""Images of a folder through a model one by one: names, sizes, depths and colours come back."""

import numpy as np
import pytest
from PIL import Image

from autoencode import DataSpec, build
from autoencode.jobs.picture_files import encoded
from autoencode.trained import Trained, save_model

pytest_plugins = ["cli_runs"]

RNG = np.random.default_rng(0)
SIZES = {"a.png": (30, 41), "b.tif": (64, 20), "sub/c.png": (21, 21), "tiny.png": (1, 1)}


def level(size, dtype):
    """A smooth image, which hardly any filter changes."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (20_000 + 150 * rows + 50 * columns).astype(dtype)


GREY = level((30, 30), np.uint16)


@pytest.fixture
def put(tmp_path):
    def call(folder, images):
        for name, values in images.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(values, path.suffix))
        return tmp_path / folder

    return call


@pytest.fixture
def run(tmp_path):
    """A run of a model that gives back nearly what it is given, as conv_skip does untrained."""

    def call(name="conv_skip", channels=1, dtype="uint16", **info):
        top = float(np.iinfo(dtype).max)
        real = {"kind": "real", "offset": (top / 2,), "scale": (top / 4,)}
        scaled = {"kind": "unit", "scale": (255.0,)} if dtype == "uint8" else real
        spec = DataSpec((channels, 24, 20), given_dtype=dtype, **scaled)
        folder = tmp_path / f"run-{name}-{channels}-{dtype}"
        folder.mkdir()
        save_model(Trained(build(name, spec, normalization="none"), {"seed": 0, **info}), folder)
        return folder

    return call


def stored(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


@pytest.mark.parametrize("command", ["denoise", "reconstruct"])
def test_images_of_16_bits_and_of_every_size_come_back_as_they_went(cli, put, run, tmp_path, command):
    folder = put("in", {name: level(size, np.uint16)[:, :, None] for name, size in SIZES.items()})
    given = (folder, "--run", run()) if command == "denoise" else (run(), folder)
    result = cli(command, *given, "-o", tmp_path / "out")
    assert result.code == 0, result
    assert "4 examples" in result.out
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert found == set(SIZES)
    for name, size in SIZES.items():
        mode, values = stored(tmp_path / "out" / name)
        assert (mode, values.dtype, values.shape) == ("I;16", np.uint16, size)
        assert np.abs(values - level(size, float)).max() < 1500
        assert len(np.unique(values)) > 0.5 * len(np.unique(level(size, np.uint16)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_each_image_has_its_own_depth_and_colours_whatever_the_model_learned_from(
    cli, put, run, tmp_path, dtype
):
    grey8, grey16 = level((30, 30), np.uint16) // 257, level((26, 31), np.uint16)
    images = {
        "grey8.png": grey8.astype(np.uint8)[:, :, None],
        "grey16.png": grey16[:, :, None],
        "colours8.png": np.stack([grey8, grey8 // 2, grey8], -1).astype(np.uint8),
        "colours16.tif": np.stack([level((40, 12), np.uint16)] * 3, -1),
    }
    folder = put("in", images)
    alpha = RNG.integers(0, 256, (30, 30), dtype=np.uint8)
    (folder / "glass.png").write_bytes(encoded(images["colours8.png"], ".png", alpha))
    result = cli("denoise", folder, "--run", run(channels=3, dtype=dtype), "-o", tmp_path / "out")
    assert result.code == 0, result
    assert "transparency" not in result.err
    for name in images:
        content = (tmp_path / "out" / name).read_bytes()
        assert content[:4] == (folder / name).read_bytes()[:4]
        mode, values = stored(tmp_path / "out" / name)
        assert mode == stored(folder / name)[0]
        if name != "colours16.tif":  # of which Pillow shows 8 bits
            near = 0.03 * np.iinfo(values.dtype).max
            np.testing.assert_allclose(values, images[name].squeeze(), atol=near)
    mode, values = stored(tmp_path / "out/glass.png")
    assert mode == "RGBA"
    np.testing.assert_array_equal(values[..., 3], alpha)


def test_a_size_that_somebody_gave_stays_the_scale_of_the_model(cli, put, run, tmp_path):
    folder = put("in", {"a.png": level((48, 40), np.uint16)[:, :, None]})
    sized = run(data={"images": {"size": [24, 20]}})
    assert cli("denoise", folder, "--run", sized, "-o", tmp_path / "out").code == 0
    assert stored(tmp_path / "out/a.png")[1].shape == (24, 20)


def test_a_model_of_one_size_gives_images_of_that_size_in_their_depth(cli, put, run, tmp_path):
    folder = put("in", {"a.tif": level((24, 20), np.uint16)[:, :, None]})
    result = cli("reconstruct", run("conv"), folder, "-o", tmp_path / "out")
    assert result.code == 0, result
    mode, values = stored(tmp_path / "out/a.tif")
    assert (mode, values.shape, values.dtype) == ("I;16", (24, 20), np.uint16)


def test_images_of_one_size_may_go_into_one_file_and_others_may_not(cli, put, run, tmp_path):
    alike = put("alike", {f"{i}.png": level((30, 41), np.uint16)[:, :, None] for i in range(2)})
    model = run()
    assert cli("denoise", alike, "--run", model, "-o", tmp_path / "x.npy").code == 0
    assert np.load(tmp_path / "x.npy").shape == (2, 1, 30, 41)
    folder = put("in", {name: level(size, np.uint16)[:, :, None] for name, size in SIZES.items()})
    refused = cli("denoise", folder, "--run", model, "-o", tmp_path / "y.npy")
    assert refused.code == 2
    assert "of 4 sizes, 1x1 to 64x41 and cannot lie in one .npy file" in refused.err
    assert len(refused.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("zero.png", b"", "not an intact image"),
        (
            "torn.tif",
            encoded(level((30, 30), np.uint16)[:, :, None], ".tif")[:300],
            "not an intact image",
        ),
        ("colour.png", None, "a colour image, the model was trained on grey ones"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_or_left_out(cli, put, run, tmp_path, name, content, said):
    folder = put("in", {"a.png": level((30, 41), np.uint16)[:, :, None]})
    if content is None:
        content = encoded(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8), ".png")
    (folder / name).write_bytes(content)
    model = run()
    refused = cli("denoise", folder, "--run", model, "-o", tmp_path / "out")
    assert (refused.code, len(refused.err.strip().splitlines())) == (2, 1)
    assert f"{name}: " in refused.err
    assert said in refused.err
    assert not (tmp_path / "out").exists()
    skipped = cli("denoise", folder, "--run", model, "-o", tmp_path / "out", "--on-bad-file", "skip")
    assert skipped.code == 0, skipped
    assert "1 image was not intact and left out" in skipped.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_an_image_too_large_for_the_memory_is_one_line(cli, put, run, tmp_path, monkeypatch):
    folder = put("in", {"a.png": level((30, 41), np.uint16)[:, :, None]})
    Image.new("L", (5000, 5000)).save(folder / "large.png")
    model = run()
    monkeypatch.setattr("autoencode.files.free_memory.available_memory", lambda: 200_000_000)
    refused = cli("denoise", folder, "--run", model, "-o", tmp_path / "out")
    assert (refused.code, len(refused.err.strip().splitlines())) == (2, 1)
    assert "large.png: needs 400.0 MB of memory and 200.0 MB are free" in refused.err


def test_from_clean_images_of_every_size_to_noisy_ones(cli, put, tmp_path, hurried):
    """Patches to learn from, and whole images come back."""
    hurried(4)
    sizes = [(70, 90), (64, 80), (100, 66)]
    clean = put("clean", {f"{i}.png": level(s, np.uint16)[:, :, None] for i, s in enumerate(sizes)})
    noisy = put("in", {name: level(size, np.uint16)[:, :, None] for name, size in SIZES.items()})
    save = ("--save", tmp_path / "kept", "--quiet")
    result = cli("denoise", noisy, "--clean", clean, *save, "-o", tmp_path / "out")
    assert result.code == 0, result
    assert (
        "3 images of 3 sizes, 64x66 to 100x90, grey, 16 bits a pixel: 10 patches of 64x64" in result.err
    )
    for name, size in SIZES.items():
        assert stored(tmp_path / "out" / name)[1].shape == size
    again = cli("denoise", noisy, "--run", tmp_path / "kept", "-o", tmp_path / "again")
    assert again.code == 0, again
    for name in SIZES:
        kept = (tmp_path / "again" / name).read_bytes()
        assert kept == (tmp_path / "out" / name).read_bytes()


def test_train_on_a_folder_says_size_and_depth_and_samples_have_them(cli, put, tmp_path, hurried):
    hurried(3)
    images = {f"{i:02}.tif": RNG.integers(900, 1300, (12, 10, 1)).astype(np.uint16) for i in range(12)}
    folder = put("in", images)
    out = ("--out", tmp_path / "run")
    trained = cli("train", folder, "--recipe", "conv_vae", "--epochs", 1, *out)
    assert trained.code == 0, trained
    assert "12 images of 12x10, grey, 16 bits a pixel" in trained.err
    assert cli("sample", tmp_path / "run", "-n", 2, "-o", tmp_path / "new").code == 0
    mode, values = stored(tmp_path / "new/0.png")
    assert (mode, values.dtype) == ("I;16", np.uint16)
    assert 900 < values.mean() < 1300


def test_a_run_on_patches_is_read_again_and_gives_whole_images(cli, put, tmp_path, hurried):
    hurried(3)
    images = {f"{i:02}.png": level((70 + i, 66), np.uint8)[:, :, None] for i in range(12)}
    folder = put("in", images)
    run = tmp_path / "run"
    trained = cli("train", folder, "--recipe", "conv_small", "--epochs", 1, "--out", run)
    assert trained.code == 0, trained
    assert "12 images of 12 sizes, 70x66 to 81x66, grey, 8 bits a pixel: 48 patches" in trained.err
    measured = cli("evaluate", run, "--json")
    assert (measured.code, measured.json["n"]) == (0, 4)
    codes = cli("embed", run, folder, "-o", tmp_path / "codes.csv")
    assert codes.code == 0, codes
    assert "00.png@0,0" in (tmp_path / "codes.csv").read_text()
    assert cli("reconstruct", run, "-o", tmp_path / "own.npy").code == 0
    assert np.load(tmp_path / "own.npy").shape == (4, 1, 64, 64)
    assert cli("reconstruct", run, folder, "-o", tmp_path / "whole").code == 0
    found = {p.name: stored(p)[1].shape for p in (tmp_path / "whole").iterdir()}
    assert found == {name: values.shape[:2] for name, values in images.items()}
