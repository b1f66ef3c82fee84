"""A base class of the estimators: checks of X in scikit-learn's sense, and training."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import _check_feature_names, check_is_fitted, check_random_state
from torch import Tensor

from autoencode.console import note
from autoencode.console.progress import watched
from autoencode.data import Data, Examples, Origin, TableOptions, prepare
from autoencode.data.values.apply_spec import apply_spec
from autoencode.data.values.frames import is_frame
from autoencode.data.values.ranges import have_gaps
from autoencode.data.values.rescaled import rescaled
from autoencode.errors import DataError, OptionError, say_once
from autoencode.estimators.going_on import carried, gently, pace, scaling_for, starts_better
from autoencode.estimators.own_options import (
    FORGOTTEN,
    PREFIX,
    Loss,
    check_loss,
    name_of,
    rows_to_validate_on,
    single_options,
    with_single_options,
)
from autoencode.estimators.saved import forget_estimator, write_estimator
from autoencode.evaluate.findings import tell
from autoencode.evaluate.relative import remember_error
from autoencode.export import Exported, Part, export
from autoencode.files.atomic import storage_error, writing
from autoencode.models import AutoencoderModule, Decoder, Encoder
from autoencode.objectives.own_error import OwnError
from autoencode.reading.meaning import holds_text, named
from autoencode.recipes import Named, Recipe, build, recipe_info
from autoencode.recipes.catalogue import scaling
from autoencode.recipes.own_loss import with_loss
from autoencode.trained import Trained, choose_device, fit_prior_later, fit_recipe, save_model
from autoencode.trained.environment import environment
from autoencode.trained.model_files import sha256_of, write_history
from autoencode.training import Observer
from autoencode.training.checkpoints import kept_in
from autoencode.types import DataSpec, Standardize, Unknown


class CoreEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator with one trained model of the core, ``trained_``.

    Subclasses have the parameters that ``_train`` reads: recipe, n_components, encoder, decoder,
    schedule, epochs, batch_size, lr, options, loss, column_kinds, early_stopping,
    validation_fraction, n_iter_no_change, standardize, layout, handle_unknown, max_categories,
    channels, decimal, thousands, date_order, device, random_state, verbose, observer, checkpoint.
    """

    options: Mapping[str, Any] | None
    loss: Loss | None
    _samples = True  # whether a plain model gets a prior, to be sampled from
    _TAKES_UNKNOWN = "ignore"  # what the subclass calls it that unknown categories are taken

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    def _checked(self, X: Any, *, reset: bool = False) -> Any:
        """Checks names and width of X against those of ``fit``, or notes them; X stays as it is."""
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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Gets parameters by name; ``deep`` gives each of the ``options`` as ``options__NAME`` too."""
        found: dict[str, Any] = super().get_params(deep)
        return found | single_options(self.options) if deep else found

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by name; ``options__NAME`` sets one of the ``options`` and leaves the others.

        Raises
        ------
        autoencode.errors.OptionError
            For an option that the recipe does not have, with the nearest names.
        """
        own = {name for name in params if name.startswith(PREFIX)}
        super().set_params(**{name: value for name, value in params.items() if name not in own})
        if own:
            given = {name.removeprefix(PREFIX): params[name] for name in params if name in own}
            self.options = with_single_options(self.options, given, self._recipes())
        return self

    def _recipes(self) -> tuple[Named, ...]:
        """Names the recipes that the data may decide for."""
        return (self._recipe_for(None),)

    def _train(
        self, X: Any, target: Any = None, validation_data: Any = None
    ) -> tuple[Trained, list[dict[str, Any]]]:
        """Trains a model to give X, or the target, from X; returns it with its history."""
        check_loss(self.loss)
        examples, spec, notices = self._prepared(X, target)
        held_out = rows_to_validate_on(validation_data, spec, target is not None)
        data = Data("array", examples, None, spec, notices, validation=held_out)
        return self._train_on(data, self._seed(), self._before())

    def _train_on(
        self, data: Data, seed: int, before: Trained | None = None
    ) -> tuple[Trained, list[dict[str, Any]]]:
        """Trains a model on prepared data; returns it with its history.

        Args:
            data: as ``_prepared`` made them.
            seed: of the weights, the order of examples and the noise.
            before: the model to go on from; ``None`` to begin anew.
        """
        notices = list(data.notices)
        with (
            self._checkpoints(data, seed, before) as (keeper, request, state),
            self._watching() as observer,
        ):
            seed = request["seed"]
            recipe = None if before is None else self._warmed(before, data, seed, notices)
            warm = recipe is not None
            if recipe is None:
                if before is not None:
                    data = replace(data, spec=self._scaled_anew(before, data))
                recipe = self._built(data.spec, seed)
            device = choose_device(self.device)
            records = fit_recipe(recipe, data, seed, device, observer, keeper, state, warm=warm)
        told = [*recipe.notices(len(data.train)), *recipe.model.told()]
        if self.verbose:
            for notice in told:
                note(f"note: {notice}")
        notices += told
        if self._own_loss is not None:
            notices.append(
                f"trained with a loss of your own ({name_of(self._own_loss)}), which no file holds"
            )
        info = {"seed": seed, "schedule": self.schedule, "unit": recipe.unit}
        if said := self._origin().as_dict():
            info["data"] = said
        if notices:
            info["notices"] = notices
        trained = Trained(recipe, info)
        remember_error(trained, data.train.bounded())
        if self._samples:
            fit_prior_later(trained, data.train, seed)
        history = [record.as_dict() for record in records]
        learned, held_out = data.split(recipe.plan.validation, seed)
        tell(trained, history, learned.bounded(), held_out)
        return trained, history

    def _origin(self) -> Origin:
        """Notes how data were read, as far as that was said."""
        return Origin(
            table=self._spelling(),
            standardize=self.standardize,
            layout=self.layout,
            channels=self.channels,
        )

    def _spelling(self) -> TableOptions:
        """Notes how columns of text are read, as far as that was said."""
        return TableOptions(
            decimal=self.decimal,
            thousands=self.thousands,
            date_order=self.date_order,
            max_categories=self.max_categories,
        )

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _prepared(self, X: Any, target: Any = None) -> tuple[Any, DataSpec, tuple[str, ...]]:
        """Prepares X: how it is stored, how models see it, and notices.

        In a warm start it is read as before; its scaling may be learned anew (``scaling_for``).

        The target, where it is given, says how values are scaled and X may lie outside its range.
        """
        clean = X if target is None else target
        before = self._before()
        if before is not None:
            again = Examples(apply_spec(clean, before.spec))
            spec = scaling_for(before, again, self._scaling(before.spec), self._build)
            prepared: tuple[Any, DataSpec, tuple[str, ...]] = again, spec, ()
        else:
            prepared = self._read(clean)
            if not self.verbose:
                say_once(prepared[2])
            for notice in prepared[2] if self.verbose else ():
                note(f"note: {notice}")
        examples, spec, notices = prepared
        if target is None:
            return examples, spec, notices
        gaps = replace(spec, gaps=True, noisy=True)
        x = apply_spec(X, gaps)
        spec = replace(gaps, gaps=spec.gaps or have_gaps(x))
        clean = examples.values if isinstance(examples, Examples) else examples.bounded().x
        return Examples(x, target=clean), spec, notices

    def _read(self, X: Any) -> tuple[Any, DataSpec, tuple[str, ...]]:
        """Reads X: how it is stored, how models see it, and notices."""
        info = recipe_info(self._recipe_for(None))
        if info.conditional:
            raise OptionError(
                f"recipe '{info.name}' is conditional on labels, which an estimator's transform does "
                "not get; train it with autoencode.train"
            )
        # pandas allows names that are no text; to scikit-learn they are no names.
        unnamed = is_frame(X) and not hasattr(X, "column_names")
        if unnamed and not any(isinstance(name, str) for name in X.columns):
            X = named(X) if holds_text(X) else np.asarray(X)
        first = self._scaling(None)
        self._unknown()  # refuses what there is not
        how: dict[str, Any] = {
            "kinds": self.column_kinds,
            "gaps": True,
            "layout": self.layout,
            "channels": self.channels,
            "table": self._spelling(),
        }
        prepared = prepare(X, standardize=first, **how)
        wanted = self._scaling(prepared[1])
        return prepared if wanted == first else prepare(X, standardize=wanted, **how)

    def _recipe_for(self, spec: DataSpec | None) -> Named:
        """The recipe; a subclass may choose it by the data."""
        recipe: Named = self.recipe
        return recipe

    def _built(self, spec: DataSpec, seed: int, schedule: str | None = None) -> Recipe:
        recipe = build(
            self._recipe_for(spec),
            spec,
            schedule=schedule or self.schedule,  # type: ignore[arg-type]
            seed=seed,
            encoder=self.encoder,
            decoder=self.decoder,
            **self._asked_options(),
        )
        return recipe if self._own_loss is None else with_loss(recipe, self._own_loss)

    @property
    def _own_loss(self) -> OwnError | None:
        return None if isinstance(self.loss, str) else self.loss

    def _asked_options(self) -> dict[str, Any]:
        given = {
            "latent_dim": self.n_components,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "lr": self.lr,
        }
        if isinstance(self.loss, str):
            given["loss"] = self.loss
        options = {name: value for name, value in given.items() if value is not None}
        if self.early_stopping:
            options |= {"validation": self.validation_fraction, "patience": self.n_iter_no_change}
        return options | dict(self.options or {})

    def _scaling(self, spec: DataSpec | None) -> Standardize:
        """Names how the columns of such data are scaled."""
        asked: Standardize | None = self.standardize
        return asked or scaling(self._recipe_for(spec), self._asked_options())

    def _before(self) -> Trained | None:
        """Gives the model that a warm start goes on from, where it is one."""
        if not getattr(self, "warm_start", False) or not hasattr(self, "trained_"):
            return None
        trained: Trained = self.trained_
        return trained

    def _scaled_anew(self, before: Trained, data: Data) -> DataSpec:
        return rescaled(before.spec, data.train.bounded().values, self._scaling(before.spec))

    def _build(self, spec: DataSpec) -> Recipe:
        """Builds the recipe for such data, to be given weights."""
        return self._built(spec, 0)

    def _warmed(self, before: Trained, data: Data, seed: int, notices: list[str]) -> Recipe | None:
        """Makes the recipe that goes on from a model; ``None`` where beginning anew is better."""
        recipe = carried(before.recipe, self._built(data.spec, seed))
        rows = data.train.bounded()
        factor = pace(before, recipe, rows)
        if factor is not None and not starts_better(self._built(data.spec, seed), recipe, rows):
            return gently(recipe, factor, len(rows), self._asked_options())
        notices.append(
            "the last model explains these data no better than a new one at its start; training began "
            "anew"
        )
        if self.verbose:
            note(f"note: {notices[-1]}")
        return None

    def _scored_against(self, X: Any, y: Any) -> Any:
        """Gives what is to be made of X, where that is not X itself."""
        return None

    def _checkpoints(self, data: Data, seed: int, before: Trained | None) -> Any:
        """Opens where training is kept, with what it is and the state it goes on from, if asked for."""
        if self.checkpoint is None:
            return contextlib.nullcontext((None, {"seed": seed}, None))
        options = self._asked_options()
        request = {
            "data": data.fingerprint(),
            "recipe": recipe_info(self._recipe_for(data.spec)).name,
            "schedule": self.schedule,
            "options": {name: repr(value) for name, value in sorted(options.items())},
            "layout": self.layout,
            **({"channels": self.channels} if self.channels else {}),
            "standardize": self.standardize,
            "random_state": repr(self.random_state),
            "seed": seed,
            **self._also_asked(),
        }
        if self._own_loss is not None:
            request["loss"] = name_of(self._own_loss)
        if data.validation is not None:
            request["validation"] = data.validation.fingerprint()
        if before is not None:
            request["goes_on_from"] = sha256_of(before)
        return kept_in(self.checkpoint, request, environment())

    def _also_asked(self) -> dict[str, str]:
        """Names what else decides the result of training."""
        return {}

    @contextlib.contextmanager
    def _watching(self) -> Iterator[Observer | None]:
        with watched(self.observer, bool(self.verbose)) as observer:
            yield observer

    def _adopt(self, trained: Trained, history: list[dict[str, Any]]) -> Self:
        self.trained_ = trained
        self.history_ = history
        self.n_iter_ = len(history)
        self.n_features_in_ = trained.spec.size
        return self

    def export(
        self, folder: str | os.PathLike[str], part: str | Sequence[str] = "all", **how: Any
    ) -> Exported:
        """Exports what was learned as files that say in other languages what Python says.

        Examples go in as they are and results come out so; scaling, words, thresholds and p-values are
        inside. Each file is checked against Python before it is kept.

        Parameters
        ----------
        folder : str or path
            What is written: a file for each part, and ``manifest.json``.
        part : str or list of str, default="all"
            encoder, decoder, reconstruct, impute, denoise or score; by default all that there are.
        **how :
            As for ``autoencode.export.export``: ``data`` by which files are checked, ``format`` (onnx
            or pt2), ``opset``, ``overwrite``.

        Raises
        ------
        autoencode.errors.InputError
            For what cannot be exported, differs from Python, or cannot be written, in one line.
        """
        return export(self, folder, part, **how)

    def part(self, name: str) -> Part:
        """Makes a part that can be exported, one of ``autoencode.export.PARTS``.

        Raises
        ------
        autoencode.errors.IncompatibleError
            When there is none of that name.
        """
        return self._trained.part(name)

    def rows_to_check(self, data: Any = None) -> tuple[Examples, str]:
        """Gives examples by which an exported file is checked, and says where they came from."""
        known = data is None or isinstance(data, Examples)
        return self._trained.rows_to_check(data if known else self._checked(data))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes model, configuration, history and what else the estimator knows into a folder.

        ``load`` reads it: the estimator then gives the same results, to the bit. No pickle is
        involved; networks or functions of your own have to be given again.

        Raises
        ------
        autoencode.errors.StorageError
            When it cannot be written.
        """
        trained, target = self._trained, Path(folder)
        kept = self._state_to_save()
        try:
            target.mkdir(parents=True, exist_ok=True)
            if kept is None:
                forget_estimator(target)
        except OSError as error:
            raise storage_error(folder, error) from error
        write_history(self.history_, folder)
        if kept is not None:
            facts, tensors, parts = kept
            for name, part in parts.items():
                with writing(target / name):
                    (target / name).mkdir(exist_ok=True)
                save_model(part, target / name)
            name, parameters = type(self).__name__, self.get_params(deep=False)
            if self.recipe not in (None, "auto"):  # a file names no module
                parameters["recipe"] = trained.recipe.name
            if self._own_loss is not None:
                parameters["loss"] = FORGOTTEN
            write_estimator(target, name, parameters, facts, tensors, trained)
        save_model(trained, folder)

    def _state_to_save(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Trained]] | None:
        """Gives the facts, tensors and further models that belong to a saved estimator, if any do."""
        return None

    @property
    def model_(self) -> AutoencoderModule:
        """The trained torch module, with its prior."""
        return self._trained.model

    @property
    def encoder_(self) -> Encoder:
        """Trained encoder as a torch module, from x in the data's own units to z.

        It is a copy, so that training it further changes nothing here.
        """
        return Encoder.from_model(self._trained.recipe.model, self._trained.spec)

    @property
    def decoder_(self) -> Decoder:
        """The trained decoder as a torch module: z to x in the data's own units.

        It is a copy, so that training it further changes nothing here.
        """
        return Decoder.from_model(self._trained.recipe.model, self._trained.spec)

    @property
    def _trained(self) -> Trained:
        check_is_fitted(self, "trained_")
        trained: Trained = self.trained_
        return trained.handling_unknown(self._unknown())

    def _unknown(self) -> Unknown:
        """Names what becomes of categories that training did not see, in the words of a spec."""
        asked = self.handle_unknown
        if asked not in (self._TAKES_UNKNOWN, "error"):
            raise OptionError(
                f"handle_unknown must be '{self._TAKES_UNKNOWN}' or 'error', got {asked!r}"
            )
        return "error" if asked == "error" else "ignore"
