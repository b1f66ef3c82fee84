"""Whose noise is drawn: the call's for this package, torch's default one for code of the user's own."""

import functools
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autoencode import DataSpec, build
from autoencode.nets.layers import Dropout, Dropout2d
from autoencode.randomness import (
    bernoulli,
    building,
    choices,
    drawing,
    dropout,
    dropout2d,
    gamma,
    integers,
    mix,
    normal_entries,
    permuted,
    poisson,
    seed_step,
    seeded,
    standard_normal,
    uniform,
    uniform_entries,
)
from autoencode.randomness.own_code import is_own_code

CPU = torch.device("cpu")
KNOWN = nn.Linear(2, 2)
X = torch.rand(4, 5, 3, 3, generator=torch.Generator().manual_seed(0))
LAST = X.to(memory_format=torch.channels_last)
ROWS = X.flatten(1)


class Own(nn.Module):
    def forward(self, x):
        return x * torch.rand_like(x)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (lambda: standard_normal((3, 7), X), lambda: torch.randn(3, 7)),
        (lambda: normal_entries(X), lambda: torch.randn_like(X)),
        (lambda: normal_entries(LAST), lambda: torch.randn_like(LAST)),
        (lambda: uniform_entries(ROWS.T), lambda: torch.rand_like(ROWS.T)),
        (lambda: uniform((9,), X), lambda: torch.rand(9)),
        (lambda: permuted(ROWS), lambda: ROWS.gather(0, torch.rand_like(ROWS).argsort(0))),
        (lambda: bernoulli(X), lambda: torch.bernoulli(X)),
        (lambda: poisson(9 * X), lambda: torch.poisson(9 * X)),
        (lambda: gamma(1 + X, 2 + X), lambda: torch.distributions.Gamma(1 + X, 2 + X).sample()),
        (lambda: choices(ROWS), lambda: torch.multinomial(ROWS, 1)),
        (lambda: choices(ROWS[0], 9, True), lambda: torch.multinomial(ROWS[0], 9, replacement=True)),
        (lambda: integers(7, 9, CPU), lambda: torch.randint(7, (9,))),
        (lambda: dropout(X, 0.3, True), lambda: F.dropout(X, 0.3, True)),
        (lambda: dropout(LAST, 0.25, True), lambda: F.dropout(LAST, 0.25, True)),
        (lambda: dropout(X, 0.3, False), lambda: X),
        (lambda: dropout(X, 1.0, True), lambda: torch.zeros_like(X)),
        (lambda: dropout2d(X, 0.3, True), lambda: F.dropout2d(X, 0.3, True)),
        (lambda: dropout2d(LAST, 0.3, True), lambda: F.dropout2d(LAST, 0.3, True)),
        (lambda: Dropout(0.4)(X), lambda: F.dropout(X, 0.4)),
        (lambda: Dropout2d(0.4)(X), lambda: F.dropout2d(X, 0.4)),
    ],
)
def test_draws_are_the_numbers_of_torch_from_the_same_seed(ours, torchs):
    state = torch.get_rng_state()
    with seeded(3, CPU, KNOWN):
        found = [ours(), ours()]
        assert torch.equal(torch.get_rng_state(), state)
        seed_step(3, 8, CPU)
        found.append(ours())
    torch.manual_seed(mix(3))
    expected = [torchs(), torchs()]
    torch.manual_seed(mix(3, 2, 8))
    expected.append(torchs())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_gradient_of_dropout_is_that_of_torch():
    slopes = []
    for function in (dropout, F.dropout):
        x = X.clone().requires_grad_()
        torch.manual_seed(mix(3))
        with seeded(3, CPU, KNOWN):
            torch.manual_seed(mix(3))
            function(x, 0.3, True).square().sum().backward()
        slopes.append(x.grad)
    assert torch.equal(*slopes)


def test_code_of_the_users_own_and_parts_draw_from_one_stream():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    own = Own()
    with seeded(3, CPU, own):
        found = [own(X), uniform_entries(X), own(X)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(mix(3))
    assert torch.equal(found[0], X * torch.rand_like(X))
    assert torch.equal(found[1], torch.rand_like(X))
    assert torch.equal(found[2], X * torch.rand_like(X))


def test_code_of_the_users_own_repeats_where_another_thread_has_the_default_generator():
    own, dropping = Own(), nn.Dropout(0.3)
    network = nn.Sequential(own, dropping, nn.Dropout2d(0.2))

    def drawn():
        with seeded(5, CPU, network):
            return [network(X), uniform_entries(X), network(X), nn.Linear(3, 3).weight.detach()]

    expected, found = drawn(), []
    torch.manual_seed(11)
    state = torch.get_rng_state()
    with seeded(1, CPU, own):
        inside = torch.get_rng_state()
        thread = threading.Thread(target=lambda: found.extend(drawn()))
        thread.start()
        thread.join()
        assert torch.equal(torch.get_rng_state(), inside)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_callers_state_is_given_back_by_threads_that_leave_in_any_order():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    own, entered, left = Own(), threading.Event(), threading.Event()

    def stays():
        with seeded(2, CPU, own):
            entered.set()
            left.wait(10)
            own(X)

    thread = threading.Thread(target=stays)
    thread.start()
    entered.wait(10)
    with seeded(1, CPU, own):
        own(X)
    left.set()
    thread.join()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_block_inside_another_leaves_its_stream_alone():
    with seeded(3, CPU, KNOWN):
        first = uniform_entries(X)
        with drawing(4, CPU, KNOWN):
            uniform_entries(X)
            with seeded(5):
                inner = uniform_entries(X)
        second = uniform_entries(X)
    with seeded(3, CPU, KNOWN):
        assert torch.equal(uniform_entries(X), first)
        assert torch.equal(uniform_entries(X), second)
    with seeded(5, CPU, KNOWN):
        assert torch.equal(uniform_entries(X), inner)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(4, 3),
        lambda: nn.Conv2d(2, 3, 3),
        lambda: nn.Embedding(5, 3),
        lambda: nn.MultiheadAttention(4, 2),
        lambda: nn.GRU(3, 4),
        lambda: nn.TransformerEncoderLayer(4, 2, 8),
        lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)),
        lambda: nn.ParameterList([torch.randn(3), torch.rand(2), torch.empty(4).normal_(1, 2)]),
        lambda: nn.ParameterList([nn.init.trunc_normal_(torch.empty(30)), torch.rand_like(X)]),
        lambda: nn.ParameterList([nn.init.xavier_normal_(torch.empty(3, 4))]),
        lambda: nn.ParameterList([nn.init.kaiming_normal_(torch.empty(3, 4))]),
    ],
)
def test_first_weights_are_those_of_torchs_default_generator(make):
    state = torch.get_rng_state()
    with building(7):
        found = make().state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    expected = make().state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def lets_through(x, level):
    return x


@pytest.mark.parametrize(
    "part",
    [
        Own(),
        lets_through,
        nn.Sequential(nn.Linear(2, 2), Own()),
        nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)),
        [{"a": (Own(),)}],
        functools.partial(map, lets_through),
        Own().forward,
        torch.rand_like,
        F.dropout,
        Own,
    ],
)
def test_code_of_the_users_own_is_found_wherever_it_is(part):
    assert is_own_code([part])
    hook = build("mlp_small", DataSpec((6,)))
    assert not is_own_code([hook.model, hook.updates])
    hook.model.encoder.extra = part
    assert is_own_code([hook.model])


@pytest.mark.parametrize(
    "part", [KNOWN, nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.tanh, F.normalize, 3.0, X, "rand"]
)
def test_parts_of_torch_that_do_not_draw_are_no_code_of_the_users_own(part):
    assert not is_own_code([part])


def test_code_made_of_a_string_is_the_users_own():
    space = {}
    exec("def drawn(x):\n    return x", space)
    space["drawn"].__module__ = "builtins"
    assert is_own_code((space["drawn"],))
