"""Words of columns: states of very many, the probability of a new one, and values never seen."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from autoencode.data import Examples, TableOptions, apply_spec, load_examples, prepare
from autoencode.data.values.frames import decode, encode, learn_columns
from autoencode.data.values.series import learn
from autoencode.distributions.words import Words
from autoencode.errors import DataError
from autoencode.likelihoods.columns import Mixed
from autoencode.nets.reader import Reader
from autoencode.types import UNSEEN, Column, DataSpec

# 300 words, of which the first came 300 times, the second 299 times, ...
WORDS = [f"w{i:03d}" for i in range(300)]
MANY = [word for i, word in enumerate(WORDS) for _ in range(300 - i)]
PETS = ["cat", "cat", "dog", "cat", "dog", "cat"]


def jobs(most=100, values=MANY):
    return learn_columns(pa.table({"job": values}), most=most)[0]


def spec_of(*columns, gaps=False):
    return DataSpec((len(columns),), "real", columns=columns, gaps=gaps)


def test_few_words_have_a_state_each_and_are_counted():
    column = jobs(most=300)
    assert column.states == ()
    assert column.n_states == 300
    assert column.counts == tuple(range(300, 0, -1))


def test_of_very_many_words_the_commonest_stand_for_themselves_and_the_rest_in_stretches():
    column = jobs()
    sizes = np.bincount(column.states)
    assert column.n_states == 80
    assert (sizes[:64] == 1).all()
    rest = np.array(column.states)[64:]
    assert (np.diff(rest) >= 0).all()  # the stretches follow the alphabet
    mass = np.bincount(rest - 64, np.array(column.counts)[64:])
    assert mass.max() < 1.3 * mass.min()  # and hold about as many values


def test_words_that_came_seldom_have_no_state_of_their_own():
    column = jobs(most=10, values=[*"abcdefghijkl" * 2, *"mm" * 3])
    assert np.bincount(column.states).max() > 1
    assert column.states.count(column.states[12]) == 1  # m alone came often


@pytest.mark.parametrize(
    ("counts", "probability"),
    [((5, 4), 1 / 10), ((1, 8), 2 / 10), ((1,) * 9, 1.0), ((), 1 / 1001)],
)
def test_a_new_word_is_as_likely_as_words_that_came_once(counts, probability):
    categories = tuple(f"w{i}" for i in range(max(2, len(counts))))
    assert Column("a", "category", categories, counts=counts).unseen == pytest.approx(probability)


def test_probabilities_of_words_that_share_states_sum_to_one():
    spec = spec_of(jobs(), Column("pet", "category", ("cat", "dog"), counts=(4, 2)))
    family = Mixed(spec)
    p = family(torch.randn(1, 1, family.width).expand(-1, 300, -1))
    log_p = p.entries(torch.tensor([[float(i), 0.0] for i in range(300)]))[0, :, 0]
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-4)
    high, low = log_p[298:].exp().tolist()  # neighbours that came 2 and 1 times
    assert high == pytest.approx(2 * low)


def test_draws_of_a_state_are_its_words_as_often_as_they_came():
    column = Column("a", "category", ("x", "y", "z"), counts=(6, 1, 3), states=(0, 1, 1))
    torch.manual_seed(0)
    drawn = Words([column]).drawn(torch.ones(20_000, 1, dtype=torch.long)).flatten()
    assert set(drawn.tolist()) == {1, 2}
    assert (drawn == 2).float().mean().item() == pytest.approx(0.75, abs=0.02)
    assert Words([column]).drawn(torch.zeros(5, 1, dtype=torch.long)).sum() == 0


def test_the_likeliest_word_is_not_the_commonest_of_a_stretch_that_is_likely_as_a_whole():
    column = Column("a", "category", ("x", "y", "z"), counts=(6, 5, 5), states=(0, 1, 1))
    words = Words([column])
    assert words.likeliest(torch.tensor([[0.4, 0.6]]).log()).tolist() == [0]  # 0.4 beside 0.3
    assert words.likeliest(torch.tensor([[0.2, 0.8]]).log()).tolist() == [1]


def test_a_network_reads_states_and_a_new_word_as_none_of_them_but_no_gap():
    column = Column("a", "category", ("x", "y", "z"), counts=(6, 1, 3), states=(0, 1, 1))
    reader = Reader(spec_of(column, gaps=True))
    read = reader(torch.tensor([[0.0], [1.0], [2.0], [UNSEEN], [torch.nan]]))
    assert read.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    pair = Reader(spec_of(*(Column(n, "category", ("x", "y")) for n in "ab")))
    assert pair(torch.tensor([[1.0, UNSEEN]])).tolist() == [[0, 1, 0, 0]]


def test_a_new_word_has_the_probability_of_any_such():
    spec = spec_of(Column("pet", "category", ("cat", "dog"), counts=(4, 2)))
    p = Mixed(spec)(torch.randn(1, 3, 2))
    log_p = p.entries(torch.full((3, 1), UNSEEN))
    assert log_p.exp().flatten().tolist() == pytest.approx([1 / 7] * 3)
    assert p.errors(torch.full((3, 1), UNSEEN)).tolist() == [[[1.0], [1.0], [1.0]]]


FRAMES = {
    "object": lambda v: pd.DataFrame({"pet": pd.Series(v, dtype=object)}),
    "str": lambda v: pd.DataFrame({"pet": v}),
    "categorical": lambda v: pd.DataFrame({"pet": pd.Categorical(v)}),
    "Arrow": lambda v: pd.DataFrame({"pet": pd.array(v, dtype=pd.ArrowDtype(pa.string()))}),
    "pyarrow": lambda v: pa.table({"pet": pa.array(v)}),
    "dictionary": lambda v: pa.table({"pet": pa.array(v).dictionary_encode()}),
    "polars": lambda v: pytest.importorskip("polars").DataFrame({"pet": v}),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_new_words_are_told_and_differ_from_gaps_in_every_table(kind):
    columns = learn_columns(FRAMES[kind](PETS))
    new = FRAMES[kind](["dog", "emu", None, "yak", "emu"])
    told, unseen = [], []
    x = apply_spec(new, spec_of(*columns, gaps=True), tell=told.append, unseen=unseen)
    np.testing.assert_array_equal(x.ravel(), [1, UNSEEN, np.nan, UNSEEN, UNSEEN])
    assert len(told) == 1
    assert "column 'pet': 3 values never seen in training ('emu' and 1 more, first at row 1)" in told[0]
    assert unseen[0].words == ("emu", "yak", "emu")
    assert unseen[0].rows.tolist() == [1, 3, 4]
    with pytest.raises(DataError, match=r"'emu' and 1 more \(first at row 1\) was never seen"):
        encode(new, columns)
    assert decode(x, columns)["pet"].tolist() == ["dog", None, None, None, None]


def test_numbers_declared_categories_and_files_have_new_words_too(tmp_path):
    spec = prepare(pd.DataFrame({"floor": [1, 2, 1, 2.0]}), kinds={"floor": "category"})[1]
    pd.DataFrame({"floor": [2, 7]}).to_csv(tmp_path / "new.csv", index=False)
    found = load_examples(tmp_path / "new.csv", spec)
    assert found.x.tolist() == [[1.0], [UNSEEN]]
    assert len(found.notices) == 1
    assert "'7' at row" not in found.notices[0]
    assert "'7', first at row 1" in found.notices[0]


def test_what_is_not_a_category_says_nothing():
    told = []
    apply_spec(
        pa.table({"pet": PETS}), spec_of(learn("pet", _series(PETS), None, "x")), tell=told.append
    )
    assert not told


def _series(values):
    import narwhals.stable.v2 as nw

    return nw.from_native(pa.table({"pet": values}))["pet"]


def test_new_words_stay_with_their_rows():
    unseen = []
    spec = spec_of(*learn_columns(pa.table({"pet": PETS})))
    table = pa.table({"pet": ["emu", "cat", "yak"]})
    x = apply_spec(table, spec, tell=[].append, unseen=unseen)
    examples = Examples(x, unseen=tuple(unseen))
    two = examples.take(np.array([2, 1]))
    assert two.unseen[0].rows.tolist() == [0]
    assert two.unseen[0].words == ("yak",)
    assert [len(part.unseen[0].words) for part in examples.chunks(1)] == [1, 0, 1]


def test_a_column_of_very_many_words_is_told_with_the_option_that_says_otherwise():
    frame = pd.DataFrame({"job": [f"job {i // 2}" for i in range(60)]})
    examples, spec, notices = prepare(frame, table=TableOptions(max_categories=20))
    (told,) = [line for line in notices if "different words" in line]
    assert "'job' has 30 different words" in told
    assert "max_categories=30" in told
    assert spec.columns[0].n_states <= 20
    assert sorted(set(decode(examples.x, spec.columns)["job"])) == sorted(set(frame["job"]))
    assert not [
        line for line in prepare(frame, table=TableOptions(max_categories=30))[2] if "words" in line
    ]
