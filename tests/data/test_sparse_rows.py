"""Sparse matrices: read as the same numbers in an array are, and made arrays a few rows at a time."""

import logging

import numpy as np
import pytest
import scipy.sparse as sp

from autoencode.data import Resident, apply_spec, load_data, prepare
from autoencode.data.reservoir import Reservoir
from autoencode.data.values.moments import moments
from autoencode.data.values.rescaled import rescaled
from autoencode.data.values.support import support_of
from autoencode.data.values.zeros import is_mostly_zeros, scaled_by_size
from autoencode.errors import DataError, OptionError
from autoencode.files.sparse_rows import SparseRows, sparse_rows
from autoencode.types import DataSpec, Pass

RNG = np.random.default_rng(0)


def words(n=300, width=100, density=0.04):
    """A table of words: nonnegative, nearly all zeros."""
    return np.where(RNG.random((n, width)) < density, RNG.gamma(2.0, 0.2, (n, width)), 0.0)


WORDS = words()
COUNTS = RNG.poisson(0.05, (300, 100))
GAPS = np.where(RNG.random(WORDS.shape) < 0.01, np.nan, WORDS)
DENSER = np.where(RNG.random((300, 12)) < 0.6, 0.0, RNG.normal(size=(300, 12)))
UNITS = np.c_[WORDS, RNG.normal(5e3, 10.0, (300, 3)), 1e4 * WORDS[:, :2]]
TABLES = {
    "words": WORDS,
    "float32": WORDS.astype(np.float32),
    "counts": COUNTS,
    "int8": COUNTS.astype(np.int8),
    "uint8": COUNTS.astype(np.uint8),
    "bool": COUNTS > 0,
    "in 0..1": WORDS / WORDS.max(),
    "gaps": GAPS,
    "fewer zeros": DENSER,
    "columns of other units": UNITS,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_sparse_matrix_has_the_spec_of_the_same_array(name):
    x = TABLES[name]
    _, sparse, told = prepare(sp.csr_array(x), gaps=True)
    _, dense, told_too = prepare(x, gaps=True)
    assert told == told_too
    np.testing.assert_allclose(sparse.scale, dense.scale, rtol=1e-12)
    np.testing.assert_allclose(sparse.offset, dense.offset, rtol=1e-12, atol=1e-15)
    for field in ("shape", "kind", "layout", "gaps", "support", "columns"):
        assert getattr(sparse, field) == getattr(dense, field), field


@pytest.mark.parametrize("name", TABLES)
def test_batches_of_a_sparse_matrix_are_those_of_the_array(name):
    x = TABLES[name]
    (sparse, spec, _), (dense, *_) = prepare(sp.csr_array(x), gaps=True), prepare(x, gaps=True)
    one, other = Resident(sparse, spec), Resident(dense, spec)
    for got, wanted in zip(one.shuffled(Pass(0, 1, 64)), other.shuffled(Pass(0, 1, 64)), strict=True):
        np.testing.assert_array_equal(got.x, wanted.x)
        assert got.x.dtype == wanted.x.dtype
    np.testing.assert_allclose(one.mean(), other.mean(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8, bool])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "bsr", "dok", "dia"])
def test_every_format_and_dtype_gives_its_numbers(form, kind):
    x = np.zeros((6, 5), kind)
    x[1, 2], x[4, 0] = 1, 1
    found = sparse_rows(sp.coo_array(x).asformat(form))
    assert found.dtype == kind
    np.testing.assert_array_equal(found.dense(), x)


def test_a_tidy_matrix_is_not_copied_and_others_are_said_to_be(caplog):
    tidy = sp.csr_array(WORDS)
    with caplog.at_level(logging.INFO, "autoencode"):
        assert np.shares_memory(sparse_rows(tidy).values, tidy.data)
        assert not caplog.records
        sparse_rows(sp.csc_array(WORDS), "train")
    assert "train: copied to CSR" in caplog.text


def test_what_stands_twice_in_a_place_is_added_and_the_users_matrix_stays():
    twice = sp.csr_array((np.array([1.0, 2.0]), np.array([1, 1]), np.array([0, 2])), shape=(1, 3))
    np.testing.assert_array_equal(sparse_rows(twice).dense(), [[0.0, 3.0, 0.0]])
    assert len(twice.data) == 2


def test_zeros_that_are_held_count_as_zeros():
    held = sp.csr_array(WORDS)
    held.data[:50] = 0.0
    assert is_mostly_zeros(sparse_rows(held))
    np.testing.assert_array_equal(scaled_by_size(sparse_rows(held)), scaled_by_size(held.toarray()))
    assert support_of(sparse_rows(held)) == support_of(held.toarray())


@pytest.mark.parametrize("x", [WORDS, -WORDS, GAPS, DENSER, np.full((3, 2), np.nan), COUNTS])
def test_extremes_and_moments_are_those_of_the_array(x):
    rows = sparse_rows(sp.csr_array(x))
    some = (~np.isnan(x)).any(axis=0)
    if some.any():
        assert rows.extremes() == (np.nanmin(x), np.nanmax(x))
        np.testing.assert_array_equal(
            np.stack(rows.column_extremes()), [np.nanmin(x, 0), np.nanmax(x, 0)]
        )
    else:
        assert np.isnan(rows.extremes()).all()
    np.testing.assert_allclose(moments(rows), moments(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "1 NaN value, first"),
        (np.inf, "1 infinite value, first"),
        (1e300, r"the value 1e\+300"),
    ],
)
def test_a_value_that_cannot_be_learned_is_found_at_its_place(value, said):
    x = WORDS.copy()
    x[7, 3] = value
    with pytest.raises(DataError, match=rf"{said} at row 7, column 3"):
        load_data(sp.csr_array(x))


def test_infinite_values_are_refused_where_gaps_are_allowed():
    x = GAPS.copy()
    x[7, 3] = -np.inf
    with pytest.raises(DataError, match="1 infinite value, first at row 7, column 3"):
        prepare(sp.csr_array(x), gaps=True)


def test_empty_and_complex_matrices_are_refused_in_a_line():
    for bad in (sp.csr_array((0, 5)), sp.csr_array((5, 0)), sp.csr_array(WORDS.astype(complex))):
        with pytest.raises(DataError):
            prepare(bad)
    with pytest.raises(DataError, match="nothing to learn"):
        load_data(sp.csr_array((20, 100)))


def test_another_width_is_refused():
    spec = prepare(sp.csr_array(WORDS))[1]
    with pytest.raises(DataError, match="expected 100 values per example"):
        apply_spec(sp.csr_array(WORDS[:, :99]), spec)


def test_rows_outside_a_range_are_judged_as_those_of_an_array_are():
    spec = DataSpec((100,), "unit")
    x = np.where(WORDS > 0, 1.0, 0.0)
    np.testing.assert_array_equal(apply_spec(sp.csr_array(x), spec).dense(), apply_spec(x, spec))
    x[7, 3] = 1 + 1e-7  # what rounding leaves
    np.testing.assert_array_equal(apply_spec(sp.csr_array(x), spec).dense(), apply_spec(x, spec))


def test_sparse_rows_of_pixels_become_an_array_for_a_layout_that_needs_one():
    x = sp.csr_array((RNG.random((20, 64)) < 0.1).astype(np.uint8))
    data = load_data(x, layout="image")
    assert data.spec.shape == (1, 8, 8)
    np.testing.assert_array_equal(data.train.x, load_data(x.toarray(), layout="image").train.x)


def test_a_large_matrix_is_refused_as_an_array_with_the_numbers():
    wide = SparseRows(sp.csr_array((10**6, 10**7)))
    with pytest.raises(
        DataError, match=r"1000000 x 10000000 sparse values .* needs 80\.0 TB of memory"
    ):
        wide.dense()


def test_parts_of_examples_stay_sparse_until_they_are_looked_at():
    examples = prepare(sp.csr_array(WORDS))[0]
    train, held_out = examples.split(0.2, seed=3)
    dense = prepare(WORDS)[0].split(0.2, seed=3)
    for part, same in zip((train, held_out), dense, strict=True):
        assert isinstance(part.values, SparseRows)
        np.testing.assert_array_equal(part.x, same.x)
    again = prepare(sp.csc_array(WORDS))[0]
    assert again.fingerprint() == examples.fingerprint() != train.fingerprint()


def test_many_sparse_examples_are_looked_at_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("autoencode.data.examples.SPARSE_BYTES", 4 * 100 * 50)
    monkeypatch.setattr("autoencode.data.examples._VALIDATED", 4 * 100 * 10)
    examples = prepare(sp.csr_array(WORDS))[0]
    assert len(examples.bounded()) == 50
    train, held_out = examples.split(0.5, seed=0)
    assert (len(train), len(held_out)) == (290, 10)


def test_a_reservoir_keeps_the_same_rows_of_sparse_parts():
    one, other = Reservoir(40), Reservoir(40)
    for start in range(0, 300, 100):
        one.add(WORDS[start : start + 100])
        other.add(sparse_rows(sp.csr_array(WORDS[start : start + 100])))
    np.testing.assert_array_equal(one.rows, other.rows)


# --- how tables are scaled that are mostly zeros ------------------------------------------------


def test_words_are_not_centred_and_share_one_scale():
    spec = prepare(WORDS)[1]
    assert set(spec.offset) == {0.0}
    assert len(set(spec.scale)) == 1
    assert spec.scale[0] == pytest.approx(np.sqrt(np.square(WORDS[WORDS > 0]).mean()))


def test_a_column_of_another_unit_has_its_own_scale_and_one_without_zeros_is_standardised():
    spec = prepare(UNITS)[1]
    np.testing.assert_allclose(np.array(spec.scale)[-2:] / 1e4, spec.scale[0], rtol=0.5)
    np.testing.assert_allclose(spec.offset[100:103], UNITS[:, 100:103].mean(0))
    np.testing.assert_allclose(spec.scale[100:103], UNITS[:, 100:103].std(0))
    assert set(spec.offset[:100]) == {0.0}


def test_each_column_is_standardised_where_that_is_asked_for():
    spec = prepare(sp.csr_array(WORDS), standardize="all_columns")[1]
    np.testing.assert_allclose(spec.offset, WORDS.mean(0))
    np.testing.assert_allclose(spec.scale, WORDS.std(0))


@pytest.mark.parametrize("x", [DENSER, WORDS[:, :63], words(density=0.2)])
def test_tables_that_are_narrow_or_have_fewer_zeros_are_scaled_as_ever(x):
    spec = prepare(x)[1]
    np.testing.assert_allclose(spec.offset, x.mean(0))
    np.testing.assert_allclose(spec.scale, x.std(0))


def test_the_size_of_a_word_stays_where_a_later_part_has_none_of_it():
    first, later = WORDS[:200].copy(), WORDS[200:].copy()
    later[:, 5] = first[:, 6] = 0.0
    spec = prepare(first)[1]
    then = rescaled(spec, sparse_rows(sp.csr_array(later)), "columns", n_before=200)
    assert set(then.offset) == {0.0}
    assert then.scale[5] == spec.scale[5]
    assert spec.scale[6] == 1.0  # nothing was known of it
    assert then.scale[6] == pytest.approx(then.scale[0], rel=0.1)
    assert then == rescaled(spec, later, "columns", n_before=200)


def test_a_table_on_disk_is_scaled_alike(tmp_path):
    np.save(tmp_path / "words.npy", UNITS)
    streamed = load_data(tmp_path / "words.npy", stream=True)
    kept = np.array([(row == UNITS).all(1).argmax() for row in streamed.test.x])
    spec = prepare(UNITS[np.setdiff1d(np.arange(len(UNITS)), kept)])[1]
    np.testing.assert_allclose(streamed.spec.scale, spec.scale, rtol=1e-12)
    np.testing.assert_allclose(streamed.spec.offset, spec.offset, rtol=1e-12)
    assert any("are zero" in notice for notice in streamed.notices)


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_a_file_of_save_npz_is_its_matrix(tmp_path, form):
    sp.save_npz(tmp_path / "words.npz", sp.csr_array(WORDS).asformat(form))
    data = load_data(tmp_path / "words.npz")
    np.testing.assert_array_equal(data.train.x, load_data(WORDS).train.x)
    assert data.name == "words"


def _parts(**changed):
    matrix = sp.csr_array(WORDS)
    parts = {"format": b"csr", "shape": matrix.shape, "data": matrix.data}
    parts |= {"indices": matrix.indices, "indptr": matrix.indptr}
    parts |= changed
    return {name: np.asarray(part) for name, part in parts.items() if part is not None}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": b"bsr"}, "format 'bsr'"),
        ({"format": b"\xff\xfe"}, "format"),
        ({"format": 3}, "its format is no word"),
        ({"indptr": None}, "its indptr is missing"),
        ({"shape": (300, 100, 1)}, "shape"),
        ({"shape": (-300, 100)}, "shape"),
        ({"shape": (300.0, 100.0)}, "shape"),
        ({"shape": (300, 99)}, "outside"),
        ({"shape": (299, 100)}, "indptr"),
        ({"shape": (300, 10**14)}, "needs .* of memory"),
        ({"shape": (300, 2**62)}, "claims"),
        ({"indptr": np.r_[0, np.full(300, 2)]}, "indptr"),
        ({"indptr": np.r_[0, 10**6, sp.csr_array(WORDS).indptr[2:]]}, "its indptr falls"),
        ({"indices": -sp.csr_array(WORDS).indices - 1}, "outside"),
        ({"indices": sp.csr_array(WORDS).indices[:-1]}, "places for"),
        ({"indices": sp.csr_array(WORDS).indices.astype(float)}, "whole numbers"),
        ({"data": np.full(sp.csr_array(WORDS).nnz, 1j)}, "Complex"),
        ({"data": np.full(sp.csr_array(WORDS).nnz, np.nan)}, "NaN"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused_in_a_line(tmp_path, changed, said):
    np.savez(tmp_path / "bad.npz", **_parts(**changed))
    with pytest.raises((DataError, OptionError), match=said) as caught:
        load_data(tmp_path / "bad.npz")
    assert "\n" not in str(caught.value)


def test_a_matrix_whose_indices_lead_outside_is_refused_before_they_are_followed():
    for form in (sp.csr_array, sp.csc_array):
        damaged = form(WORDS)
        damaged.indices[0] = 10**6
        with pytest.raises(DataError, match="a damaged sparse matrix"):
            sparse_rows(damaged)
