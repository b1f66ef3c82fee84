"""An estimator that trains any recipe and uses it as a transformer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from torch import Tensor, nn

from autoencode.data import Examples
from autoencode.data.values.apply_spec import apply_spec
from autoencode.data.values.as_given import Dtype, as_given, check_dtype, template_of
from autoencode.data.values.frames import is_frame, reread, written
from autoencode.errors import IncompatibleError, ModelFileError
from autoencode.estimators.base import CoreEstimator
from autoencode.estimators.going_on import carried, pace, scaling_of_part
from autoencode.estimators.online import Online
from autoencode.estimators.own_options import Loss, check_loss
from autoencode.estimators.saved import SavedState
from autoencode.evaluate.relative import ERROR, ROWS
from autoencode.reading import DateOrder
from autoencode.reading.options import MOST_CATEGORIES
from autoencode.recipes import Named, ScheduleName
from autoencode.recipes.catalogue import default_recipe
from autoencode.trained import Trained, choose_device, fit_prior, fit_prior_again
from autoencode.trained.trained import flat
from autoencode.training import Observer
from autoencode.types import Array, Channels, ColumnKind, DataSpec, Layout, Standardize


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CoreEstimator):  # type: ignore[misc]
    """An estimator by any recipe: reduces, reconstructs, scores, imputes and samples.

    X is an array or a ``scipy.sparse`` matrix (n, n_features), images (n, height, width[, channels]),
    sequences or volumes (``layout``), or a table of pandas, polars or pyarrow with columns of any kind
    (``column_kinds``). Values may be missing (NaN, None).

    Parameters
    ----------
    recipe : str or function, default="auto"
        One of ``autoencode.RECIPES``, "module:function", or a function that ``autoencode.recipe``
        decorates; ``auto`` is ``mlp``, and ``mlp_impute`` for a table with gaps.
    n_components : int, default=None
        Width of the code, the recipe's ``latent_dim``. By default the recipe's own, for tables at most
        half as many numbers as columns, or as many for a variational recipe, unless the recipe is meant
        to have a wide code. A recipe whose code has another measure refuses it and names the options.
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
        What columns of a table are where their dtype does not tell: name to "real", "count",
        "boolean", "category" or "date".
    standardize : {"columns", "all_columns", "robust", "global", "unit", "none"}, default=None
        How columns are scaled (``autoencode.data.load_data``); "robust" by median and interquartile
        range, "unit" not at all where they lie in [0, 1]. The recipe's own way by default.
    layout : {"row", "image", "sequence", "volume"}, default=None
        What an example is, where the number of axes does not tell (``autoencode.data.load_data``):
        (n, height, width) is taken for grey images and may be sequences, (n, steps, features).
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
        Whether training ends when the loss on held-out rows no longer falls, and the best weights are
        kept, those of the start included.
    validation_fraction : float, default=0.1
        The share of rows that is held out for that.
    n_iter_no_change : int, default=10
        How many epochs to wait for a lower loss.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last ``fit``, at a rate by what there is left to
        learn, and keeps those that were best on held-out rows, be it those of the start. Where the
        data have moved (another mean, another scale) the scaling is learned anew.
    device : str, default="auto"
        auto, cpu, cuda or mps.
    random_state : int, RandomState instance or None, default=None
        Of the weights, the order of examples and the noise.
    verbose : bool, default=False
        Whether to show progress on stderr.
    observer : autoencode.training.Observer, default=None
        Watches training.
    checkpoint : str or path, default=None
        A folder for checkpoints while ``fit`` runs. If it was interrupted, the next ``fit`` with the
        same data and settings goes on from there, to the bit; when it is done the folder is removed.

    Attributes
    ----------
    model_ : autoencode.AutoencoderModule
        The trained torch module.
    encoder_ : torch.nn.Module
        A copy of its encoder, a body for models of your own.
    decoder_ : torch.nn.Module
        A copy of its decoder, codes to examples in the units of the data.
    components_ : ndarray of shape (n_components, n_features)
        Of a linear decoder, what one unit of each entry of the code adds to an example: the atoms of
        a dictionary.
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
    >>> from autoencode import Autoencoder
    >>> x = np.random.default_rng(0).random((100, 30))
    >>> ae = Autoencoder("mlp_small", n_components=3, epochs=2, random_state=0).fit(x)
    >>> ae.transform(x).shape, ae.reconstruct(x).shape
    ((100, 3), (100, 30))
    """

    def __init__(
        self,
        recipe: Named = "auto",
        n_components: int | None = None,
        *,
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
        warm_start: bool = False,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
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
        self.warm_start = warm_start
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
        """Trains on examples (n, n_features), images (n, height, width[, channels]) or a table.

        Parameters
        ----------
        X : array, scipy.sparse matrix or table
            The examples.
        y : ignored
        validation_data : X or (X, y), default=None
            Rows to validate on, as X has them, in the place of a share of X: after each epoch, for
            ``early_stopping`` and wherever the best weights are kept (``keep=best``). They are data and
            no parameter, so that ``clone`` and grids do not copy them.

        Raises
        ------
        autoencode.errors.InputError
            For data, options or networks that cannot be used, in one line.
        """
        X = self._checked(X, reset=True)
        trained, history = self._train(X, None, validation_data)
        self._online: Online | None = None
        return self._adopt(trained, history, X)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Trains by one pass over some examples, at the constant rate of the ``paper`` schedule.

        How values are scaled follows the mean and the spread of all examples so far, so that the first
        part need not be like the others; whether values may be missing and which categories there are
        it does decide. After ``fit`` the rate is lower, by what there is left to learn.

        Raises
        ------
        autoencode.errors.InputError
            For data or options that cannot be used, in one line.
        autoencode.errors.TrainingError
            When training diverges.
        """
        check_loss(self.loss)
        first = not hasattr(self, "trained_")
        X = self._checked(X, reset=first)
        if first:
            examples, spec, _ = self._prepared(X)
            examples = examples if isinstance(examples, Examples) else examples.bounded()
            info: dict[str, Any] = {"schedule": self.schedule, ROWS: len(examples)}
            if said := self._origin().as_dict():
                info["data"] = said
            trained, online = self._in_parts(spec, info)
        else:
            trained = self.trained_
            if not trained.draws:
                trained.settle()  # while its weights are those that the prior was put off for
            spec = replace(trained.spec, handle_unknown=self._unknown())
            examples = Examples(apply_spec(X, spec, "this part"))
            trained, online = self._next_part(trained, examples)
        record = online.learn(examples, _rate_for(trained, examples))
        trained.model.eval()
        if first:
            fit_prior(trained, examples)
            self._adopt(trained, [record], X)
        else:
            fit_prior_again(trained, Examples(online.remembered.rows))
            self._adopt(trained, [*self.history_, record])
        self._online = online
        return self

    def _in_parts(self, spec: DataSpec, info: dict[str, Any]) -> tuple[Trained, Online]:
        """Makes a model that is to learn in parts, and what trains it."""
        seed = self._seed()
        recipe = self._built(spec, seed, "paper")
        trained = Trained(recipe, {**info, "unit": recipe.unit})
        trained.recipe.model.to(choose_device(self.device))
        return trained, Online(recipe, self._seed())

    def _next_part(self, trained: Trained, examples: Examples) -> tuple[Trained, Online]:
        """Brings a model and what trains it to the scaling of all parts so far."""
        online: Online | None = getattr(self, "_online", None)
        scaled_as = self._scaling(trained.spec)
        spec, seen = scaling_of_part(trained, examples, scaled_as, self._build)
        recipe = trained.recipe
        if online is None or spec is not trained.spec:
            prior = recipe.model.prior
            recipe = carried(recipe, self._built(spec, 0, "paper"))
            recipe.model.prior = prior
        trained = Trained(recipe, {**trained.info, ROWS: seen})
        if online is None:
            return trained, Online(recipe, self._seed())
        return trained, online if recipe is online.recipe else online.moved_to(recipe)

    def _adopt(self, trained: Trained, history: list[dict[str, Any]], X: Any = None) -> Self:
        super()._adopt(trained, history)
        self._n_features_out = int(np.prod(trained.latent_shape))
        if X is not None:
            self._template = template_of(X) if is_frame(X) else None
        return self

    def _state_to_save(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Trained]]:
        if self._template is None:
            return {}, {}, {}
        library, columns = written(self._template)
        return {"library": library}, {"columns": torch.tensor(list(columns), dtype=torch.uint8)}, {}

    def _restore(self, kept: SavedState) -> None:
        self._template = None
        if (columns := kept.tensors.get("columns")) is not None:
            library = str(kept.facts.get("library"))
            try:
                self._template = reread(library, columns.cpu().numpy().tobytes())
            except ValueError as error:
                raise ModelFileError(f"its table is damaged ({error})") from None

    def _recipe_for(self, spec: DataSpec | None) -> Named:
        """Names the recipe that is asked for, or the one that suits the data."""
        if self.recipe != "auto":
            return self.recipe
        return "mlp" if spec is None else default_recipe(spec)

    def _recipes(self) -> tuple[Named, ...]:
        return ("mlp", "mlp_impute") if self.recipe == "auto" else (self.recipe,)

    def transform(self, X: Any) -> Array:
        """Computes codes (n, n_components) of examples; a code that is a feature map comes flat."""
        trained = self._trained
        return flat(trained.embed(self._checked(X)))

    def inverse_transform(self, Z: Any, *, dtype: Dtype = "float") -> Any:
        """Decodes codes to examples in the units, the shape and the columns of the training data.

        Parameters
        ----------
        Z : array or table
            Codes (n, n_components). A table of pandas (``set_output``) gives its row labels on.
        dtype : {"float", "same"}, default="float"
            As in ``reconstruct``; "same" for the types of the training data.

        Returns
        -------
        Examples as training had them: (n, height, width) comes back so, channels stay where they were,
        and a table is one of the same library. Of other data an array, whatever held them.
        """
        trained = self._trained
        check_dtype(dtype)
        made = trained.decode(np.asarray(Z) if is_frame(Z) else Z)
        given = as_given(made, trained.spec, self._template, dtype)
        if hasattr(Z, "index") and hasattr(given, "index") and is_frame(Z):
            given.index = Z.index
        return given

    def reconstruct(self, X: Any, *, dtype: Dtype = "float") -> Any:
        """Brings examples through the code and back, in the form of X.

        Parameters
        ----------
        X : array or table
            Examples (n, ...).
        dtype : {"float", "same"}, default="float"
            "float" for numbers in floating point, so that ``reconstruct(X) - X`` is right whatever type
            X has; "same" for the types of X: whole numbers are rounded to the nearest and stay inside
            the range of their type.

        Returns
        -------
        Array, tensor or table with the shape of X, its row labels and its columns in their order.
        Categories, truth values and dates of a table come back as such.

        Raises
        ------
        autoencode.errors.InputError
            For examples that do not fit, or another dtype.

        Examples
        --------
        >>> import numpy as np
        >>> from autoencode import Autoencoder
        >>> x = np.random.default_rng(0).integers(0, 256, (50, 6, 6), dtype=np.uint8)
        >>> ae = Autoencoder("mlp_small", 2, epochs=1, random_state=0).fit(x)
        >>> ae.reconstruct(x).shape, ae.reconstruct(x).dtype, ae.reconstruct(x, dtype="same").dtype
        ((50, 6, 6), dtype('float32'), dtype('uint8'))
        """
        trained = self._trained
        check_dtype(dtype)
        made = trained.reconstruct(self._checked(X))
        return as_given(made, trained.spec, X, dtype)

    @property
    def components_(self) -> Array:
        """What one unit of each entry of the code adds to an example, (n_components, n_features).

        Of a dictionary (``sparse``, ``topk``, ...) the atoms, in the units of the data. Recipes whose
        decoder is not linear have none.
        """
        try:
            return self._trained.atoms()
        except IncompatibleError as error:
            raise AttributeError(str(error)) from None

    def score_samples(self, X: Any) -> Array:
        """Scores how well each example is explained, (n,), from what is known of it; higher is better.

        For a stochastic code the ELBO, a bound on log p(x) in nats, estimated with draws that are the
        same for every example. For a table of mixed columns log p(x|z) in nats. Else minus the mean
        squared error per entry, in the model's units. The nats of rows and sequences are those of a
        density in the units of X (per dollar, say, of a column of dollars), and of probabilities of
        categories and counts.
        """
        trained = self._trained
        return trained.score_samples(self._checked(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Computes the mean of ``score_samples``."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, seed: int = 0, *, mean: bool | None = None) -> Any:
        """Samples new examples, in the units, the shape and the types of the data.

        Codes are drawn from the prior, or from a distribution fitted to those of training rows (a
        mixture for tables and sequences, a Gaussian for other plain models).

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        seed : int, default=0
            Of the draws.
        mean : bool, default=None
            True for the means of p(x|z) (the likeliest category) at each draw of z, False for draws
            from p(x|z). By default draws for tables and sequences of measurements, means for images,
            volumes and pixels in rows.

        Returns
        -------
        Samples of a table are a table of the same library and dtypes: whole numbers where they were
        whole, values with as many decimals, categories, dates, and nothing outside the range of the
        training rows. Samples of an array have its shape and its dtype (8-bit pictures are 8-bit
        pictures). With ``mean=True`` as from ``inverse_transform``, in floating point.
        """
        trained = self._trained
        made = trained.sample(n_samples, seed, mean=mean)
        return as_given(made, trained.spec, self._template, "float" if mean else "same")

    def impute(self, X: Any, n_draws: int | None = None, seed: int = 0) -> Any:
        """Fills in the missing values (NaN, None) of X; what is known stays as it is.

        Parameters
        ----------
        X : array or table
            Examples (n, ...) with gaps.
        n_draws : int, default=None
            How many times to fill in, by draws of z and of x; one filling with the expected values (the
            likeliest category) by default. Needs a stochastic code, "vae" for one.
        seed : int, default=0
            Of the draws.

        Returns
        -------
        X of the same kind, or a list of ``n_draws`` of them.
        """
        trained = self._trained
        self._checked(X)
        return trained.impute(X) if n_draws is None else trained.imputations(X, n_draws, seed)


def _rate_for(trained: Trained, examples: Examples) -> float:
    """Chooses the factor on the rate: lower where the model has been through a whole training."""
    if ERROR not in trained.info:
        return 1.0
    factor = pace(trained, trained.recipe, examples)
    return 1.0 if factor is None else factor
