"""A trained model with the description of its data: arrays in, arrays out."""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autoencode.data import (
    Examples,
    Origin,
    Resident,
    Stored,
    apply_spec,
    class_numbers,
    in_order,
    on_disk,
    one_hot,
    open_examples,
)
from autoencode.data.values.as_given import count_rows, filled, shaped
from autoencode.data.values.frames import is_frame, select
from autoencode.data.values.support import as_supported
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.export import Exported, Part, export
from autoencode.files.free_memory import require_memory
from autoencode.files.sparse_rows import is_sparse, sparse_rows
from autoencode.likelihoods import IDENTITY, Bernoulli, Gaussian
from autoencode.likelihoods.gaussian_columns import GaussianColumns
from autoencode.models import AutoencoderModule, Decoder, Encoder, SemiSupervisedAutoencoder
from autoencode.nets import DictionaryDecoder
from autoencode.randomness import bernoulli, common_noise, drawing, mix, seeded
from autoencode.recipes import Recipe
from autoencode.trained.exported import part_of, rows_to_check
from autoencode.training.processor import tuned
from autoencode.types import Array, Batch, DataSpec, Observation, Unknown

Half = TypeVar("Half", Encoder, Decoder)

CHUNK = 1000  # rows that are computed together
_WIDE = 1 << 25  # entries of rows that are computed together
_ASKED = 1 << 24  # entries; for fewer it is not worth asking how much memory there is


class PutOff:
    """Work that is done when it is first needed: once, whichever thread needs it first.

    Args:
        work: what is to be done. What it needs of itself finds it undone.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work: Callable[[], Any] | None = work
        self._lock = threading.RLock()
        self._busy = False

    def do(self) -> None:
        """Does the work unless it is done; other threads wait until it is."""
        if self._work is None:
            return
        with self._lock:
            if self._work is None or self._busy:
                return
            self._busy = True
            try:
                # Whoever needs it may be drawing; what is made here is to outlive that.
                with torch.inference_mode(False):
                    self._work()
                self._work = None
            finally:
                self._busy = False

    def drop(self) -> None:
        """Lets the work be: something else was done in its place."""
        with self._lock:
            if not self._busy:
                self._work = None


@dataclass
class Trained:
    """A trained model, as a run folder holds it.

    Attributes:
        recipe: model, updates, options and figures.
        info: everything else that is worth knowing of the run (data, seed, versions), as JSON.
        put_off: what is still to be done before the model can be sampled from (``fit_prior_later``).
    """

    recipe: Recipe
    info: dict[str, Any] = field(default_factory=dict)
    put_off: PutOff | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def model(self) -> AutoencoderModule:
        """The module with its prior, which is fitted now where that was put off."""
        self.settle()
        return self._net

    @property
    def _net(self) -> AutoencoderModule:
        """The module for what needs no prior."""
        return self.recipe.model

    def settle(self) -> None:
        """Does what was put off until it is needed: a prior is fitted to the codes of training rows."""
        if self.put_off is not None:
            self.put_off.do()

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return {**self.__dict__, "put_off": None}

    @property
    def spec(self) -> DataSpec:
        return self.recipe.spec

    def handling_unknown(self, how: Unknown | None) -> Trained:
        """Sets what becomes of categories that training did not see; ``None`` leaves it as it is.

        Returns:
            The same model.
        """
        if how is not None and how != self.spec.handle_unknown:
            self.recipe = replace(self.recipe, spec=replace(self.spec, handle_unknown=how))
        return self

    @property
    def origin(self) -> Origin:
        """How its data were read.

        Raises:
            ModelFileError: when what the model's file says of them is damaged.
        """
        return Origin.from_dict(self.info.get("data"))

    @property
    def seed(self) -> int:
        """The seed of its run, of which the parts of the data depend."""
        return int(self.info.get("seed", 0))

    @property
    def device(self) -> torch.device:
        return next(self._net.parameters()).device

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.recipe.latent_shape

    def encoder(self) -> Encoder:
        """Copies the encoder into a frozen torch module, to be exported: x to the codes of ``embed``.

        It takes examples (B, *D) in the data's own units and gives codes (B, *Z), both float32.
        """
        return _finished(Encoder.from_model(self._net, self.spec))

    def decoder(self) -> Decoder:
        """Copies the decoder into a frozen torch module, to be exported: z to what ``decode`` gives.

        It takes codes (B, *Z) and gives examples (B, *D) in the data's own units, both float32.
        """
        return _finished(Decoder.from_model(self._net, self.spec))

    def export(
        self, folder: str | os.PathLike[str], part: str | Sequence[str] = "all", **how: Any
    ) -> Exported:
        """Exports parts of the model as files that say in other languages what Python says.

        Args:
            folder: what is written: a file for each part, and ``manifest.json``.
            part: encoder, decoder, reconstruct, impute or denoise, or several; all that the model has
                by default.
            **how: see ``autoencode.export.export``: data by which files are checked, format (onnx or
                pt2), opset, overwrite.

        Raises:
            InputError: for what cannot be exported, differs from Python, or cannot be written.
        """
        return export(self, folder, part, **how)

    def part(self, name: str) -> Part:
        """Makes a part of the model that can be exported, one of ``autoencode.export.PARTS``.

        Raises:
            IncompatibleError: when the model has none of that name.
        """
        return part_of(self, name)

    def rows_to_check(self, data: Any = None) -> tuple[Examples, str]:
        """Gives examples by which an exported file is checked, and says where they came from."""
        return rows_to_check(self.spec, data)

    def embed(self, x: Any) -> Array:
        """Encodes x (N, *D) in the data's own units into codes (N, *Z), float32.

        Args:
            x: an array, or a memory map, a file or a data set, which are read a stretch of rows at a
                time.
        """
        return np.concatenate(list(self.embed_pieces(x)))

    def embed_pieces(self, x: Any, first: int = 0, last: int | None = None) -> Iterator[Array]:
        """Yields the codes of ``embed``, the same bits, (n, *Z) at a time: for more than memory holds.

        Args:
            x: see ``embed``.
            first, last: numbers of examples, ``first`` a multiple of 1000; all when left out.
        """
        yield from self._each(self._batches(x, first, last), lambda b: self._net.embed(b.x, b.context))

    def codes(self, x: Any) -> Array:
        """Encodes x (N, *D) in the data's own units into a quantised model's integers (N, *G), int64.

        Raises:
            IncompatibleError: for a model whose codes are no integers.
        """
        return self._through(self._batches(x), lambda b: self._net.codes(b.x, b.context))

    def class_probabilities(self, x: Any) -> Array:
        """Computes q(y|x) of x (N, *D) for each of ``spec.classes``, (N, C), float32.

        Raises:
            IncompatibleError: for a model that guesses no labels.
        """
        model = self._net
        if not isinstance(model, SemiSupervisedAutoencoder):
            raise IncompatibleError(
                f"recipe '{self.recipe.name}' guesses no labels; use m2_vae, which does"
            )
        return self._through(self._batches(x), lambda b: model.class_log_probs(b.x).exp())

    def classify(self, x: Any) -> Array:
        """Predicts the likeliest label of each x (N, *D), (N,), as text.

        Raises:
            IncompatibleError: for a model that guesses no labels.
        """
        guesses: Array = np.array(self.spec.classes)[self.class_probabilities(x).argmax(1)]
        return guesses

    def reconstruct(self, x: Any) -> Array:
        """Reconstructs x (N, ...) in the data's own units, in the shape of x and in floating point.

        Of a table that is its matrix (N, D), of examples that were read for the model (N, *D).

        Raises:
            DataError: with the numbers, where so many do not fit into the free memory.
        """
        rows = open_examples(x, self.spec) if on_disk(x) else x
        n = count_rows(rows)
        if n * self.spec.size > _ASKED:
            what = f"the reconstruction of {n} x {self.spec.size} values"
            require_memory(
                4 * n * self.spec.size, what, "take it in parts (Trained.reconstruct_pieces)"
            )
        made = self._through(self._batches(rows), self._reconstructed, n)
        return made if isinstance(x, Examples | Stored) else shaped(made, self.spec, x)

    def reconstruct_pieces(self, x: Any) -> Iterator[Array]:
        """Yields reconstructions (n, *D), some at a time: for more than memory holds."""
        yield from self._each(self._batches(x), self._reconstructed)

    def _reconstructed(self, batch: Batch) -> Tensor:
        raw: Tensor = self.spec.to_raw(self._net.reconstruct(batch.x, batch.context))
        return raw

    def decode(self, z: Any, labels: Any = None) -> Array:
        """Decodes codes (N, *Z) into examples in the data's own units, in the shape that they had.

        Args:
            z: the codes.
            labels: (N,) of what class each shall be, for a conditional model.

        Raises:
            DataError: when the codes have another shape than the model's, or labels are missing.
        """
        codes = self._codes(z)
        return shaped(self._decoded(codes, self._context(labels, len(codes)), _mean), self.spec)

    def sample(self, n: int, seed: int = 0, labels: Any = None, *, mean: bool | None = None) -> Array:
        """Samples n examples in the shape of the training data: draws of z, and of x from p(x|z).

        They have the dtype of the training data; of a table they are its matrix (n, D). Draws of
        tables and sequences are values that such entries had in training: within their range, with
        their decimal places, whole where they were whole.

        Args:
            n: how many.
            seed: of the draws.
            labels: (n,) of what class each shall be, for a conditional model; by default its classes
                in turn.
            mean: true for the means of p(x|z), what ``decode`` gives for the same z, in floating
                point; false for draws.
                By default draws for tables and sequences of measurements, means for images, volumes
                and pixels in rows.

        Raises:
            OptionError: for a number below 1.
        """
        if n < 1:
            raise OptionError(f"the number of samples must be at least 1, got {n}")
        self.settle()  # before anything is drawn
        if labels is None and self.spec.classes:
            labels = [self.spec.classes[i % len(self.spec.classes)] for i in range(n)]
        means = not self.draws if mean is None else mean
        with drawing(seed, self.device, self._net), torch.inference_mode():
            context = self._context(labels, n)
            z = self._net.eval().sample_latent(n, context)
            made = self._decoded(z, context, _mean if means else self._drawn)
        return shaped(made if mean else as_supported(made, self.spec), self.spec)

    @property
    def draws(self) -> bool:
        """Whether samples are draws from p(x|z) unless something else is asked for."""
        spec = self.spec
        binary = spec.support is not None and spec.support.binary
        return spec.layout in ("row", "sequence") and (spec.kind == "real" or binary)

    def _drawn(self, x_dist: Observation) -> Tensor:
        """Draws x (B, *D) as the model sees it."""
        if self.spec.kind == "unit" and not isinstance(self._net.likelihood, Bernoulli):
            return bernoulli(x_dist.mean.clamp(0, 1))  # of errors that were squared
        return self._net.drawn(x_dist)

    def _decoded(
        self, codes: Tensor, context: Tensor | None, of: Callable[[Observation], Tensor]
    ) -> Array:
        """Decodes codes (N, *Z) in stretches into what ``of`` makes of p(x|z), in the data's units."""

        def decode(first: int) -> Tensor:
            rows = slice(first, first + CHUNK)
            given = None if context is None else context[rows]
            return self.spec.to_raw(of(self._net.decode(codes[rows], given)))

        return self._through(range(0, len(codes), CHUNK), decode, len(codes))

    def atoms(self) -> Array:
        """Computes what one unit of each entry of the code adds to x, in the data's own units.

        Returns:
            (Z, entries) of a linear decoder, of a dictionary the atoms.

        Raises:
            IncompatibleError: for a decoder that is not linear.
        """
        decoder, spec = self._net.decoder, self.spec
        atoms: Tensor | None = getattr(decoder, "atoms", None)
        p_x = self._net.likelihood
        plain = (
            isinstance(p_x, Gaussian | GaussianColumns) and getattr(p_x, "link", IDENTITY) is IDENTITY
        )
        if atoms is None or not plain or len(atoms) != spec.size:
            raise IncompatibleError(
                f"the decoder of recipe '{self.recipe.name}' is not linear and has no components; "
                "those of linear, sparse, topk, batch_topk, jumprelu and matryoshka_sparse are"
            )
        if isinstance(decoder, DictionaryDecoder):
            atoms = F.normalize(atoms, dim=0)
        one_each = atoms.detach().T[: int(np.prod(self.latent_shape))]
        units = torch.tensor(spec.scale, device=self.device)
        found: Array = (one_each * units).cpu().numpy()
        return found

    def _context(self, labels: Any, n: int) -> Tensor | None:
        if not self.spec.classes:
            return None
        return one_hot(class_numbers(labels, self.spec, n), self.spec).to(self.device)

    def score_samples(self, x: Any, n_samples: int = 16, seed: int = 0) -> Array:
        """Scores how well each example (N,) is explained, from what is known of it; higher is better.

        With a stochastic code the ELBO in nats, from ``n_samples`` draws that are the same for every
        example; with mixed columns log p(x|z) in nats; else minus the mean squared error per entry in
        the model's units. The nats of rows and sequences are those of a density in the data's own
        units, and of probabilities of categories and counts; those of images are of what the model
        sees.
        """
        stochastic, mixed = self.stochastic, self.spec.mixed
        log_units = self._log_units()

        def score(batch: Batch) -> Tensor:
            if not stochastic:
                if not mixed:
                    return -_mean_squares(batch, self._net.reconstruct(batch.x, batch.context))
                p_x = self._net.explained(batch.x, batch.context)
                return p_x.log_prob(batch.target, batch.mask) - _known(log_units, batch)
            with common_noise():
                output = self._net(batch, n_samples)
            log_p = output.x_dist.log_prob(batch.target, batch.mask)
            for site in output.latent.sites.values():
                log_p = log_p - site.kl()
            mean: Tensor = log_p.mean(0)
            return mean - _known(log_units, batch)

        with drawing(seed, self.device, self._net):
            return self._through(self._batches(x), score)

    def _log_units(self) -> Tensor:
        """Computes the logarithms (*D) of what the model's unit of each entry is in the data's own.

        Zero where there is no density: of categories, counts and pixels.
        """
        spec = self.spec
        logs = torch.zeros(spec.shape, device=self.device)
        if spec.kind == "unit" or spec.layout not in ("row", "sequence"):
            return logs
        units = torch.tensor(spec.scale, device=self.device).log()
        logs += units.reshape(spec.shape) if len(units) > 1 else units
        for i, column in enumerate(spec.columns):
            if not column.numeric:
                logs[i] = 0.0
        return logs

    def impute(self, x: Any) -> Any:
        """Fills gaps in x (N, *D) or a table with expected values (the likeliest category).

        What is known stays as it is.

        Raises:
            OptionError: when the model was trained without gaps.
        """
        return self._fill(x, self.reconstruct)

    def imputations(self, x: Any, n: int, seed: int = 0) -> list[Any]:
        """Fills gaps in x (N, *D) or a table n times, by draws of z from q(z|x), then x from p(x|z).

        Raises:
            OptionError: when the model was trained without gaps.
            IncompatibleError: when the code is deterministic.
        """
        if not self.stochastic:
            raise IncompatibleError(
                f"recipe '{self.recipe.name}' has one code for each example and so one way to fill its "
                "gaps; leave the draws out, or use a stochastic recipe (vae)"
            )
        if n < 1:
            raise OptionError(f"the number of draws must be at least 1, got {n}")
        return [self._fill(x, functools.partial(self._draw, seed=mix(seed, i))) for i in range(n)]

    def _draw(self, x: Any, seed: int) -> Array:
        def draw(batch: Batch) -> Tensor:
            return self.spec.to_raw(self._net(batch).x_dist.sample()[0])

        with drawing(seed, self.device, self._net):
            return self._through(self._batches(x), draw)

    def _fill(self, x: Any, guess: Callable[[Any], Array]) -> Any:
        if not self.spec.gaps:
            raise OptionError(
                "the model never saw a gap; train it on data with gaps, or with noise=missing"
            )
        known = x = sparse_rows(x).dense() if is_sparse(x) else x  # as what comes back
        if is_frame(x) and self.spec.columns:
            known = select(x, [column.name for column in self.spec.columns])
        return filled(x, self.spec, guess(known))

    @property
    def stochastic(self) -> bool:
        """Whether the code is a draw from a posterior."""
        x = self.spec.batch(torch.zeros(2, *self.spec.shape, device=self.device))
        if width := self.spec.context_dim:
            x = replace(x, context=torch.zeros(2, width, device=self.device))
        with torch.no_grad(), seeded(0, self.device, self._net):
            return bool(self._net.eval()(x).latent.sites)

    def _batches(self, x: Any, first: int = 0, last: int | None = None) -> Iterator[Batch]:
        """Yields examples as the model sees them, ``CHUNK`` at a time."""
        if on_disk(x):
            x = open_examples(x, self.spec)
        if isinstance(x, Stored):
            for rows in in_order(x, self._chunk, first, last):
                yield self.spec.batch(self.spec.seen_on(self.device, torch.from_numpy(rows)))
            return
        examples = x if isinstance(x, Examples) else Examples(apply_spec(x, self.spec))
        if first or last is not None:
            examples = examples.take(np.arange(first, len(examples) if last is None else last))
        # What a model sees of all rows is as large as they are; of a stretch it is little. Labels are
        # looked at together, so that an error tells the row.
        parts = [examples] if self.spec.classes else examples.chunks(self._chunk)
        for part in parts:
            yield from Resident(part, self.spec, self.device).batches(self._chunk)

    @property
    def _chunk(self) -> int:
        """How many rows are computed together: 1000, or a part of it where rows are very wide."""
        if self.spec.layout != "row":
            return CHUNK
        parts = (1, 2, 4, 8, 20, 40, 100, 200)
        return next((CHUNK // k for k in parts if CHUNK // k * self.spec.size <= _WIDE), 1)

    def _codes(self, z: Any) -> Tensor:
        if isinstance(z, Tensor):
            z = z.detach().cpu().numpy()
        try:
            with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
                codes = torch.from_numpy(np.array(z, dtype=np.float32))
        except (ValueError, TypeError):
            raise DataError("codes must be numbers, one row for each example") from None
        shape = self.latent_shape
        if codes.dim() == 2 and codes.shape[1] == int(np.prod(shape)):
            codes = codes.reshape(len(codes), *shape)
        if tuple(codes.shape[1:]) != shape or codes.dim() == 0 or not len(codes):
            raise DataError(
                f"expected codes of shape (N, {', '.join(map(str, shape))}), got "
                f"{tuple(codes.shape)}; embed makes such codes"
            )
        if not bool(torch.isfinite(codes).all()):
            n_bad = int((~torch.isfinite(codes)).sum())
            first = tuple(int(i) for i in (~torch.isfinite(codes)).nonzero()[0])
            raise DataError(
                f"codes: {n_bad} NaN or infinite (for float32), first at index {first}; drop those"
            )
        return codes.to(self.device)

    def _through(
        self, pieces: Iterable[Any], function: Callable[[Any], Tensor], n: int | None = None
    ) -> Array:
        """Puts what a function makes of pieces together; n rows, where known, need no second copy."""
        each = self._each(pieces, function)
        first = next(each)
        if n is None or n <= len(first):
            return np.concatenate([first, *each])
        made = np.empty((n, *first.shape[1:]), first.dtype)
        done = 0
        for piece in itertools.chain([first], each):
            made[done : done + len(piece)] = piece
            done += len(piece)
        return made

    def _each(self, pieces: Iterable[Any], function: Callable[[Any], Tensor]) -> Iterator[Array]:
        self._net.eval()
        for piece in pieces:
            # Entered for each, since whoever takes the pieces must not find itself inside.
            with tuned(self.device), torch.inference_mode():
                done = function(piece).cpu().numpy()
            yield done


def _mean(x_dist: Observation) -> Tensor:
    return x_dist.mean


def _finished(half: Half) -> Half:
    """An encoder or a decoder that is done with training, its weights in memory as files have them."""
    half.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return half.eval().requires_grad_(False)


def _mean_squares(batch: Batch, mean: Tensor) -> Tensor:
    """Computes the squared error per known entry (B,)."""
    if batch.mask is None:
        return (mean - batch.target).square().flatten(1).mean(1)
    squares = (mean - batch.target.masked_fill(~batch.mask, 0.0)).square() * batch.mask
    return squares.flatten(1).sum(1) / batch.mask.flatten(1).sum(1).clamp_min(1)


def _known(entries: Tensor, batch: Batch) -> Tensor:
    """Sums entries (*D) over those that are known of each example, (B,)."""
    every = entries.expand_as(batch.target)
    return (every if batch.mask is None else every * batch.mask).flatten(1).sum(1)


def flat(array: Array) -> Array:
    """Flattens (N, *shape) into a table (N, columns)."""
    return array.reshape(len(array), -1)
