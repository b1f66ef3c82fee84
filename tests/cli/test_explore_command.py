"""The command ``explore``: where its page lies, what it says of it, what it refuses."""

from pathlib import Path

import click
import numpy as np
import pytest

from autoencode.explorer import explorer as home
from autoencode.explorer.decoding import Decoding
from cli_runs import assert_refused

pytest_plugins = ["cli_runs"]


@pytest.fixture(autouse=True)
def launched(monkeypatch):
    """The pages that a browser would have opened; decoders, which take seconds, are left out."""
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    monkeypatch.setattr(home, "decoding_for", lambda trained: Decoding(None, "it was left out"))
    return opened


def test_a_page_is_written_where_it_is_wanted_and_nothing_is_opened(cli, plane, tmp_path, launched):
    done = cli("explore", plane, "--export", tmp_path / "page.html", "--json")
    assert done.code == 0
    size = (tmp_path / "page.html").stat().st_size
    wanted = {"file": str(tmp_path / "page.html"), "points": 60, "bytes": size, "decodes": False}
    assert done.json == wanted
    assert launched == []
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!doctype html>")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOENCODE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_name_the_page_lies_in_the_cache_and_is_opened(cli, plane, cache, launched):
    done = cli("explore", plane)
    (page,) = (cache / "explorer").glob("plane-*.html")
    assert done.out.startswith(f"{page}: 60 points")
    assert launched == [page.as_uri()]
    again = cli("explore", plane, "--no-browser")
    assert again.out == done.out
    assert len(launched) == 1
    assert len(list(page.parent.iterdir())) == 1


def test_other_data_are_shown_and_points_are_counted(cli, plane, tmp_path, rows):
    np.save(tmp_path / "more.npy", rows(90, seed=1))
    done = cli(
        "explore", plane, "--data", "more.npy", "--max-points", 40, "--export", "p.html", "--json"
    )
    assert done.json["points"] == 40
    assert "note: 40 of 90 points are shown" in done.err


def test_axes_are_chosen(cli, images):
    done = cli("explore", images, "--axes", "3,7", "--max-points", 30, "--export", "p.html")
    assert done.code == 0
    assert '"names":["z3","z7"]' in Path("p.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--export", "page.pdf"], ["page.pdf", ".html"]),
        (["--export", "none/page.html"], ["no such folder"]),
        (["--axes", "a,b"], ["--axes", "a,b"]),
        (["--axes", "0,5"], ["0 to 1"]),
        (["--max-points", 0], ["at least 1"]),
        (["--originals", -1], ["at least"]),
        (["--data", "none.npy"], ["none.npy"]),
    ],
)
def test_bad_input_is_refused_by_one_line(cli, plane, arguments, words):
    assert_refused(cli("explore", plane, *arguments), *words)


def test_a_folder_that_is_no_run_is_refused(cli, tmp_path):
    assert_refused(cli("explore", tmp_path), str(tmp_path))
