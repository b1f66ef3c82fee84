"""The explorer's page in Chromium, opened from a file with the network off."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from autoencode import explore, load_data, load_trained, train
from autoencode.explorer import explorer as home
from autoencode.explorer.decoding import Decoding
from chromium import Opened, launched

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
ORDER = ("train", "validation", "test")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train("digits", "vae", out=folder, epochs=3, latent_dim=2)
    return folder


@pytest.fixture(scope="module")
def digits(run, tmp_path_factory):
    return explore(run).to_html(tmp_path_factory.mktemp("pages") / "digits.html")


@pytest.fixture(scope="module")
def points(run):
    """The examples of the run in the order of its points, and their codes."""
    trained, data = load_trained(run), load_data("digits")
    parts = [*data.split(trained.recipe.plan.validation, trained.seed), data.test]
    ids = [f"{name} {i}" for name, part in zip(ORDER, parts, strict=True) for i in range(len(part))]
    x = np.concatenate([part.x for part in parts])
    return x, np.concatenate([trained.embed(part) for part in parts]), ids


@pytest.fixture
def opened(chromium, digits):
    page = Opened(chromium, digits)
    yield page
    assert page.faults == []
    assert page.outside == []
    page.close()


def test_points_are_drawn_by_webgl_and_the_decoder_starts(opened):
    assert opened.page.get_attribute("#explorer", "data-painter") == "webgl2"
    assert opened.run("explorer.points.n") == 1797
    opened.wait_for_decoder()
    picture = opened.page.screenshot(clip=opened.page.locator(".map").bounding_box())
    assert len(picture) > 20_000  # an empty map takes a tenth of it


def test_hovering_shows_the_example_that_lies_there(opened, points):
    x, codes, ids = points
    opened.wait_for_decoder()
    shown = 0
    for point in (5, 700, 1500, 1796):
        opened.page.mouse.move(*opened.pixel_of(codes[point]))
        opened.page.wait_for_function(
            "() => { const d = document.querySelector('.inspect').dataset;"
            " return d.point !== '-1' && d.shown === d.point; }"
        )
        found = int(opened.page.get_attribute(".inspect", "data-point"))
        far = np.linalg.norm(codes - codes[point], axis=1)
        assert far[found] <= far.min() + np.ptp(codes) / 500
        pixels = opened.run(
            "() => { const c = document.querySelector('.inspect canvas');"
            " return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data); }"
        )
        grey = np.array(pixels).reshape(8, 8, 4)
        assert (grey[..., 0] == np.rint(x[found, 0] * (255 / 16))).all()
        assert (grey[..., 3] == 255).all()
        assert ids[found] in opened.page.inner_text(".inspect .name")
        shown += 1
    assert shown == 4


def test_each_move_of_the_cursor_is_decoded_as_onnxruntime_does(opened, run):
    onnxruntime = pytest.importorskip("onnxruntime")
    from autoencode.export import onnx_bytes

    opened.wait_for_decoder()
    opened.run(
        """async () => {
          const decoder = await explorer.decoder;
          const inner = decoder.decode.bind(decoder);
          window.seen = [];
          decoder.decode = async (z, label) => {
            const x = await inner(z, label);
            window.seen.push([Array.from(z), x && Array.from(x)]);
            return x;
          };
        }"""
    )
    start = opened.pixel_of(opened.run("explorer.store.state.z"))
    opened.page.mouse.move(*start)
    opened.page.mouse.down()
    opened.run("async () => { await new Promise((r) => setTimeout(r, 200)); window.seen = []; }")
    opened.page.mouse.move(start[0] + 183, start[1] - 122, steps=61)
    opened.page.mouse.up()
    opened.page.wait_for_function("window.seen.length >= 61")
    seen = opened.run("window.seen")
    assert len(seen) == 61
    assert len({tuple(z) for z, _ in seen}) == 61
    session = onnxruntime.InferenceSession(
        onnx_bytes(load_trained(run), "decoder"), providers=["CPUExecutionProvider"]
    )
    z = np.array([z for z, _ in seen], np.float32)
    wanted = session.run(None, {"z": z})[0].reshape(61, -1)
    assert np.abs(np.array([x for _, x in seen]) - wanted).max() / 16 < 1e-5


def draw(page, corners, *keys):
    """Draws a closed line through pixels of the window, with keys held."""
    for key in keys:
        page.page.keyboard.down(key)
    page.page.mouse.move(*corners[0])
    page.page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        page.page.mouse.move(*corner, steps=3)
    page.page.mouse.up()
    for key in keys:
        page.page.keyboard.up(key)


def inside(page, corners, codes):
    """Which codes lie inside of a line of pixels."""
    from matplotlib.path import Path as Line

    return Line([page.place_of(corner) for corner in corners]).contains_points(codes)


def downloaded(page):
    with page.page.expect_download() as caught:
        page.page.get_by_role("button", name="Download CSV").click()
    return list(csv.DictReader(io.StringIO(Path(caught.value.path()).read_text("utf-8"))))


def test_a_lasso_takes_exactly_the_points_inside_and_writes_them(opened, points):
    _, codes, ids = points
    box = opened.page.locator(".map").bounding_box()
    left, top = round(box["x"] + box["width"] / 4), round(box["y"] + box["height"] / 3)
    corners = [(left, top), (left + 190, top + 20), (left + 240, top + 210), (left + 30, top + 180)]
    draw(opened, corners, "Shift")
    held = inside(opened, corners, codes)
    assert 20 < held.sum() < 1700
    rows = downloaded(opened)
    assert [row["id"] for row in rows] == [ids[i] for i in np.flatnonzero(held)]
    assert list(rows[0]) == ["id", "part", "row", "label", "reconstruction error", "z0", "z1"]
    z = np.array([[float(row["z0"]), float(row["z1"])] for row in rows])
    assert np.abs(z - codes[held]).max() < np.ptp(codes) / 60_000

    second = [(left - 20, top - 20), (left + 90, top - 10), (left + 100, top + 90), (left, top + 80)]
    draw(opened, second, "Shift", "Alt")
    without = held & ~inside(opened, second, codes)
    assert int(opened.page.get_attribute(".selection", "data-count")) == without.sum() < held.sum()
    draw(opened, second, "Shift", "Control")
    both = held | inside(opened, second, codes)
    assert int(opened.page.get_attribute(".selection", "data-count")) == both.sum()
    opened.page.keyboard.press("Control+z")
    assert int(opened.page.get_attribute(".selection", "data-count")) == without.sum()
    opened.page.keyboard.press("Control+Shift+Z")
    assert int(opened.page.get_attribute(".selection", "data-count")) == both.sum()


def test_a_link_brings_everything_back(chromium, opened, digits):
    opened.wait_for_decoder()
    box = opened.page.locator(".map").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.page.mouse.move(*middle)
    opened.page.mouse.wheel(0, -300)
    draw(opened, [middle, (middle[0] + 90, middle[1]), (middle[0] + 90, middle[1] + 90)], "Shift")
    opened.page.locator(".group").nth(3).click()
    opened.page.get_by_label("z0, mean").nth(1).fill("0.123456789")
    opened.page.keyboard.press("Enter")
    opened.page.get_by_role("button", name="Pictures").click()
    opened.page.wait_for_timeout(600)
    state = "() => ({ ...explorer.store.state, selection: Array.from(explorer.store.state.selection) })"
    before = opened.run(state)
    assert before["z"][0] == 0.123456789
    assert before["selection"]
    assert before["hidden"] == [3]
    again = Opened(chromium, digits, "#" + opened.page.url.partition("#")[2])
    assert again.run(state) == before
    assert again.faults == []
    again.close()


def test_keys_move_the_cursor_and_are_said(opened):
    opened.wait_for_decoder()
    before = opened.run("explorer.store.state.z")
    opened.page.locator(".map").focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowUp")
    after = opened.run("explorer.store.state.z")
    step = opened.run("explorer.map.view.width") / 100
    assert np.subtract(after, before) == pytest.approx([step, step])
    opened.page.keyboard.press("2")
    assert opened.run("document.activeElement.dataset.dimension") == "1"
    opened.page.keyboard.press("ArrowRight")
    assert opened.run("explorer.store.state.z")[1] > after[1]
    opened.page.locator(".map").focus()
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("7")
    opened.page.keyboard.press("Enter")
    labels = load_data("digits")
    sevens = sum(int((part.labels.astype(str) == "7").sum()) for part in (labels.train, labels.test))
    assert int(opened.page.get_attribute(".selection", "data-count")) == sevens


def test_a_legend_hides_groups_from_sight_and_from_selections(opened, points):
    shown = "() => explorer.map.countShown()"
    assert opened.run(shown) == 1797
    counts = [int(text) for text in opened.page.locator(".group .count").all_inner_texts()]
    assert sum(counts) == 1797
    opened.page.locator(".group").nth(0).click()
    assert opened.run(shown) == 1797 - counts[0]
    opened.page.get_by_role("button", name="Select what is shown").click()
    assert int(opened.page.get_attribute(".selection", "data-count")) == 1797 - counts[0]
    opened.page.get_by_label("colour by").select_option(label="reconstruction error")
    assert opened.run(shown) == 1797
    assert opened.page.locator(".histogram").is_visible()


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1100, 800), (3840, 2160)])
def test_the_page_fits_its_window(chromium, digits, width, height):
    page = Opened(chromium, digits, width=width, height=height)
    assert page.run("document.documentElement.scrollWidth") <= width
    box = page.page.locator(".map").bounding_box()
    assert box["width"] >= 300
    assert box["height"] >= 250
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium, digits, scheme):
    if not AXE.is_file():
        pytest.fail("axe-core is missing; make web-test installs it")
    page = Opened(chromium, digits, scheme=scheme)
    for summary in page.page.locator("summary").all():
        summary.click()
    page.run("explorer.store.set({ selection: Uint32Array.of(1, 2, 3), pinned: 2 })")
    page.page.wait_for_selector(".inspect[data-shown='2']")
    page.run(AXE.read_text("utf-8"))
    found = page.run("async () => (await axe.run()).violations")
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in serious] == []
    page.close()


def test_without_webgl_a_canvas_draws_the_same_points(chromium, digits):
    without = launched(chromium.browser_type, "--disable-3d-apis")
    page = Opened(without, digits)
    assert page.page.get_attribute("#explorer", "data-painter") == "canvas"
    drawn = page.run(
        """() => {
          const canvas = document.querySelectorAll('.map canvas')[1];
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value) => value).length;
        }"""
    )
    assert drawn > 10_000
    assert page.faults == []
    without.close()


def test_a_model_that_cannot_decode_says_why_and_shows_its_reconstructions(
    chromium, run, tmp_path, points, monkeypatch
):
    monkeypatch.setattr(
        home, "decoding_for", lambda trained: Decoding(None, "its <b>noise</b> is its own")
    )
    page = Opened(chromium, explore(run).to_html(tmp_path / "page.html"))
    assert "its <b>noise</b> is its own" in page.page.inner_text(".dials")
    page.page.mouse.move(*page.pixel_of(points[1][40]))
    page.page.wait_for_function("() => document.querySelectorAll('.inspect canvas').length === 3")
    assert page.faults == []
    page.close()


def test_a_path_and_neighbours_lead_from_example_to_example(opened, points):
    _, codes, ids = points
    opened.wait_for_decoder()
    opened.run("explorer.map.look(1500)")
    far = np.linalg.norm(codes - codes[1500], axis=1)
    far[1500] = np.inf
    nearest = opened.page.locator(".neighbours .thumb")
    nearest.first.wait_for()
    wanted = {ids[i] for i in np.argsort(far)[:8]}  # places of 16 bits may change the order of some
    assert {nearest.nth(i).get_attribute("title") for i in range(6)} <= wanted
    opened.page.get_by_role("button", name="From here").click()
    first = np.array(opened.run("explorer.store.state.z"))
    opened.run("explorer.map.look(40)")
    opened.page.get_by_role("button", name="To here").click()
    last = np.array(opened.run("explorer.store.state.z"))
    steps = opened.page.locator(".path .thumb")
    steps.nth(7).wait_for()
    steps.nth(2).click()
    assert opened.run("explorer.store.state.z") == pytest.approx(first + (last - first) * 2 / 7)
