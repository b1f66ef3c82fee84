"""Labels as context, from the data to the samples."""

import numpy as np
import pytest
import torch

from autoencode import Autoencoder, build, load_data
from autoencode.data import Examples, Resident, conditioned
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.evaluate.nll import nll
from autoencode.runs import training as runs
from autoencode.trained import load_trained
from autoencode.types import DataSpec

SMALL = {"epochs": 2, "hidden": (16,), "latent_dim": 2}


def two_kinds(n=200):
    """Bright above for 'a', below for 'b', and something else that the label does not say."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(n) < 0.5, "a", "b")
    x = np.full((n, 12), 0.1, np.float32) + 0.2 * rng.random((n, 1), np.float32)
    x[labels == "a", :6] += 0.6
    x[labels == "b", 6:] += 0.6
    return x, labels


def data():
    x, labels = two_kinds()
    return conditioned(load_data(x, labels=labels))


def test_batches_have_their_own_labels_as_one_hot_context():
    found = data()
    assert found.spec.classes == ("a", "b")
    assert found.spec.context_dim == 2
    source = Resident(found.train, found.spec)
    rows = torch.tensor([5, 2, 9])
    for batch, labels in (
        (source.batch(rows), found.train.labels[rows.numpy()]),
        (next(source.batches(7)), found.train.labels[:7]),
    ):
        expected = np.array([[label == "a", label == "b"] for label in labels], np.float32)
        assert np.array_equal(batch.context.numpy(), expected)


def test_numbers_are_ordered_as_numbers():
    x, _ = two_kinds()
    labels = np.arange(200) % 12
    assert conditioned(load_data(x, labels=labels)).spec.classes[:4] == ("0", "1", "2", "3")


def test_samples_and_decoded_codes_follow_the_label_they_are_asked_for(tmp_path):
    x, labels = two_kinds()
    spec = data().spec
    options = SMALL | {"epochs": 40, "batch_size": 20}
    run = runs.train(Labelled(x, labels), "cvae", out=tmp_path / "run", **options)
    trained = run.trained
    assert trained.spec.classes == spec.classes
    for label, bright in (("a", slice(0, 6)), ("b", slice(6, 12))):
        made = trained.sample(50, labels=[label] * 50)
        dark = slice(6, 12) if label == "a" else slice(0, 6)
        assert made[:, bright].mean() > made[:, dark].mean() + 0.15
        assert np.array_equal(made, trained.sample(50, labels=[label] * 50))
    turns = trained.sample(4)
    assert turns[0, :6].mean() > turns[0, 6:].mean()
    assert turns[1, :6].mean() < turns[1, 6:].mean()
    again = load_trained(tmp_path / "run")
    examples = Examples(x, labels)
    assert np.array_equal(again.embed(examples), trained.embed(examples))
    assert np.array_equal(again.reconstruct(examples), trained.reconstruct(examples))
    assert run.metrics["elbo"] is not None
    assert nll(again, examples, 5).n_examples == 200


class Labelled(torch.utils.data.Dataset):
    """A torch data set with labels, as users have them."""

    def __init__(self, x, labels):
        self.x, self.labels = x, labels

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return torch.from_numpy(self.x[i]), str(self.labels[i])


def test_digits_become_conditional_by_their_recipe_and_go_on_after_a_break(tmp_path):
    class Stop(runs.Observer):
        def stop(self):
            return True

    run = runs.train("digits", "cvae", out=tmp_path / "run", observer=Stop(), **SMALL)
    assert not run.complete
    run = runs.resume(tmp_path / "run")
    assert run.complete
    assert run.trained.spec.context_dim == 10
    whole = runs.train("digits", "cvae", **SMALL)
    for name, value in whole.trained.model.state_dict().items():
        assert torch.equal(value, run.trained.model.state_dict()[name]), name


def test_what_is_missing_is_told_in_one_line_with_a_remedy():
    x, labels = two_kinds()
    with pytest.raises(DataError, match=r"labels missing for a conditional recipe: array has none"):
        runs.train(x, "cvae", **SMALL)
    with pytest.raises(IncompatibleError, match=r"labels missing for a conditional recipe; train"):
        build("cvae", DataSpec((12,)))
    with pytest.raises(DataError, match=r"needs 2 to 1000 classes and the labels of array have 1"):
        conditioned(load_data(x, labels=["a"] * 200))
    with pytest.raises(OptionError, match=r"conditional on labels.*train it with autoencode.train"):
        Autoencoder("cvae").fit(x, labels)
    trained = runs.train(Labelled(x, labels), "cvae", **SMALL).trained
    with pytest.raises(DataError, match=r"these examples have none; give Examples"):
        trained.embed(x)
    with pytest.raises(DataError, match=r"label 'c' is none of the model's classes \(a, b"):
        trained.reconstruct(Examples(x, np.full(200, "c")))
    with pytest.raises(DataError, match=r"expected 3 labels, one for each example, got 2"):
        trained.sample(3, labels=["a", "b"])
