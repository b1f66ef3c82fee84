"""What a training was asked for, as an unfinished run keeps it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoencode.data import Origin, load_data
from autoencode.errors import ModelFileError
from autoencode.recipes import build
from autoencode.runs.request import Request

PLACE = Path("r/resume/run.json")


@pytest.fixture(scope="module")
def request_():
    data = load_data("digits")
    return Request.from_recipe(
        build("mlp_small", data.spec, hidden=(8,), epochs=2),
        Origin.from_data(data, "digits"),
        seed=3,
        schedule="fast",
        device="cpu",
        command=None,
        checkpoint_seconds=10.0,
    )


def test_it_is_written_as_it_always_was(request_):
    facts = request_.as_dict()
    assert list(facts) == [
        *("data", "recipe", "options", "plan", "custom_networks", "seed", "schedule", "device"),
        *("command", "checkpoint_seconds"),
    ]
    assert facts["options"]["hidden"] == (8,)
    assert facts["plan"]["epochs"] == 2
    assert list(facts["data"]) == ["source", "name", "sha256", "streamed"]


def test_it_is_read_as_it_was_written(request_):
    facts = json.loads(json.dumps(request_.as_dict()))
    again = Request.from_dict({**facts, "format_version": 1, "replaces": None}, PLACE)
    assert again.origin == request_.origin
    assert again.gives_the_same_as(request_)
    assert json.dumps(again.as_dict()) == json.dumps(facts)


def test_what_decides_the_result_tells_trainings_apart(request_):
    for other in (
        replace(request_, seed=4),
        replace(request_, recipe="mlp"),
        replace(request_, origin=replace(request_.origin, sha256="0")),
        replace(request_, options={**request_.options, "hidden": (9,)}),
    ):
        assert not other.gives_the_same_as(request_)
    assert replace(request_, device="cuda", command="x").gives_the_same_as(request_)


@pytest.mark.parametrize("key", ["data", "recipe", "plan", "seed", "command", "checkpoint_seconds"])
def test_what_is_missing_or_damaged_is_named(request_, key):
    facts = request_.as_dict()
    with pytest.raises(ModelFileError, match=f"run.json cannot be used: {key} is missing"):
        Request.from_dict({k: v for k, v in facts.items() if k != key}, PLACE)
    with pytest.raises(ModelFileError, match=key):
        Request.from_dict({**facts, key: [1]}, PLACE)


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_a_seed_that_no_training_has_is_damage(request_, seed):
    facts = json.loads(json.dumps({**request_.as_dict(), "seed": seed}))
    with pytest.raises(ModelFileError, match="seed is damaged"):
        Request.from_dict(facts, PLACE)
