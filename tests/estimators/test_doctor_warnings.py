"""The doctor speaks in Python, and what it advises cures: every advice is followed to the letter."""

import warnings

import numpy as np
import pytest

import autoencode
from autoencode import AnomalyDetector, Autoencoder, DoctorWarning, train
from autoencode.evaluate.findings import Beside, worse_than_pca

RNG = np.random.default_rng(0)
B = RNG.normal(size=(480, 3)) @ RNG.normal(size=(3, 12)) + 0.1 * RNG.normal(size=(480, 12))
NARROW = (B - B.min(0)) / np.ptp(B, 0)  # in [0, 1], a standard deviation of a tenth
FEW = np.c_[B[:80], RNG.normal(size=(80, 8))]


def told(model, x) -> dict[str, DoctorWarning]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x)
    assert all(w.category is DoctorWarning for w in caught), caught
    found = {w.message.rule: w.message for w in caught}
    assert len(found) == len(caught)
    return found


def followed(model: Autoencoder, suggestion: str) -> Autoencoder:
    """Follows an advice mechanically: parameters of the estimator, else options."""
    again = Autoencoder(**model.get_params(deep=False))
    options = dict(model.options or {})
    for one in suggestion.split(", "):
        name, value = one.split("=")
        if name == "recipe":  # whose options are others
            kept = ("epochs", "batch_size", "lr")
            again.set_params(recipe=value, **dict.fromkeys(kept))
            options = {}
        else:
            options[name] = value
    return again.set_params(options=options)


def error(model, x) -> float:
    return float(np.square((model.reconstruct(x).reshape(x.shape) - x) / x.std(0)).mean())


def vae(**options) -> Autoencoder:
    figures = {"batch_size": 32, "epochs": 25, "lr": 5e-3, "random_state": 0}
    return Autoencoder("vae", 3, options={"hidden": (32,), **options}, **figures)


COLLAPSED = {
    "a scale too wide": (vae(likelihood="gaussian").set_params(standardize="none"), NARROW),
    "grey pixels": (vae(), NARROW.reshape(-1, 3, 4)),
    "a heavy KL term": (vae(likelihood="gaussian", beta=200.0), B),
}


@pytest.mark.parametrize("name", COLLAPSED)
def test_a_collapse_is_told_and_the_advice_cures_it(name):
    model, x = COLLAPSED[name]
    found = told(model, x)
    assert list(found) == ["posterior_collapse"]
    assert "KL" in str(found["posterior_collapse"])
    again = followed(model, found["posterior_collapse"].suggestion)
    assert "posterior_collapse" not in told(again, x)
    assert error(again, x) < 0.5 * error(model, x)


PLAIN = {"shortcut": "none", "keep": "last", "patience": 0, "hidden": (64,), "min_steps": 0}


def test_a_heavy_kl_term_loses_to_pca_and_is_the_cause():
    model = vae(beta=200.0)
    found = told(model, B)
    assert found["worse_than_pca"].suggestion == "beta=1"
    again = followed(model, "beta=1")
    assert told(again, B) == {}
    assert error(again, B) < 0.5 * error(model, B)


WORSE = {
    "learned by heart": (250, 0.4, "keep=best, validation=0.2"),
    "learned too little": (40, 0.1, "recipe=linear"),
}


@pytest.mark.parametrize("name", WORSE)
def test_what_loses_to_pca_says_so_and_the_advice_is_better(name):
    epochs, held_out, advice = WORSE[name]
    x = FEW if epochs > 100 else B
    options = {**PLAIN, "validation": held_out}
    lr = 5e-3 if epochs > 100 else 1e-5
    figures = {"epochs": epochs, "batch_size": 32, "lr": lr, "options": options}
    model = Autoencoder("mlp", 3, random_state=0, **figures)
    found = told(model, x)
    assert found["worse_than_pca"].suggestion == advice
    assert "PCA of 3 components" in str(found["worse_than_pca"])
    again = followed(model, advice)
    rest = told(again, x)
    new = np.r_[B[80:], B[:80]] if x is B else np.c_[B[80:], RNG.normal(size=(400, 8))]
    assert error(again, new) < 0.9 * error(model, new)
    assert "overfitting" not in rest


def test_a_reach_that_is_too_short_is_told_and_cured():
    figures = {"epochs": 20, "batch_size": 32, "random_state": 0}
    model = Autoencoder("mlp", 3, options={"hidden": (16,), "output": "sigmoid"}, **figures)
    found = told(model, B)
    assert found["range_mismatch"].suggestion == "output=identity"
    again = followed(model, found["range_mismatch"].suggestion)
    assert "range_mismatch" not in told(again, B)
    assert error(again, B) < 0.5 * error(model, B)


@pytest.mark.parametrize("recipe", ["mlp", "vae", "linear", "mlp_small"])
def test_healthy_fits_say_nothing(recipe):
    model = Autoencoder(recipe, 3, random_state=0, options={"min_steps": 300})
    assert told(model, B) == {}
    assert told(Autoencoder(recipe, 3, random_state=0, epochs=2), FEW) == {}
    assert told(AnomalyDetector(random_state=0), B) == {}


def test_it_can_be_silenced():
    model, x = COLLAPSED["a heavy KL term"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=autoencode.DoctorWarning)
        model.fit(x)
        warnings.filterwarnings("error", category=autoencode.DoctorWarning)
        vae(likelihood="gaussian", beta=200.0, doctor=False).fit(x)
        with pytest.raises(DoctorWarning, match="collapsed"):
            vae(likelihood="gaussian", beta=200.0).fit(x)


def test_a_run_tells_as_an_estimator_does():
    with pytest.warns(DoctorWarning, match=r"collapsed.*; try beta=1$"):
        train(
            B,
            "vae",
            likelihood="gaussian",
            beta=200.0,
            hidden=(16,),
            latent_dim=3,
            epochs=25,
            batch_size=32,
        )


@pytest.mark.parametrize(("times", "told_of"), [(1.05, False), (1.3, True)])
def test_only_what_is_surely_worse_is_told(times, told_of):
    model = Autoencoder("mlp", 3, epochs=1, random_state=0, options={"hidden": (8,)}).fit(B)
    pca = RNG.random(200) + 1
    beside = Beside(times * pca, pca, 10.0, 3, False, 0.1)
    assert (worse_than_pca(model.trained_, beside) is not None) == told_of
    noisy = Beside(pca + 10 * RNG.normal(size=200), pca, 10.0, 3, False, 0.1)
    assert worse_than_pca(model.trained_, noisy) is None


def test_noise_of_which_no_code_can_hold_much_is_no_collapse():
    noise = np.random.default_rng(1).normal(size=(480, 12))
    assert "posterior_collapse" not in told(vae(likelihood="gaussian"), noise)
