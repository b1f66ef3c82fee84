"""What the estimators share: checks of X in scikit-learn's sense, and training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import _check_feature_names, check_is_fitted, check_random_state

from autoencode.checkpoints import kept_in
from autoencode.data import Data, Examples, prepare
from autoencode.data.examples import apply_spec
from autoencode.data.frames import is_frame
from autoencode.errors import DataError, OptionError
from autoencode.io import environment
from autoencode.models import AutoencoderModule, Encoder
from autoencode.progress import watched
from autoencode.recipes import Recipe, build, recipe_info
from autoencode.recipes.catalogue import default_recipe
from autoencode.runs import fit_recipe
from autoencode.trained import Trained, choose_device, fit_prior
from autoencode.training import Observer
from autoencode.types import DataSpec


class CoreEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator with one trained model of the core, ``trained_``.

    Subclasses have the parameters that ``_train`` reads: recipe, n_components, encoder, decoder,
    schedule, epochs, batch_size, lr, options, column_kinds, early_stopping, validation_fraction,
    n_iter_no_change, device, random_state, verbose, observer, checkpoint.
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _checked(self, X: Any, *, reset: bool = False) -> Any:
        """X as it is, once its names and its width are those of ``fit`` (or are noted there)."""
        if isinstance(X, np.ndarray) or is_frame(X):
            _check_feature_names(self, X, reset=reset)
        elif reset and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if not reset and len(shape) == 2 and shape[1] not in (0, self.n_features_in_):
            raise DataError(
                f"X has {shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return X

    def _train(self, X: Any) -> tuple[Trained, list[dict[str, Any]]]:
        """A model trained on X, and its history."""
        seed = self._seed()
        examples, spec, notices = self._prepared(X)
        data = Data("array", examples, None, spec, notices)
        with self._checkpoints(data, seed) as (keeper, asked, state), self._watching() as observer:
            seed = asked["seed"]
            recipe = self._warmed(self._built(spec, seed))
            device = choose_device(self.device)
            records = fit_recipe(recipe, data, seed, device, observer, keeper, state)
        info = {"seed": seed, "schedule": self.schedule, "unit": recipe.unit}
        trained = fit_prior(Trained(recipe, info), examples.bounded(), seed)
        return trained, [record.as_dict() for record in records]

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _prepared(self, X: Any) -> tuple[Any, DataSpec, tuple[str, ...]]:
        """X as it is stored, how models see it, and notices; scaled as before in a warm start."""
        if self._is_warm():
            spec = self.trained_.spec
            return Examples(apply_spec(X, spec)), spec, ()
        name = "mlp" if self.recipe == "auto" else self.recipe
        if recipe_info(name).conditional:
            raise OptionError(
                f"recipe '{name}' is conditional on labels, which an estimator's transform does "
                "not get; train it with autoencode.train"
            )
        prepared = self._scaled_for(name, X)
        wanted = self._recipe_for(prepared[1])
        if recipe_info(wanted).standardize != recipe_info(name).standardize:
            prepared = self._scaled_for(wanted, X)
        return prepared

    def _scaled_for(self, recipe: str, X: Any) -> tuple[Any, DataSpec, tuple[str, ...]]:
        standardize = recipe_info(recipe).standardize
        return prepare(X, standardize=standardize, kinds=self.column_kinds, gaps=True)

    def _recipe_for(self, spec: DataSpec) -> str:
        """The name of the recipe that is asked for, or that suits the data."""
        return default_recipe(spec) if self.recipe == "auto" else self.recipe

    def _built(self, spec: DataSpec, seed: int, schedule: str | None = None) -> Recipe:
        return build(
            self._recipe_for(spec),
            spec,
            schedule=schedule or self.schedule,  # type: ignore[arg-type]
            seed=seed,
            encoder=self.encoder,
            decoder=self.decoder,
            **self._asked_options(),
        )

    def _asked_options(self) -> dict[str, Any]:
        given = {
            "latent_dim": self.n_components,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "lr": self.lr,
        }
        options = {name: value for name, value in given.items() if value is not None}
        if self.early_stopping:
            options |= {"validation": self.validation_fraction, "patience": self.n_iter_no_change}
        return options | dict(self.options or {})

    def _is_warm(self) -> bool:
        return bool(getattr(self, "warm_start", False)) and hasattr(self, "trained_")

    def _warmed(self, recipe: Recipe) -> Recipe:
        """The recipe, in a warm start with the weights of the last ``fit``."""
        if not self._is_warm():
            return recipe
        wanted = recipe.model.state_dict()
        before = {k: v for k, v in self.trained_.model.state_dict().items() if k in wanted}
        shapes = {name: tensor.shape for name, tensor in before.items()}
        if shapes != {name: tensor.shape for name, tensor in wanted.items()}:
            raise OptionError(
                "warm_start goes on with the last model, and the options ask for another; "
                "set warm_start=False"
            )
        recipe.model.load_state_dict(before)
        return recipe.with_plan(mean_start=False)

    def _checkpoints(self, data: Data, seed: int) -> Any:
        """Where training is kept, what it is, and the state it goes on from; nothing by default."""
        if self.checkpoint is None:
            return contextlib.nullcontext((None, {"seed": seed}, None))
        options = self._asked_options()
        asked = {
            "data": data.fingerprint(),
            "recipe": self.recipe,
            "schedule": self.schedule,
            "options": {name: repr(value) for name, value in sorted(options.items())},
            "random_state": repr(self.random_state),
            "seed": seed,
        }
        return kept_in(self.checkpoint, asked, environment())

    @contextlib.contextmanager
    def _watching(self) -> Iterator[Observer | None]:
        with watched(self.observer, bool(self.verbose)) as observer:
            yield observer

    def _hold(self, trained: Trained, history: list[dict[str, Any]]) -> Self:
        self.trained_ = trained
        self.history_ = history
        self.n_iter_ = len(history)
        self.n_features_in_ = trained.spec.size
        return self

    @property
    def model_(self) -> AutoencoderModule:
        """The trained torch module."""
        return self._trained.model

    @property
    def encoder_(self) -> Encoder:
        """The trained encoder as a torch module: x in the data's own units to z.

        It is a copy, so that training it further changes nothing here.
        """
        return Encoder.of(self._trained.model, self._trained.spec)

    @property
    def _trained(self) -> Trained:
        check_is_fitted(self, "trained_")
        trained: Trained = self.trained_
        return trained
