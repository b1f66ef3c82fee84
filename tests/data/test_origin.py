"""How data were read: written as ever, read from any file, and by it the same data once more."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoencode.data import Data, ImageOptions, Origin, TableOptions, load_data
from autoencode.data.disk import opening
from autoencode.errors import DataError, ModelFileError, OptionError
from autoencode.runs.data import read_again

X = np.random.default_rng(0).random((60, 5)).astype(np.float32)
TABLE = TableOptions("kind", "name", ("note",), {"n": "count"})
IMAGES = ImageOptions((8, 6), "resize", "skip")

texts = st.text(max_size=5)
perhaps = st.none() | texts
origins = st.builds(
    Origin,
    source=st.none() | texts.filter(lambda text: "\0" not in text),
    name=texts,
    sha256=texts,
    streamed=st.booleans(),
    table=st.builds(
        TableOptions,
        perhaps,
        perhaps,
        st.lists(texts).map(tuple),
        st.dictionaries(texts, st.sampled_from(["real", "count", "date"])),
    ),
    images=st.builds(
        ImageOptions,
        st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99)),
        st.sampled_from(["crop", "resize"]),
        st.sampled_from(["refuse", "skip"]),
    ),
    standardize=st.sampled_from([None, "columns", "robust", "none"]),
    layout=st.sampled_from([None, "row", "image"]),
    left_out=st.lists(texts).map(tuple),
    n_labels=st.none() | st.integers(0, 999),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
KEYS = list(Origin(sha256="0", left_out=("a",), n_labels=1, standardize="none").as_dict())
KEYS += ["table", "images", "layout"]


# What is written


def test_a_run_on_a_named_data_set_says_what_it_always_said():
    data = load_data("digits")
    facts = Origin.from_data(data, "digits").as_dict()
    wanted = {"source": "digits", "name": "digits", "sha256": data.fingerprint(), "streamed": False}
    assert json.dumps(facts) == json.dumps(wanted)


def test_options_that_were_given_are_written_in_the_order_they_always_had():
    found = Origin.from_data(
        load_data(X),
        None,
        table=TABLE,
        images=IMAGES,
        standardize="robust",
        left_out=["a", 3],
        n_labels=7,
    ).as_dict()
    assert list(found)[:4] == ["source", "name", "sha256", "streamed"]
    assert list(found.items())[4:] == [
        ("table", TABLE.as_dict()),
        ("images", IMAGES.as_dict()),
        ("standardize", "robust"),
        ("left_out", ["a", "3"]),
        ("n_labels", 7),
    ]


def test_an_estimator_knows_of_no_source():
    assert Origin(standardize="robust", table=TABLE).as_dict() == {
        "standardize": "robust",
        "table": TABLE.as_dict(),
    }
    assert Origin().as_dict() == {}


@pytest.mark.parametrize("source", [X, [[1.0]], None])
def test_what_is_no_name_or_path_cannot_be_found_again(source):
    assert Origin.from_data(load_data(X), source).source is None


def test_a_path_is_absolute(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    assert Origin.from_data(load_data("x.npy"), "x.npy").source == str(tmp_path / "x.npy")


# What is read


@given(origins)
def test_it_is_read_as_it_was_written(origin):
    assert Origin.from_dict(json.loads(json.dumps(origin.as_dict()))) == origin


@pytest.mark.parametrize("facts", [None, {}, {"new": 3}])
def test_files_that_say_nothing_of_it_are_read(facts):
    assert Origin.from_dict(facts) == Origin()


def test_files_from_before_there_were_options_are_read():
    old = {"source": "digits", "name": "digits", "sha256": "0"}
    assert Origin.from_dict(old) == Origin("digits", "digits", "0", streamed=False)


@given(st.sampled_from(KEYS), json_values)
def test_no_value_in_a_file_is_believed(key, value):
    found = None
    try:
        Origin.from_dict({key: value})
    except ModelFileError as error:
        found = str(error)
    if found is not None:
        assert key in found
        assert len(found.splitlines()) == 1


@pytest.mark.parametrize("key", KEYS)
def test_a_value_of_a_wrong_type_is_refused(key):
    with pytest.raises(ModelFileError, match=key):
        Origin.from_dict({key: [{}] if key != "streamed" else "yes"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", {"size": [0, 4]}),
        ("images", {"size": [True, 4]}),
        ("images", {"size": [4]}),
        ("images", {"fit": "squeeze"}),
        ("images", {"angle": 4}),
        ("table", {"drop": "abc"}),
        ("table", {"kinds": {"a": "angle"}}),
        ("n_labels", True),
        ("n_labels", -1),
        ("standardize", "never"),
    ],
)
def test_a_value_that_means_nothing_is_refused(key, value):
    with pytest.raises(ModelFileError, match=key):
        Origin.from_dict({key: value})


# What is read by it


def test_the_same_data_are_read_again(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"{i * 0.3},{'ab'[i % 2]},r{i},{i % 3}" for i in range(40)]
    path.write_text("\n".join(["value,label,row,rest", *lines]))
    table = TableOptions("label", "row", ("rest",))
    data = load_data(path, table=table, standardize="robust", leave_out=["b"])
    origin = Origin.from_data(data, path, table=table, standardize="robust", left_out=["b"])
    again = read_again(Origin.from_dict(origin.as_dict()), "columns", "changed")
    assert again.spec == data.spec
    assert np.array_equal(again.train.x, data.train.x)
    assert set(again.train.labels) == {"a"}


def test_data_that_stay_on_disk_are_not_surveyed_once_more(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    path = tmp_path / "x.npy"
    data = load_data(path, stream=True)
    origin = Origin.from_data(data, path)
    assert origin.streamed
    surveyed = []
    real = opening.survey
    monkeypatch.setattr(opening, "survey", lambda *given: surveyed.append(1) or real(*given))
    again = read_again(origin, "columns", "changed", spec=data.spec)
    assert (again.spec, surveyed) == (data.spec, [])
    assert read_again(origin, "columns", "changed").spec == data.spec
    assert surveyed == [1]


@pytest.mark.parametrize("stream", [False, True])
def test_data_that_have_changed_are_refused(tmp_path, stream):
    path = tmp_path / "x.npy"
    np.save(path, X)
    origin = Origin.from_data(load_data(path, stream=stream), path)
    np.save(path, X + 0.25)
    with pytest.raises(DataError, match=r"^they changed$"):
        read_again(origin, "columns", "they changed")


def test_data_in_memory_are_given_again():
    origin = Origin.from_data(load_data(X), X)
    assert len(read_again(origin, "columns", "changed", source=X).train) == 54
    with pytest.raises(DataError, match="changed"):
        read_again(origin, "columns", "changed", source=X[:-1])


def test_another_table_is_read_as_far_as_it_has_the_columns():
    origin = Origin(table=TableOptions("kind", "name", ("a", "b")))
    assert origin.table_for(["name", "b", "x"]) == TableOptions(None, "name", ("b",))


def test_images_keep_their_form_and_may_have_another_word_on_damaged_files():
    origin = Origin(images=ImageOptions((4, 4), "resize"))
    assert origin.images_with(None) is origin.images
    assert origin.images_with("skip") == ImageOptions((4, 4), "resize", "skip")
    with pytest.raises(OptionError, match="on_bad_file"):
        origin.images_with("ignore")


# The parts of data


def test_the_parts_are_those_that_training_saw():
    data = load_data(X)
    parts = {name: data.part(name, 0.2, seed=3) for name in ("test", "validation", "train")}
    train, held_out = data.split(0.2, 3)
    assert parts["test"] is data.test
    assert np.array_equal(parts["train"].x, train.x)
    assert np.array_equal(parts["validation"].x, held_out.x)
    everything = np.concatenate([part.x for part in parts.values()])
    assert np.array_equal(np.sort(everything, axis=0), np.sort(X, axis=0))


def test_a_part_that_is_not_there_is_refused():
    data = load_data(X)
    with pytest.raises(OptionError, match="unknown split 'all'; use test, validation, train"):
        data.part("all", 0.2, 0)
    with pytest.raises(DataError, match="no validation examples"):
        data.part("validation", 0.0, 0)
    with pytest.raises(DataError, match="no test examples; use --split train"):
        Data("few", data.train, None, data.spec).part("test", 0.2, 0)
