"""scikit-learn's face over the core: a thin estimator."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_random_state
from torch import nn

from autoencode.checkpoints import kept_in
from autoencode.data import Data, prepare
from autoencode.data.raw import Array
from autoencode.files import storage_error
from autoencode.io import environment, load_trained, read_history, save_model, write_history
from autoencode.models import AutoencoderModule
from autoencode.recipes import build, recipe_info
from autoencode.recipes.catalogue import ScheduleName
from autoencode.runs import fit_recipe
from autoencode.trained import Trained, choose_device, fit_prior, flat
from autoencode.training import Observer


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Any recipe as an estimator: ``fit``, ``transform``, ``inverse_transform``, ``sample``.

    Parameters
    ----------
    recipe : str, default="mlp"
        One of ``autoencode.RECIPES``.
    n_components : int, default=None
        Width of the code; the recipe's own by default.
    encoder, decoder : torch.nn.Module, default=None
        Networks of your own, both or none; they are copied, never trained themselves.
    schedule : {"fast", "paper"}, default="fast"
        How it is trained.
    epochs, batch_size, lr : default=None
        The schedule's own figures by default.
    options : dict, default=None
        Any other option of the recipe or of the training plan, by name.
    device : str, default="auto"
        auto, cpu, cuda or mps.
    random_state : int, RandomState instance or None, default=None
        Of the weights, the order of examples and the noise.
    observer : autoencode.training.Observer, default=None
        Watches training.
    checkpoint : str or path, default=None
        A folder for checkpoints while ``fit`` runs. If it was interrupted, the next ``fit`` with the
        same data and settings goes on from there, to the bit; when it is done the folder is removed.

    Attributes
    ----------
    model_ : autoencode.AutoencoderModule
        The trained torch module.
    history_ : list of dict
        One entry for each epoch.
    n_iter_ : int
        Epochs that were trained.
    n_features_in_ : int
        Entries of one example.
    trained_ : autoencode.Trained
        The model with its data contract.

    Examples
    --------
    >>> import numpy as np
    >>> from autoencode import Autoencoder
    >>> x = np.random.default_rng(0).random((100, 30))
    >>> ae = Autoencoder("mlp_small", n_components=3, epochs=2, random_state=0).fit(x)
    >>> ae.transform(x).shape, ae.reconstruct(x).shape
    ((100, 3), (100, 30))
    """

    def __init__(
        self,
        recipe: str = "mlp",
        n_components: int | None = None,
        *,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        schedule: ScheduleName = "fast",
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        options: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = None,
        observer: Observer | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self.recipe = recipe
        self.n_components = n_components
        self.encoder = encoder
        self.decoder = decoder
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.options = options
        self.device = device
        self.random_state = random_state
        self.observer = observer
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains on examples (n, n_features), or images (n, height, width[, channels]).

        Raises
        ------
        autoencode.errors.InputError
            For data, options or networks that cannot be used, in one line.
        """
        examples, spec, notices = prepare(X, standardize=recipe_info(self.recipe).standardize)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        given = {
            "latent_dim": self.n_components,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "lr": self.lr,
        }
        options = {k: v for k, v in given.items() if v is not None} | dict(self.options or {})
        data = Data("array", examples, None, spec, notices)
        with self._checkpoints(data, seed, options) as (keeper, asked, state):
            seed = asked["seed"]
            recipe = build(
                self.recipe,
                spec,
                schedule=self.schedule,
                seed=seed,
                encoder=self.encoder,
                decoder=self.decoder,
                **options,
            )
            device = choose_device(self.device)
            records = fit_recipe(recipe, data, seed, device, self.observer, keeper, state)
        info = {"seed": seed, "schedule": self.schedule, "unit": recipe.unit}
        trained = fit_prior(Trained(recipe, info), examples.bounded(), seed)
        return self._hold(trained, [record.as_dict() for record in records])

    def _checkpoints(self, data: Data, seed: int, options: Mapping[str, Any]) -> Any:
        """Where training is kept, what it is, and the state it goes on from; nothing by default."""
        if self.checkpoint is None:
            return contextlib.nullcontext((None, {"seed": seed}, None))
        asked = {
            "data": data.fingerprint(),
            "recipe": self.recipe,
            "schedule": self.schedule,
            "options": {name: repr(value) for name, value in sorted(options.items())},
            "random_state": repr(self.random_state),
            "seed": seed,
        }
        return kept_in(self.checkpoint, asked, environment())

    def _hold(self, trained: Trained, history: list[dict[str, Any]]) -> Self:
        self.trained_ = trained
        self.history_ = history
        self.n_iter_ = len(history)
        self.n_features_in_ = trained.spec.size
        self._n_features_out = int(np.prod(trained.latent_shape))
        return self

    @property
    def model_(self) -> AutoencoderModule:
        check_is_fitted(self, "trained_")
        return self._trained.model

    @property
    def _trained(self) -> Trained:
        check_is_fitted(self, "trained_")
        trained: Trained = self.trained_
        return trained

    def transform(self, X: Any) -> Array:
        """Codes (n, n_components) of examples; a code that is a feature map comes flat."""
        return flat(self._trained.embed(X))

    def inverse_transform(self, Z: Any) -> Array:
        """Examples (n, ...) of codes (n, n_components), in the units and shape of the data."""
        return self._trained.decode(Z)

    def reconstruct(self, X: Any) -> Array:
        """Examples through the code and back, in the units and shape of the data."""
        return self._trained.reconstruct(X)

    def sample(self, n_samples: int = 1, seed: int = 0) -> Array:
        """New examples: from the prior, for a plain autoencoder from a Gaussian fitted to its codes."""
        return self._trained.sample(n_samples, seed)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes model, configuration and history into a folder, which ``load`` reads.

        Raises
        ------
        autoencode.errors.StorageError
            When it cannot be written.
        """
        trained = self._trained
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(folder, error) from error
        write_history(self.history_, folder)
        save_model(trained, folder)


def load(
    folder: str | os.PathLike[str],
    *,
    device: str = "auto",
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
) -> Autoencoder:
    """A trained ``Autoencoder`` from a run folder.

    Args:
        folder: what ``autoencode train`` or ``Autoencoder.save`` wrote.
        device: auto, cpu, cuda or mps.
        encoder, decoder: for a run with networks of your own, which no file can hold.

    Raises:
        RunFolderError: when the folder is missing or not complete.
        ModelFileError: when a file in it cannot be trusted or used.
    """
    where = choose_device(device)
    trained = load_trained(folder, device=where, encoder=encoder, decoder=decoder)
    # All that fit needs to do the same again.
    options = {**trained.recipe.options, **asdict(trained.recipe.plan)}
    own = {name: options.pop(name, None) for name in ("latent_dim", "epochs", "batch_size", "lr")}
    estimator = Autoencoder(
        trained.recipe.name,
        own.pop("latent_dim"),
        encoder=encoder,
        decoder=decoder,
        schedule=trained.info.get("schedule", "fast"),
        options=options,
        device=device,
        **own,
    )
    return estimator._hold(trained, read_history(folder))
