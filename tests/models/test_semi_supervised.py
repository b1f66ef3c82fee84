"""Models that learn from labels where there are some: their bounds, and the labels themselves."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from autoencode import build, load_data
from autoencode.data import Examples, Resident, conditioned, known_labels
from autoencode.data.values.arrays import as_labels
from autoencode.distributions import OneHotCategorical
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.evaluate.metrics import evaluate
from autoencode.evaluate.nll import nll
from autoencode.objectives import SemiSupervised, log_weights
from autoencode.runs import training as runs
from autoencode.trained import load_trained
from autoencode.training.update import only
from autoencode.types import Batch, DataSpec, Progress

SPEC = DataSpec((6,), context_dim=3, classes=("a", "b", "c"), labelled=0.25)
SMALL = {"hidden": (16,), "latent_dim": 2}


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def model_of(spec=SPEC, **options):
    return build("m2_vae", spec, **{**SMALL, **options})


def batch_of(*labels):
    """Examples of these classes, unknown where ``None``."""
    context = torch.full((len(labels), 3), torch.nan)
    for row, label in enumerate(labels):
        if label is not None:
            context[row] = F.one_hot(torch.tensor(label), 3).float()
    x = torch.rand(len(labels), 6, generator=torch.Generator().manual_seed(1))
    return Batch(x, x, context)


def by_hand(model, x, y, noise):
    """-log p(x|y,z) and KL(q(z|x,y) || p(z)) of examples (B, D) at one class, written out."""
    ones = torch.zeros(len(x), 3)
    ones[:, y] = 1.0
    loc, log_scale = model.bottleneck.heads(model.encoder(x, ones)).chunk(2, -1)
    q = torch.distributions.Normal(loc, log_scale.exp())
    logits = model.decoder(loc + log_scale.exp() * noise, ones)
    error = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    prior = torch.distributions.Normal(torch.zeros_like(loc), torch.ones_like(loc))
    return error, torch.distributions.kl_divergence(q, prior).sum(1)


def losses_and_noise(objective, model, batch):
    torch.manual_seed(7)
    found = objective(model, batch, Progress())
    torch.manual_seed(7)
    return found, torch.randn(3, len(batch.x), 2)


def test_the_unlabelled_bound_is_the_sum_over_classes_by_brute_force():
    model, batch = model_of().model, batch_of(None, None, None, None)
    found, noise = losses_and_noise(SemiSupervised(5.0, 0.25), model, batch)
    q = torch.softmax(model.guess.head(model.classifier(batch.x)), 1)
    expected = torch.zeros(4)
    for y in range(3):
        error, kl = by_hand(model, batch.x, y, noise[y])
        expected += q[:, y] * (error + kl + math.log(3) + q[:, y].log())
    torch.testing.assert_close(found.total, expected.mean())


def test_the_labelled_bound_is_that_of_the_known_class_and_the_guess_is_weighed_by_the_share():
    labels = (2, 0, 1, 1)
    model, batch = model_of().model, batch_of(*labels)
    found, noise = losses_and_noise(SemiSupervised(0.5, 0.25), model, batch)
    log_q = torch.log_softmax(model.guess.head(model.classifier(batch.x)), 1)
    expected = 0.0
    for row, y in enumerate(labels):
        error, kl = by_hand(model, batch.x, y, noise[y])
        expected += error[row] + kl[row] + math.log(3) - 0.5 / 0.25 * log_q[row, y]
    torch.testing.assert_close(found.total, expected / 4)


def test_over_a_whole_data_set_it_is_the_objective_of_the_paper_divided_by_n():
    """J^alpha: labelled bounds, unlabelled bounds, and alpha N times a mean over the labelled."""
    model, batch = model_of().model, batch_of(1, None, None, None, None, 2, None, None)
    found, noise = losses_and_noise(SemiSupervised(0.1, 2 / 8), model, batch)
    log_q = torch.log_softmax(model.guess.head(model.classifier(batch.x)), 1)
    costs = [sum(by_hand(model, batch.x, y, noise[y])) + math.log(3) for y in range(3)]
    cost = torch.stack(costs, 1)
    labelled = cost[0, 1] + cost[5, 2]
    rest = [1, 2, 3, 4, 6, 7]
    unlabelled = (log_q.exp() * (cost + log_q)).sum(1)[rest].sum()
    alpha = 0.1 * 8
    j = labelled + unlabelled + alpha * -(log_q[0, 1] + log_q[5, 2]) / 2
    torch.testing.assert_close(found.total, j / 8)


def test_alpha_enters_only_where_there_are_labels():
    model = model_of().model

    def total(alpha, *labels):
        return losses_and_noise(SemiSupervised(alpha, 0.5), model, batch_of(*labels))[0].total

    assert torch.equal(total(0.0, None, None, None), total(9.0, None, None, None))
    assert not torch.equal(total(0.0, None, 1, None), total(9.0, None, 1, None))
    batch = batch_of(None, 1, None)
    x = batch.x.clone().requires_grad_()
    gradients = []
    for alpha in (0.0, 9.0):
        torch.manual_seed(7)
        loss = SemiSupervised(alpha, 0.5)(model, Batch(x, batch.x, batch.context), Progress()).total
        gradients.append(torch.autograd.grad(loss, x)[0])
    assert torch.equal(gradients[0][[0, 2]], gradients[1][[0, 2]])
    assert not torch.equal(gradients[0][1], gradients[1][1])


def test_with_one_class_it_is_the_elbo_of_a_vae():
    one = DataSpec((6,), context_dim=1, classes=("a",), labelled=1.0)
    m2 = model_of(one, activation="relu").model
    vae = build("vae", DataSpec((6,)), **SMALL)
    weights = {name: value.clone() for name, value in m2.state_dict().items()}
    for part, layer in (("encoder", "layers.0"), ("decoder", "layers.0")):
        w = weights[f"{part}.{layer}.weight"]
        weights[f"{part}.{layer}.bias"] += w[:, -1]
        weights[f"{part}.{layer}.weight"] = w[:, :-1]
    names = vae.model.state_dict().keys()
    vae.model.load_state_dict({name: weights[name] for name in names})
    x = torch.rand(5, 6)
    for context in (torch.full((5, 1), torch.nan), torch.ones(5, 1)):
        torch.manual_seed(3)
        found = SemiSupervised(0.3, 1.0)(m2, Batch(x, x, context), Progress()).total
        torch.manual_seed(3)
        expected = vae.updates[0].objective(vae.model, Batch.from_examples(x), Progress()).total
        torch.testing.assert_close(found, expected)


def test_draws_of_the_class_have_the_summed_bound_as_their_mean():
    """``forward`` draws y; evaluation and training must speak of the same bound."""
    model, batch = model_of().model.eval(), batch_of(None, 1, None)
    with torch.no_grad():
        drawn = log_weights(model(batch, 20_000), batch)
        objective = SemiSupervised(0.0, 1.0)
        summed = torch.stack(
            [
                torch.stack([objective(model, batch.rows(i, 3), Progress()).total for i in range(3)])
                for _ in range(500)
            ]
        )
    error = (drawn.var(0) / len(drawn) + summed.var(0) / len(summed)).sqrt()
    assert bool(((-drawn.mean(0) - summed.mean(0)).abs() < 4 * error).all())


def test_what_is_known_is_drawn_as_it_is():
    model, batch = model_of().model.eval(), batch_of(2, None, 0)
    latent = model(batch, 50).latent
    y = latent.sites["y"]
    assert bool((y.z[:, 0].argmax(-1) == 2).all())
    assert bool((y.z[:, 2].argmax(-1) == 0).all())
    assert len(y.z[:, 1].argmax(-1).unique()) > 1
    expected = torch.tensor([math.log(3), math.log(3)])
    torch.testing.assert_close(y.kl()[[0, 2]], expected)
    torch.testing.assert_close(y.log_ratio()[0, [0, 2]], expected)


def test_every_parameter_has_a_gradient_with_and_without_labels():
    recipe = model_of()
    everything = list(recipe.model.parameters())
    for batch in (batch_of(0, None, 2), batch_of(None, None, None)):
        with only(everything, everything):
            recipe.updates[0].objective(recipe.model, batch, Progress()).total.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in everything)
        assert all(bool(p.grad.abs().sum() > 0) for p in everything)
        recipe.model.zero_grad()


def test_a_category_of_one_hot_draws_is_the_distribution_of_torch():
    logits = torch.randn(4, 3)
    ours, theirs = OneHotCategorical(logits), torch.distributions.OneHotCategorical(logits=logits)
    draws = ours.rsample(torch.Size((40_000,)))
    assert bool((draws.sum(-1) == 1).all())
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.log_prob(draws[:50]), theirs.log_prob(draws[:50]))
    deviation = (theirs.mean * (1 - theirs.mean) / len(draws)).sqrt()
    assert bool(((draws.mean(0) - theirs.mean).abs() < 4 * deviation).all())
    prior = OneHotCategorical(torch.tensor([0.0, 1.0, 2.0]))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=logits),
        torch.distributions.Categorical(logits=torch.tensor([0.0, 1.0, 2.0])),
    )
    torch.testing.assert_close(ours.kl(prior), expected)
    sure = OneHotCategorical(torch.tensor([[0.0, -torch.inf, -torch.inf]]))
    torch.testing.assert_close(sure.kl(OneHotCategorical(torch.zeros(3))), torch.tensor([math.log(3)]))


# Labels


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, -1, 12], ["1", "", "12"]),
        (["x", None, "y"], ["x", "", "y"]),
        (["x", "", "y"], ["x", "", "y"]),
        ([1.0, np.nan, 12.0], ["1", "", "12"]),
        ([0.5, np.nan, 2.0], ["0.5", "", "2.0"]),
        (pd.Series([1, None, 12], dtype="Int64"), ["1", "", "12"]),
        (pd.Series(["x", pd.NA, "y"], dtype="string"), ["x", "", "y"]),
        (pd.Series(["x", np.nan, "y"], dtype="object"), ["x", "", "y"]),
        ([True, False, True], ["True", "False", "True"]),
    ],
)
def test_missing_labels_are_gaps_and_minus_one(labels, names):
    found, known = known_labels(as_labels(labels, 3))
    assert found.tolist() == names
    assert known.tolist() == [name != "" for name in names]


def test_contexts_of_missing_labels_are_gaps():
    x = np.random.default_rng(0).random((20, 4)).astype(np.float32)
    data = conditioned(load_data(x, labels=np.arange(20) % 3 - 1), may_miss=True)
    assert data.spec.classes == ("0", "1")
    known = np.asarray(data.train.labels) != -1
    assert data.spec.labelled == pytest.approx(known.mean())
    context = Resident(data.train, data.spec).batch(torch.arange(len(data.train))).context
    assert np.array_equal(context.isnan().all(1).numpy(), ~known)
    assert np.array_equal(context.isnan().any(1).numpy(), ~known)
    assert np.array_equal(context.argmax(1).numpy()[known], np.asarray(data.train.labels)[known])
    bare = Resident(Examples(x), data.spec).batch(torch.arange(20)).context
    assert bool(bare.isnan().all())


@pytest.mark.parametrize("n", [10, 55, 100])
def test_as_many_labels_as_asked_are_kept_and_the_same_number_of_each_class(n):
    digits = load_data("digits")
    data = conditioned(digits, may_miss=True, n_labels=n, seed=3)
    names, known = known_labels(data.train.labels)
    assert known.sum() == n
    assert data.spec.labelled == pytest.approx(n / len(digits.train))
    counts = np.unique(names[known], return_counts=True)[1]
    assert len(counts) == 10
    assert counts.max() - counts.min() <= 1
    assert np.array_equal(names[known], digits.train.labels[known].astype(str))
    again = conditioned(digits, may_miss=True, n_labels=n, seed=3)
    other = conditioned(digits, may_miss=True, n_labels=n, seed=4)
    assert np.array_equal(known, known_labels(again.train.labels)[1])
    assert not np.array_equal(known, known_labels(other.train.labels)[1])
    assert known_labels(data.test.labels)[1].all()


def test_numbers_of_labels_that_cannot_be_are_refused():
    digits = load_data("digits")
    for n in (9, 0, -1, 5000):
        with pytest.raises(OptionError, match=r"must lie in 10 \(one of each class\) to 1438"):
            conditioned(digits, may_miss=True, n_labels=n)
    for recipe in ("cvae", "vae"):
        with pytest.raises(OptionError, match=r"m2_vae"):
            runs.train("digits", recipe, n_labels=100, epochs=1)


# Training


def two_kinds(n=300):
    """Bright above or below, which is the class, and how bright, which is not."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(n) < 0.5, "above", "below")
    x = np.full((n, 12), 0.1, np.float32) + 0.2 * rng.random((n, 1), np.float32)
    x[labels == "above", :6] += 0.6
    x[labels == "below", 6:] += 0.6
    return x, labels


def test_from_four_labels_it_guesses_the_others(tmp_path):
    x, labels = two_kinds()
    options = {**SMALL, "epochs": 40, "batch_size": 20, "lr": 3e-3}
    given = {"labels": labels, "n_labels": 4, "standardize": "unit", "out": tmp_path / "run"}
    run = runs.train(x, "m2_vae", **given, **options)
    assert run.metrics["label_accuracy"] > 0.95
    assert run.metrics["elbo"] is not None
    trained = run.trained
    guesses = trained.classify(x)
    assert (guesses == labels).mean() > 0.95
    assert np.allclose(trained.class_probabilities(x).sum(1), 1, atol=1e-5)
    again = load_trained(tmp_path / "run")
    assert again.spec == trained.spec
    assert np.array_equal(again.classify(x), guesses)
    assert np.array_equal(again.embed(x), trained.embed(x))
    assert np.array_equal(again.reconstruct(x), trained.reconstruct(x))
    assert nll(again, Examples(x), 5).n_examples == 300


def test_samples_follow_the_label_they_are_asked_for():
    x, labels = two_kinds()
    options = {**SMALL, "epochs": 60, "batch_size": 20, "lr": 3e-3}
    trained = runs.train(x, "m2_vae", labels=labels, n_labels=100, **options).trained
    for label, bright in (("above", slice(0, 6)), ("below", slice(6, 12))):
        made = trained.sample(50, labels=[label] * 50)
        dark = slice(6, 12) if label == "above" else slice(0, 6)
        assert made[:, bright].mean() > made[:, dark].mean() + 0.15


def test_what_it_is_judged_by_is_not_told_to_it():
    x, labels = two_kinds()
    trained = runs.train(load_data(x, labels=labels), "m2_vae", epochs=2, **SMALL).trained
    wrong = np.where(labels == "above", "below", "above")
    right, turned = (evaluate(trained, Examples(x, given)) for given in (labels, wrong))
    assert right["label_accuracy"] == pytest.approx(1 - turned["label_accuracy"])
    assert {n: v for n, v in right.items() if n != "label_accuracy"} == {
        n: v for n, v in turned.items() if n != "label_accuracy"
    }
    assert evaluate(trained, Examples(x))["label_accuracy"] is None
    half = np.where(np.arange(len(x)) % 2, labels, "")
    assert evaluate(trained, Examples(x, half))["label_accuracy"] == pytest.approx(
        (trained.classify(x) == labels)[np.arange(len(x)) % 2 == 1].mean()
    )


def test_a_run_goes_on_after_a_break_with_the_same_labels(tmp_path):
    class Stop(runs.Observer):
        def stop(self):
            return True

    options = {**SMALL, "epochs": 2, "n_labels": 30, "seed": 5}
    run = runs.train("digits", "m2_vae", out=tmp_path / "run", observer=Stop(), **options)
    assert not run.complete
    run = runs.resume(tmp_path / "run")
    assert run.complete
    whole = runs.train("digits", "m2_vae", **options)
    for name, value in whole.trained.model.state_dict().items():
        assert torch.equal(value, run.trained.model.state_dict()[name]), name


def test_what_does_not_fit_is_told_in_one_line():
    x, labels = two_kinds()
    with pytest.raises(DataError, match=r"labels missing for a conditional recipe: array has none"):
        runs.train(x, "m2_vae", **SMALL)
    with pytest.raises(IncompatibleError, match=r"labels missing for a conditional recipe; train"):
        build("m2_vae", DataSpec((12,)))
    gaps = np.where(np.arange(len(x)) % 2, labels, "")
    with pytest.raises(DataError, match=r"of array have none; leave those out, or use m2_vae"):
        runs.train(load_data(x, labels=gaps), "cvae", **SMALL)
    with pytest.raises(DataError, match=r"2 to 1000 classes and the labels of array have 0 values"):
        runs.train(load_data(x, labels=[""] * len(x)), "m2_vae", **SMALL)
    with pytest.raises(OptionError, match="option alpha: must not be negative"):
        build("m2_vae", SPEC, alpha=-1.0)
    plain = runs.train(x, "mlp", hidden=(8,), latent_dim=2, epochs=1).trained
    with pytest.raises(IncompatibleError, match="'mlp' guesses no labels; use m2_vae"):
        plain.classify(x)
    trained = runs.train(load_data(x, labels=labels), "m2_vae", epochs=1, **SMALL).trained
    with pytest.raises(DataError, match=r"label 'c' is none of the model's classes \(above, below\)"):
        trained.embed(Examples(x, np.full(300, "c")))
    with pytest.raises(DataError, match="conditional on labels"):
        trained.decode(trained.embed(x))
