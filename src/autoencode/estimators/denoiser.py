"""An estimator that makes clean examples of noisy ones."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from torch import Tensor, nn

from autoencode.data import Examples, Resident, apply_spec
from autoencode.data.values.as_given import Dtype, as_given, check_dtype, count_rows, example_shape
from autoencode.data.values.frames import is_frame
from autoencode.errors import DataError, OptionError, nearest
from autoencode.estimators.base import CoreEstimator
from autoencode.estimators.mixed_sizes import differ, in_patches, other_sizes, restored_each
from autoencode.estimators.own_options import Loss
from autoencode.estimators.saved import SavedState
from autoencode.files.sparse_rows import as_dense
from autoencode.objectives import CORRUPTIONS, Corrupted, OwnCorruption
from autoencode.randomness import seeded
from autoencode.reading import DateOrder
from autoencode.reading.options import MOST_CATEGORIES
from autoencode.recipes import Named, Recipe, ScheduleName
from autoencode.trained import Trained
from autoencode.training import Observer
from autoencode.types import Array, Channels, ColumnKind, DataSpec, Layout, Standardize

FOR_IMAGES, FOR_TABLES = "conv_skip", "mlp"
# For patches: a pixel depends on what is near it and on no statistics of its patch, so that an image in
# tiles comes out as in one piece. Patches of photographs are denoised better so, too.
LOCAL = {"normalization": "none"}
_FORGOTTEN = "forgotten"  # what stands for a function that was not saved
_CHUNK = 1000  # examples that are corrupted together
_TINY = float(np.finfo(np.float32).tiny)


class Denoiser(OneToOneFeatureMixin, TransformerMixin, CoreEstimator):  # type: ignore[misc]
    """Learns to make clean examples of noisy ones.

    It is trained either on clean examples, which are corrupted anew whenever they are seen
    (``fit(X)``), or on pairs (``fit(X_noisy, X_clean)``).

    Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008),
    https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf

    Parameters
    ----------
    corruption : str or callable, default="gaussian"
        What is done to clean examples: "gaussian", "salt_and_pepper", "masking" (entries become 0),
        "blur" (images), "missing" (entries become unknown, NaN), or a function of your own
        ``(x, level) -> x`` or ``x -> x``. It gets a torch tensor (n, ...) as the model sees it: pixels
        in [0, 1] with channels first, columns of a table with mean 0 and variance 1. Noise that it
        draws with torch comes back with ``random_state``. Pairs need none.
    level : float, default=0.3
        Standard deviation of Gaussian noise in those units, that of a blur in pixels; else the share
        of entries that is hit.
    recipe : str, default=None
        One of ``autoencode.RECIPES``; by default "conv_skip" for images and "mlp" for tables.
    n_components : int, default=None
        Width of the code, for a recipe that has one.
    encoder, decoder : torch.nn.Module, default=None
        Networks of your own, both or none; they are copied, never trained themselves.
    schedule : {"fast", "paper"}, default="fast"
        How it is trained.
    epochs, batch_size, lr : default=None
        The schedule's own figures by default.
    options : dict, default=None
        Any other option of the recipe or of the training plan, by name; each is a
        parameter ``options__NAME`` as well, for ``set_params`` and grids.
    loss : str, function or term, default=None
        What is minimised: a name that the recipe's option ``loss`` has ("mse", "sse", "nll"); a
        function ``(reconstruction, x) -> errors`` of torch tensors as the model sees them, which gives
        one number for each example or entry; or a term of ``autoencode.objectives``. A function or term
        stands in the place of the recipe's reconstruction term, and its other terms stay. No file holds
        it: a saved model opens and transforms, and to be fitted again it has to be given again.
    column_kinds : dict, default=None
        What columns of a table are where their dtype does not tell, as in ``Autoencoder``.
    standardize : {"columns", "all_columns", "robust", "global", "unit", "none"}, default=None
        How columns are scaled (``autoencode.data.load_data``); "robust" by median and interquartile
        range, "unit" not at all where they lie in [0, 1]. The recipe's own way by default.
    layout : {"row", "image", "sequence", "volume"}, default=None
        What an example is, as in ``Autoencoder``.
    handle_unknown : {"ignore", "error"}, default="ignore"
        What becomes of a category that ``fit`` did not see: "ignore" takes it as none of those that are
        known, which is no gap, and tells so; "error" refuses it.
    max_categories : int, default=2000
        Categories that a column of a table may have for the model to know each by itself. Of more, the
        commonest have an input of their own, and the others one for each of 16 stretches of the
        alphabet; what comes back are words all the same.
    channels : {"first", "last"}, default=None
        Where the channels of arrays of images and volumes are. By default last where 1, 3 or 4 are
        there and not in front; where both may be, that is said.
    decimal : {".", ","}, default=None
        The sign before the fraction of numbers in columns of text; recognised by default, as are the
        two that follow (``docs/tables.md``).
    thousands : {",", ".", " ", "'", ""}, default=None
        The sign between their thousands, empty for none.
    date_order : {"dmy", "mdy", "ymd"}, default=None
        The order of day, month and year of dates in text.
    early_stopping : bool, default=False
        Whether training ends when the loss on held-out rows no longer falls.
    validation_fraction : float, default=0.1
        The share of rows that is held out for that.
    n_iter_no_change : int, default=10
        How many epochs to wait for a lower loss.
    device : str, default="auto"
        auto, cpu, cuda or mps.
    random_state : int, RandomState instance or None, default=None
        Of the weights, the order of examples and the noise.
    verbose : bool, default=False
        Whether to show progress on stderr.
    observer : autoencode.training.Observer, default=None
        Watches training.
    checkpoint : str or path, default=None
        A folder for checkpoints while ``fit`` runs, as in ``Autoencoder``.

    Attributes
    ----------
    model_ : autoencode.AutoencoderModule
        The trained torch module.
    encoder_ : torch.nn.Module
        A copy of its encoder, a body for models of your own.
    decoder_ : torch.nn.Module
        A copy of its decoder, codes to examples in the units of the data.
    history_ : list of dict
        One entry for each epoch.
    n_iter_ : int
        Epochs that were trained.
    n_features_in_ : int
        Entries of one example.
    feature_names_in_ : ndarray of str
        Names of the columns, when X has such.
    trained_ : autoencode.Trained
        The model with its data contract.

    Examples
    --------
    >>> import numpy as np
    >>> from autoencode import Denoiser
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.random((500, 1)) @ rng.random((1, 20))
    >>> noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    >>> denoiser = Denoiser(epochs=20, batch_size=20, random_state=0).fit(clean)
    >>> denoiser.score(noisy, clean) > 5 + denoiser.score_of(noisy, clean)  # dB
    True
    """

    _cut = False  # whether it learned from patches of images

    def __init__(
        self,
        corruption: str | Callable[..., Tensor] = "gaussian",
        level: float = 0.3,
        *,
        recipe: Named | None = None,
        n_components: int | None = None,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        schedule: ScheduleName = "fast",
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        options: Mapping[str, Any] | None = None,
        loss: Loss | None = None,
        column_kinds: Mapping[str, ColumnKind] | None = None,
        standardize: Standardize | None = None,
        layout: Layout | None = None,
        handle_unknown: Literal["ignore", "error"] = "ignore",
        max_categories: int = MOST_CATEGORIES,
        channels: Channels | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        date_order: DateOrder | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
        observer: Observer | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self.corruption = corruption
        self.level = level
        self.recipe = recipe
        self.n_components = n_components
        self.encoder = encoder
        self.decoder = decoder
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.options = options
        self.loss = loss
        self.column_kinds = column_kinds
        self.standardize = standardize
        self.layout = layout
        self.handle_unknown = handle_unknown
        self.max_categories = max_categories
        self.channels = channels
        self.decimal = decimal
        self.thousands = thousands
        self.date_order = date_order
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.observer = observer
        self.checkpoint = checkpoint

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # what models compute in
        return tags

    def fit(self, X: Any, y: Any = None, *, validation_data: Any = None) -> Self:
        """Trains on clean examples, or on pairs.

        Parameters
        ----------
        X : array, table or list of images
            Examples (n, n_features), images (n, height, width[, channels]) or a table: clean ones, or
            with ``y`` noisy ones. Images of different sizes may stand in a list, each (height, width[,
            channels]); the model learns from patches of them.
        y : array or table, default=None
            The clean example of each row, of X's shape. Labels (n,), as a pipeline passes them on, are
            not looked at.
        validation_data : X or (X, y), default=None
            Rows to validate on, as X has them, in the place of a share of X: after each epoch, for
            ``early_stopping`` and wherever the best weights are kept (``keep=best``). They are data and
            no parameter, so that ``clone`` and grids do not copy them. Pairs need pairs.

        Raises
        ------
        autoencode.errors.InputError
            For data, options or networks that cannot be used, in one line.
        """
        self._refuse_bad_corruption()
        self._cut = differ(X)
        if self._cut:
            X, y = in_patches(X), None if _pairs(X, y) is None else in_patches(y)
        X = self._checked(X, reset=True)
        trained, history = self._train(X, _pairs(X, y), validation_data)
        return self._adopt(trained, history)

    def transform(self, X: Any, *, dtype: Dtype = "same") -> Any:
        """Makes clean examples of noisy ones, in the form of X.

        Noise may lie outside the range of the clean data, what is returned does not. A recipe that
        takes any size, as the default for images does, gives images of other sizes than it was trained
        on back at their own; different ones in a list.

        Parameters
        ----------
        X : array or table
            Noisy examples (n, ...).
        dtype : {"same", "float"}, default="same"
            "same" for the types of X: of 8-bit pictures 8-bit pictures, rounded to the nearest; "float"
            for numbers in floating point.

        Returns
        -------
        Array, tensor or table with the shape of X, its row labels and its columns in their order.

        Raises
        ------
        autoencode.errors.InputError
            For examples that do not fit, or another dtype.
        """
        trained = self._trained
        check_dtype(dtype)
        if other_sizes(X, trained):
            return restored_each(X, trained, self._within)
        X = self._checked(X)
        return as_given(self._within(trained.reconstruct(X)), trained.spec, X, dtype)

    def score(self, X: Any, y: Any = None) -> float:
        """Scores how near ``transform(X)`` is to the clean y in dB, or how well clean X is restored.

        10 log10(1 / mean squared error), both in the model's units. For pixels that is the PSNR over
        all examples together, for columns of a table the signal-to-noise ratio. For a table of mixed
        columns, which have no such error, the mean of log p(y | X) in nats.

        Parameters
        ----------
        X : array or table
            Noisy examples, or without ``y`` clean ones, to be corrupted as in training.
        y : array or table, default=None
            The clean examples. Labels (n,) are not looked at.
        """
        trained = self._trained
        noisy, clean = self._pair(self._checked(X), _pairs(X, y))
        if trained.spec.mixed:
            return float(trained.score_samples(Examples(noisy, target=clean)).mean())
        return self._decibels(self._within(trained.reconstruct(Examples(noisy))), clean)

    def score_of(self, X: Any, y: Any) -> float:
        """Scores X itself as ``score`` does ``transform(X)``: where denoising starts from."""
        self._refuse_mixed()
        return self._decibels(*self._pair(self._checked(X), y))

    def corrupt(self, X: Any, seed: int = 0) -> Any:
        """Corrupts clean examples (n, ...) as training would, in the form of X, in floating point."""
        self._refuse_mixed()
        X = self._checked(X)
        spec = self._trained.spec
        return as_given(self._corrupted(apply_spec(X, spec), seed), spec, X)

    # What the core is asked for.

    def _prepared(self, X: Any, target: Any = None) -> tuple[Any, DataSpec, tuple[str, ...]]:
        examples, spec, notices = super()._prepared(X, target)
        return examples, replace(spec, noisy=True), notices

    def _recipe_for(self, spec: DataSpec | None) -> Named:
        if self.recipe is not None:
            return self.recipe
        images = spec is not None and spec.layout == "image" and self.encoder is None
        return FOR_IMAGES if images else FOR_TABLES

    def _asked_options(self) -> dict[str, Any]:
        local = LOCAL if self._cut and self.recipe is None and self.encoder is None else {}
        return local | self._noise() | super()._asked_options()

    def _noise(self) -> dict[str, Any]:
        """Gives the recipe's options for a corruption that it knows by name."""
        if self._on_pairs or callable(self.corruption):
            return {"noise": "none"}
        return {"noise": self.corruption, "noise_level": self.level}

    def _recipes(self) -> tuple[Named, ...]:
        return (FOR_IMAGES, FOR_TABLES) if self.recipe is None else (self.recipe,)

    def _train(self, X: Any, target: Any = None, validation_data: Any = None) -> Any:
        self._on_pairs = target is not None
        return super()._train(X, target, validation_data)

    def _built(self, spec: DataSpec, seed: int, schedule: str | None = None) -> Recipe:
        recipe = super()._built(spec, seed, schedule)
        if self._on_pairs or not callable(self.corruption):
            return recipe
        corruption, level = OwnCorruption(self.corruption), float(self.level)
        updates = [
            replace(update, objective=Corrupted(update.objective, corruption, level))
            for update in recipe.updates
        ]
        return replace(recipe, updates=tuple(updates))

    def _also_asked(self) -> dict[str, str]:
        if self._on_pairs or not callable(self.corruption):
            return {}
        # A function's code cannot be compared; its name can.
        kind = self.corruption if inspect.isroutine(self.corruption) else type(self.corruption)
        return {"corruption": f"{kind.__module__}.{kind.__qualname__} at {self.level!r}"}

    def _scored_against(self, X: Any, y: Any) -> Any:
        return _pairs(X, y)

    def _state_to_save(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Trained]]:
        return {"on_pairs": self._on_pairs, "own_corruption": callable(self.corruption)}, {}, {}

    def _restore(self, kept: SavedState) -> None:
        self._on_pairs = bool(kept.facts.get("on_pairs"))
        if kept.facts.get("own_corruption"):
            self.corruption = _FORGOTTEN
        else:
            self._refuse_bad_corruption()

    def _refuse_bad_corruption(self) -> None:
        if self.corruption == _FORGOTTEN:
            raise OptionError(
                "no file holds a corruption of your own; set denoiser.corruption to it again"
            )
        if not callable(self.corruption) and self.corruption not in CORRUPTIONS:
            known = nearest(str(self.corruption), CORRUPTIONS)
            raise OptionError(f"unknown corruption {self.corruption!r}; {known}; or give a function")
        if not math.isfinite(self.level) or self.level < 0:
            raise OptionError(f"level must be 0 or more, got {self.level}")

    # Between the user's examples and the model's.

    def _pair(self, X: Any, y: Any) -> tuple[Array, Array]:
        """Gives noisy and clean examples (n, *D), raw."""
        spec = self._trained.spec
        x = as_dense(apply_spec(X, spec))
        if y is None:
            return self._corrupted(x, seed=0), x
        return x, as_dense(apply_spec(y, replace(spec, gaps=True), "y"))

    def _corrupted(self, x: Array, seed: int) -> Array:
        """Corrupts raw examples (n, *D) as in training."""
        self._refuse_bad_corruption()
        trained = self._trained
        chosen = self.corruption
        corruption = OwnCorruption(CORRUPTIONS[chosen] if isinstance(chosen, str) else chosen)
        source = Resident(Examples(x), trained.spec)
        with seeded(seed, None, corruption), torch.no_grad():
            found = [
                trained.spec.to_raw(corruption(batch.x, self.level)).numpy()
                for batch in source.batches(_CHUNK)
            ]
        return np.concatenate(found)

    def _decibels(self, found: Array, clean: Array) -> float:
        spec = self._trained.spec
        error = spec.to_model(torch.from_numpy(found)) - spec.to_model(torch.from_numpy(clean))
        return -10 * math.log10(max(_TINY, float(error.double().square().nanmean())))

    def _within(self, x: Array) -> Array:
        """Clips raw values of a unit spec to its range."""
        spec = self._trained.spec
        if spec.kind != "unit":
            return x
        return x.clip(spec.offset[0], spec.offset[0] + spec.scale[0])

    def _refuse_mixed(self) -> None:
        if self._trained.spec.mixed:
            raise OptionError("categories and counts have no noise in numbers; use transform and score")


def _pairs(X: Any, y: Any) -> Any:
    """Gives y where it holds clean examples, ``None`` where it is left out or holds labels."""
    if isinstance(y, np.memmap):
        y = np.asarray(y)
    if y is None or not (is_frame(y) or differ(y) or len(example_shape(y))):
        return None
    if (n := count_rows(y)) != count_rows(X):
        raise DataError(f"y: {n} clean examples for {count_rows(X)} noisy ones; give one for each")
    return y
