"""Numbers outside of their range: one line that names the option, and never an error of torch's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode.errors import IncompatibleError, OptionError
from autoencode.limits import Above, AtLeast, AtMost, Limit, Within
from autoencode.recipes import RECIPES, Recipe, build, weight_memory
from autoencode.recipes.options import Option
from autoencode.recipes.registry import PLAN_OPTIONS
from autoencode.types import DataSpec

ROW, IMAGE = DataSpec((6,)), DataSpec((1, 8, 8))
EXTREMES = (
    *(0, -1, 1, 2, 3, 17, 2**15, 2**24, 2**31 - 1, 2**40, 10**400),
    *(0.5, -0.5, 1e-300, 1e-45, 0.9999999999, 1e20, 9e35, 1e300, -1e300),
    *(math.nan, math.inf, -math.inf),
)
# Of each kind of number one; the slow form tries all.
FEW = (0, -1, 2, 2**15, 2**31 - 1, 10**400, 0.5, 1e-300, 1e300, math.nan, math.inf)
NUMBERS = st.one_of(st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from(EXTREMES))


def numeric(options) -> list[Option]:
    return [option for option in options.values() if _kind(option) in (int, float)]


def _kind(option: Option) -> type:
    return option.type.__args__[0] if "tuple" in str(option.type) else option.type


def values(option: Option, number: float) -> list:
    if option.type is _kind(option):
        return [number]
    return [(number,), (number, number), (2, number)]


# Every option once, in whatever recipe it is found first.
DISTINCT = {
    (option.name, str(option.type), str(option.limit)): option
    for info in [*RECIPES.values()]
    for option in [*numeric(info.options), *numeric(PLAN_OPTIONS)]
}


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    """As if no more were free, so that a test machine never claims gigabytes."""
    monkeypatch.setattr(weight_memory, "available_memory", lambda: 5_000_000)


def refusal(call) -> str | None:
    """The error of a call that is refused as it should be, ``None`` where it is not refused."""
    try:
        call()
    except (OptionError, IncompatibleError) as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


@pytest.mark.parametrize("option", DISTINCT.values(), ids=lambda option: option.name)
@settings(max_examples=40)
@given(number=NUMBERS)
def test_a_number_is_in_its_range_or_refused_by_the_options_name(option, number):
    for value in values(option, number):
        message = refusal(lambda value=value: option.parse(value))
        if message is None:
            parsed = option.parse(value)
            for one in parsed if isinstance(parsed, tuple) else (parsed,):
                assert type(one) is _kind(option)
                assert math.isfinite(one)
                assert option.limit is None or option.limit.fault(one) is None
        else:
            assert message.startswith(f"option {option.name}: ")


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_a_recipe_has_a_range_and_its_default_lies_in_it(name):
    for option in numeric(RECIPES[name].options):
        assert option.limit is not None, f"{name}: say the range of {option.name} in its type"
        assert option.parse(option.default) == option.default


def own_options(name: str) -> list[Option]:
    """The options of a recipe that no recipe before it has, and those of its own arguments."""
    before = [other.options for other in RECIPES.values()][: list(RECIPES).index(name)]
    shared = {option.name for options in before for option in options.values() if option.group}
    return [o for o in numeric(RECIPES[name].options) if o.group is None or o.name not in shared]


@pytest.mark.parametrize(
    "numbers", [pytest.param(FEW, id="few"), pytest.param(EXTREMES, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_built_or_refused_in_one_line_whatever_the_number(name, numbers):
    info = RECIPES[name]
    spec = DataSpec(IMAGE.shape, context_dim=3 if info.conditional else 0)
    for option in own_options(name):
        for number in numbers:
            for value in values(option, number):
                given_options = {option.name: value}
                message = refusal(lambda given=given_options: build(name, spec, **given))
                assert message is None or option.name in message, message


@pytest.mark.parametrize("figure", numeric(PLAN_OPTIONS), ids=lambda option: option.name)
@pytest.mark.parametrize("number", EXTREMES)
def test_a_plan_is_made_or_refused_in_one_line_whatever_the_number(figure, number):
    message = refusal(lambda: build("mlp", ROW, **{figure.name: number}))
    assert message is None or message.startswith(f"option {figure.name}: ")


def test_a_model_larger_than_the_memory_is_refused_before_it_takes_any():
    message = refusal(lambda: build("mlp", ROW, latent_dim=10**6))
    assert message.startswith("option latent_dim: 1000000 makes a model that is too large: 129 0")
    assert "parameters, which take 2.1 GB" in message
    assert "5.0 MB are free; use a smaller one" in message
    message = refusal(lambda: build("mlp", ROW, hidden=(2, 2**31 - 1, 2**31 - 1)))
    assert message.startswith("option hidden")
    assert isinstance(build("mlp", ROW, latent_dim=2000), Recipe)


def test_weighing_a_model_leaves_its_weights_as_they_are(monkeypatch):
    first = build("mlp", ROW, latent_dim=600, seed=3).model.state_dict()
    monkeypatch.setattr(weight_memory, "refuse_too_large", None)
    monkeypatch.setattr("autoencode.recipes.catalogue.refuse_too_large", lambda *_: None)
    second = build("mlp", ROW, latent_dim=600, seed=3).model.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        (AtLeast(1), (1, 2, 1e9), (0, 0.999, -5, math.nan)),
        (AtLeast(0, 5), (0, 5), (-1, 6, math.inf, math.nan)),
        (Above(0), (1e-300, 7), (0, -1, math.nan)),
        (Above(0, 2), (2,), (0, 2.1)),
        (AtMost(1), (1, -9), (1.1, math.inf, math.nan)),
        (Within(0, 1), (0, 1), (-0.1, 1.1, math.nan)),
        (Within(0, 1, "[)"), (0, 0.99), (1,)),
        (Within(0, 1, "(]"), (1,), (0,)),
        (Within(0, 1, "()"), (0.5,), (0, 1)),
    ],
)
def test_a_range_tells_inside_from_outside(limit, inside, outside):
    assert isinstance(limit, Limit)
    assert all(limit.fault(number) is None for number in inside)
    assert all(limit.fault(number).startswith("must ") for number in outside)
    assert limit.words
