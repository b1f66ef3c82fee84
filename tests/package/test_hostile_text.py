"""Text of other people on its way to a terminal or a browser: shown, never obeyed, and not too long."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoencode.console import note, printable, shortened
from autoencode.console.lines import MOST_BYTES
from autoencode.errors import OptionError, nearest
from autoencode.pictures.found_rows import Entry, FoundRow, Reason
from autoencode.pictures.of_anomalies import shares_figure
from autoencode.pictures.pages import write_anomalies
from autoencode.pictures.plots import png
from autoencode.recipes.options import Option
from cli_runs import assert_refused, cli  # noqa: F401

EVIL = ["\x1b]0;pwn\x07\x1b[2J", "\x9b2J", "a\u202eb", "\x7f", "\x08\x08", "\u2066", "\udc9b2J"]
OBEYED = {
    chr(n) for n in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


@given(st.text())
def test_what_is_printable_holds_nothing_that_is_obeyed_and_is_so_for_good(text):
    shown = printable(text)
    assert not set(shown) & OBEYED
    assert printable(shown) == shown
    assert len(shown.splitlines()) <= 1


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"])))
def test_what_is_text_stays_as_it_is(text):
    assert printable(text) == text


@given(st.text(min_size=1), st.integers(20, 100))
def test_a_long_text_keeps_its_beginning_and_its_end(text, most):
    found = shortened(text, most)
    assert len(found.encode(errors="surrogateescape")) <= most
    if found != text:
        head, _, tail = found.partition(" ... ")
        assert text.startswith(head)
        assert text.endswith(tail)


@pytest.mark.parametrize("evil", EVIL)
def test_a_line_on_stderr_is_one_line_and_short(capsys, evil):
    note(f"error: {evil}\n" + "x" * 5000 + "; the remedy")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.endswith("; the remedy\n")
    assert len(err.encode(errors="surrogateescape")) <= MOST_BYTES + 1
    assert not set(err[:-1]) & OBEYED


@pytest.mark.parametrize("evil", EVIL)
def test_a_page_holds_nothing_that_is_obeyed(tmp_path, evil):
    page = tmp_path / "x.html"
    reason = Reason(evil, evil, evil, gap=False, mark="≠", level=3, usual=evil, bar=90)
    entries = (Entry(evil, evil),)
    found = FoundRow(evil, 1.0, 0.5, True, reasons=(reason,), cells=entries, n_cells=1)
    write_anomalies(page, title=evil, facts={evil: evil}, found=[found], what=evil, pictures=())
    assert not set(page.read_text(encoding="utf-8")) & (OBEYED - {"\n", "\t"})


@pytest.mark.parametrize("evil", EVIL[:-1])
def test_names_of_columns_reach_the_terminal_written_out(cli, tmp_path, evil):  # noqa: F811
    (tmp_path / "e.csv").write_text(f"{evil},b\n1,2\n3,4\n", newline="")
    result = cli("train", tmp_path / "e.csv", "--label", "nope", "--out", tmp_path / "r")
    assert_refused(result, "has no column 'nope'")
    assert not set(result.err) & (OBEYED - {"\n"})


@pytest.mark.parametrize("evil", EVIL[:-1])
def test_the_list_of_runs_is_written_out(cli, tmp_path, evil):  # noqa: F811
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 3)))
    run = tmp_path / f"r{evil}\nforged"
    done = cli("train", tmp_path / "x.npy", "--out", run, "--epochs", 1, "--quiet")
    assert done.code == 0
    listed = cli("runs", tmp_path)
    assert listed.out.count("\n") == 2
    assert not set(done.out + listed.out) & (OBEYED - {"\n"})


def test_lists_of_names_and_values_are_cut():
    names = [f"name-{i}-" + "x" * 500 for i in range(5000)]
    message = nearest("zzz", names)
    assert message.endswith(" and 4988 more")
    assert len(message) < 1000
    option = Option("hidden", (4,), tuple[int, ...], "")
    for value in ("[" * 100_000, ["x"] * 100_000, "9" * 100_000, [1] * 100_000):
        with pytest.raises(OptionError) as caught:
            option.parse(value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["[1,2", "1,2]", "(1,2]", "[[1,2]]", "1,,2", "]", "[", "1;2"])
def test_brackets_have_to_be_balanced(text):
    with pytest.raises(OptionError, match="whole numbers separated by commas"):
        Option("hidden", (4,), tuple[int, ...], "").parse(text)


@pytest.mark.parametrize("text", ["1,2", "[1,2]", "(1, 2)", " 1 , 2, ", "(1,2,)"])
def test_balanced_ones_are_read(text):
    assert Option("hidden", (4,), tuple[int, ...], "").parse(text) == (1, 2)


@pytest.mark.parametrize("evil", [*EVIL, r"$\nothing{$", "$$", "\\"])
def test_pictures_of_anomalies_show_any_name(evil):
    """A formula that is none would be an error, a control character a warning: both fail here."""
    found = SimpleNamespace(
        scores=np.ones(1), shares=np.ones((1, 2)), top=lambda row, n: [(evil, 0.5), ("b", 0.5)]
    )
    assert png(shares_figure(found, names=[evil]))
