"""The report page: whole, harmless, self-contained."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from autoencode.errors import DataError, StorageError
from autoencode.pictures import plots
from autoencode.pictures.pages import format_number, write_report
from page import Page

METRICS = [
    {"name": "ELBO", "value": -93.18234, "unit": "nats per example", "meaning": "A lower bound."},
    {"name": "FID", "value": None, "unit": "", "meaning": "Too few examples."},
    {"name": "Active units", "value": 14, "unit": "of 16", "meaning": "Those that vary."},
]
HISTORY = [
    {"epoch": 1, "loss": 123.4567, "lr": 1e-3},
    {"epoch": 2, "loss": 99.98765, "lr": 1e-3, "validation_loss": 101.23},
]
CONFIG = {
    "command": "autoencode train vae --data 'my digits' --seed 0",
    "model": {"latent_dim": 16, "encoder": {"widths": [32, 64]}},
    "dropout": None,
    "environment": {"torch": "2.13.0", "hardware": {"gpu": "H200"}},
}


def png_bytes(size=(4, 3)):
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, format="PNG")
    return buffer.getvalue()


def write(tmp_path, **changes):
    """A report of everything above with some of it changed: its source and its parsed page."""
    given = {
        "title": "VAE on digits",
        "config": CONFIG,
        "metrics": METRICS,
        "history": HISTORY,
        "pictures": [],
    } | changes
    path = tmp_path / "report.html"
    write_report(path, **given)
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


def test_every_metric_stands_in_the_table(tmp_path):
    _, page = write(tmp_path)
    assert ["ELBO", "-93.18", "nats per example", "A lower bound."] in page.rows
    assert ["FID", "–", "", "Too few examples."] in page.rows
    assert ["Active units", "14", "of 16", "Those that vary."] in page.rows


def test_every_epoch_stands_in_a_collapsed_table(tmp_path):
    _, page = write(tmp_path, history_unit="mean squared error")
    assert ["epoch", "loss", "lr", "validation loss"] in page.rows
    assert ["1", "123.5", "0.001000", "–"] in page.rows
    assert ["2", "99.99", "0.001000", "101.2"] in page.rows
    (details,) = page.all("details")
    assert "open" not in details
    assert "losses in mean squared error" in page.text


def test_configuration_is_flattened_and_environment_has_its_own_place(tmp_path):
    _, page = write(tmp_path)
    assert ["model.latent_dim", "16"] in page.rows
    assert ["model.encoder.widths", "[32, 64]"] in page.rows
    assert ["dropout", "null"] in page.rows
    assert ["hardware.gpu", "H200"] in page.rows
    assert not [row for row in page.rows if row[0].startswith(("command", "environment"))]
    assert [text for text in page.texts if text in ("Configuration", "Environment")] == [
        "Configuration",
        "Environment",
    ]


def test_the_page_says_how_to_repeat_and_load_the_run(tmp_path):
    _, page = write(tmp_path)
    assert CONFIG["command"] in page.text
    (snippet,) = [text for text in page.texts if "autoencode.load" in text]
    compile(snippet, "snippet", "exec")
    assert tmp_path.as_posix() in snippet


def test_pictures_lie_inside_the_page_in_order(tmp_path):
    (tmp_path / "file.png").write_bytes(png_bytes((5, 2)))
    figure = plots.samples(np.zeros((4, 1, 8, 8)))
    _, page = write(
        tmp_path,
        pictures=[
            {"image": png_bytes((7, 3)), "caption": "first", "alt": "seven by three"},
            {"image": tmp_path / "file.png", "caption": "second"},
            {"image": figure, "caption": "third"},
        ],
    )
    shown = page.all("img")
    assert [img["alt"] for img in shown] == ["seven by three", "second", "third"]
    sizes = []
    for img in shown:
        head, _, data = img["src"].partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
            picture.load()
            sizes.append(picture.size)
    assert sizes[:2] == [(7, 3), (5, 2)]
    assert sizes[2] == tuple(round(plots.DPI * inches) for inches in figure.get_size_inches())
    assert all(caption in page.text for caption in ("first", "second", "third"))


def test_nothing_is_fetched_and_nothing_is_run(tmp_path):
    source, page = write(tmp_path, pictures=[{"image": png_bytes(), "caption": "one"}])
    assert not page.all("script")
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attrs.get(name, "data:").startswith(("data:", "#"))
        assert not [name for name in attrs if name.startswith("on")]
    assert not re.search(r"@import|url\(|//[a-z]", re.sub(r"base64,[^\"]*", "", source))
    (policy,) = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'")


def test_html_from_outside_is_shown_and_never_obeyed(tmp_path):
    evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;"
    source, page = write(
        tmp_path,
        title=evil,
        config={"command": evil, evil: {evil: evil}, "environment": {evil: evil}},
        metrics=[{"name": evil, "value": 1.0, "unit": evil, "meaning": evil}],
        history=[{"epoch": 1, evil: evil}],
        pictures=[{"image": png_bytes(), "caption": evil, "alt": evil}],
        notices=[evil],
        history_unit=evil,
    )
    assert "<script" not in source
    assert not page.all("script")
    assert [img["alt"] for img in page.all("img")] == [evil]
    assert page.text.count("alert('x')") >= 12
    assert [evil, "1.000", evil, evil] in page.rows


def test_notices_come_before_the_results(tmp_path):
    _, page = write(tmp_path, notices=["Only 20 examples.", "No test set."])
    assert page.text.index("Only 20 examples.") < page.text.index("No test set.")
    assert page.text.index("No test set.") < page.text.index("Results")


def test_a_bare_run_has_no_empty_sections(tmp_path):
    _, page = write(tmp_path, config={}, metrics=[], history=[])
    assert not page.all("table")
    assert not page.all("details")
    assert page.text.count("VAE on digits") == 2  # the title of the window and of the page


def test_page_is_well_formed_and_adapts(tmp_path):
    source, page = write(tmp_path, pictures=[{"image": png_bytes(), "caption": "one"}])
    assert page.open == []  # every element is closed
    assert page.all("html") == [{"lang": "en"}]
    for feature in ("prefers-color-scheme: dark", "@media print", "max-width: 100%"):
        assert feature in source
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(identifiers)) == len(identifiers)


def test_a_picture_that_is_none_is_refused_and_no_page_is_left(tmp_path):
    with pytest.raises(DataError, match="not a PNG"):
        write(tmp_path, pictures=[{"image": b"GIF89a", "caption": "odd"}])
    with pytest.raises(StorageError, match=r"nowhere\.png"):
        write(tmp_path, pictures=[{"image": tmp_path / "nowhere.png", "caption": "gone"}])
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_says_where(tmp_path):
    with pytest.raises(StorageError, match="missing"):
        write(tmp_path / "missing")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.02834567, "0.02835"),
        (0.5, "0.5000"),
        (9.99996, "10.00"),
        (12345.678, "12346"),
        (1.5e-7, "1.500e-07"),
        (-2.5e9, "-2.500e+09"),
        (0.0, "0.000"),
        (469, "469"),
        (np.float32(0.25), "0.2500"),
        (np.int64(3), "3"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (None, "–"),
        (True, "True"),
        ("cosine", "cosine"),
    ],
)
def test_numbers_have_four_significant_digits(value, text):
    assert format_number(value) == text
