"""What an autoencoder learned, in other models: pipelines and bodies of one's own networks."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from autoencode import Autoencoder, Denoiser, load

X, Y = load_digits(return_X_y=True)
IMAGES = load_digits().images


def fitted(**more):
    return Autoencoder("mlp", 16, epochs=15, device="cpu", random_state=0, **more).fit(X[:1000])


@pytest.fixture(scope="module")
def autoencoder():
    return fitted()


def test_a_pipeline_with_a_classifier_learns_the_digits():
    model = make_pipeline(
        Autoencoder("mlp", 16, epochs=15, device="cpu", random_state=0),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )
    assert model.fit(X[:1000], Y[:1000]).score(X[1000:], Y[1000:]) > 0.8


def test_the_width_of_the_code_can_be_searched_for():
    steps = make_pipeline(Autoencoder("linear", epochs=5, device="cpu"), LogisticRegression())
    search = GridSearchCV(steps, {"autoencoder__n_components": [1, 12]}, cv=2)
    search.fit(X[:300], Y[:300])
    assert search.best_params_ == {"autoencoder__n_components": 12}


def test_the_body_gives_the_codes_of_transform(autoencoder):
    with torch.no_grad():
        z = autoencoder.encoder_(torch.from_numpy(X[:50])).numpy()
    np.testing.assert_allclose(z, autoencoder.transform(X[:50]), rtol=1e-4, atol=1e-5)


def trained(net, steps=60):
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-2)
    x, y = torch.tensor(X[:100], dtype=torch.float32), torch.tensor(Y[:100])
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("frozen", [True, False])
def test_a_body_is_frozen_or_fine_tuned_and_the_estimator_stays_as_it_was(autoencoder, frozen):
    before = autoencoder.transform(X[:20])
    torch.manual_seed(0)
    body = autoencoder.encoder_.requires_grad_(not frozen)
    start = {name: value.clone() for name, value in body.state_dict().items()}
    losses = trained(nn.Sequential(body, nn.Linear(16, 10)))
    assert losses[-1] < 0.5 * losses[0]
    unchanged = all(torch.equal(value, start[name]) for name, value in body.state_dict().items())
    assert unchanged == frozen
    np.testing.assert_array_equal(autoencoder.transform(X[:20]), before)


def test_pretraining_is_what_helps_a_frozen_body(autoencoder):
    """The same hidden layers with fresh weights, frozen, give worse features."""
    untrained = {"epochs": 1, "lr": 1e-12, "options": {"shortcut": "none"}}
    fresh = Autoencoder("mlp", 16, device="cpu", random_state=0, **untrained).fit(X[:1000])
    scores = []
    for model in (autoencoder, fresh):
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        head.fit(model.transform(X[:200]), Y[:200])
        scores.append(head.score(model.transform(X[1000:]), Y[1000:]))
    assert scores[0] > scores[1] + 0.05


def test_the_bodies_of_a_denoiser_and_of_a_loaded_run(autoencoder, tmp_path):
    denoiser = Denoiser(
        epochs=1, device="cpu", options={"channels": (4,), "strides": (2,)}, random_state=0
    ).fit(IMAGES[:100])
    z = denoiser.encoder_(torch.from_numpy(IMAGES[:3]))
    assert z.shape == (3, 64 + 4 * 16)
    autoencoder.save(tmp_path / "run")
    body = load(tmp_path / "run", device="cpu").encoder_
    with torch.no_grad():
        found = body(torch.from_numpy(X[:5])).numpy()
    np.testing.assert_allclose(found, autoencoder.transform(X[:5]), rtol=1e-4, atol=1e-5)
