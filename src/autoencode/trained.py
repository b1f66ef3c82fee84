"""A trained model with its data contract: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoencode.data import Examples, Resident, apply_spec
from autoencode.data.raw import Array
from autoencode.errors import DataError, IncompatibleError, OptionError, TrainingError, nearest
from autoencode.fitting import FITTED, prior_of
from autoencode.models import AutoencoderModule
from autoencode.randomness import seeded
from autoencode.recipes import Recipe
from autoencode.training.tuning import tuned
from autoencode.types import DataSpec

CHUNK = 1000  # rows that are computed together
_PRIOR_ROWS = 10_000


@dataclass
class Trained:
    """A model that has been trained, as a run folder holds it.

    Attributes:
        recipe: model, updates, options and figures.
        info: everything else that is worth knowing of the run (data, seed, versions), as JSON.
    """

    recipe: Recipe
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> AutoencoderModule:
        return self.recipe.model

    @property
    def spec(self) -> DataSpec:
        return self.recipe.spec

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.recipe.latent_shape

    def embed(self, x: Any) -> Array:
        """X (N, *D) in the data's own units to codes (N, *Z), float32."""
        return self._through(self._source(x).batches(CHUNK), lambda b: self.model.embed(b.x))

    def reconstruct(self, x: Any) -> Array:
        """X (N, *D) to its reconstruction (N, *D), both in the data's own units."""
        batches = self._source(x).batches(CHUNK)
        return self._through(batches, lambda b: self.spec.to_raw(self.model.reconstruct(b.x)))

    def decode(self, z: Any) -> Array:
        """Codes (N, *Z) to examples (N, *D) in the data's own units.

        Raises:
            DataError: when the codes have another shape than the model's.
        """
        codes = self._codes(z)
        pieces = [codes[i : i + CHUNK] for i in range(0, len(codes), CHUNK)]
        return self._through(pieces, lambda c: self.spec.to_raw(self.model.decode(c).mean))

    def sample(self, n: int, seed: int = 0) -> Array:
        """N examples (n, *D) from the prior (for a plain autoencoder the one fitted to its codes)."""
        if n < 1:
            raise OptionError(f"the number of samples must be at least 1, got {n}")
        with seeded(seed, self.device), torch.inference_mode():
            return self.decode(self.model.eval().sample_latent(n).cpu().numpy())

    def _source(self, x: Any) -> Resident:
        if isinstance(x, Examples):
            return Resident(x, self.spec, self.device)
        return Resident(Examples(apply_spec(x, self.spec)), self.spec, self.device)

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

    def _through(self, pieces: Any, function: Callable[[Any], Tensor]) -> Array:
        self.model.eval()
        with tuned(self.device), torch.inference_mode():
            done = [function(piece).cpu() for piece in pieces]
        return torch.cat(done).numpy()


def fit_prior(trained: Trained, examples: Examples, seed: int = 0, kind: str | None = None) -> Trained:
    """Gives a model a prior that is fitted to the codes of some examples, to sample from.

    Args:
        trained: the model; changed in place.
        examples: whose codes; up to 10 000 of them.
        seed: which, and of the fit.
        kind: gaussian, mixture (10 Gaussians), maf, iaf, two_stage or sphere, for any model. By default
            gaussian for a plain autoencoder, and a model that has a prior already keeps it.

    Raises:
        OptionError: for an unknown kind.
        IncompatibleError: for a model whose prior depends on a context.

    Example:
        >>> from autoencode import fit_prior, load_data, train
        >>> run = train("digits", "vae", epochs=1)
        >>> better = fit_prior(run.trained, run.data.train, kind="mixture")
        >>> better.sample(2).shape
        (2, 1, 8, 8)
    """
    if kind is None and (trained.model.prior is not None or len(examples) < 2):
        return trained
    if kind is not None and kind not in FITTED:
        raise OptionError(f"unknown prior '{kind}'; {nearest(kind, FITTED)}")
    rows = np.random.default_rng(seed).permutation(len(examples))[:_PRIOR_ROWS]
    codes = torch.from_numpy(trained.embed(examples.take(np.sort(rows))))
    if not bool(torch.isfinite(codes).all()):
        raise TrainingError("training diverged: its codes are not finite; try a lower learning rate")
    prior = prior_of(kind or "gaussian", codes, seed)
    trained.model.prior = prior.to(trained.device)
    return trained


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else MPS, else the CPU.

    Raises:
        IncompatibleError: for a device that this machine does not have.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device(next(d for d in ("cuda", "mps", "cpu") if present[d]))
    kind, _, index = name.partition(":")
    if kind not in present or not (index.isdecimal() or name == kind):
        raise IncompatibleError(f"unknown device '{name}'; use auto, cpu, cuda or mps")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not present[kind] or int(index or 0) >= count:
        raise IncompatibleError(f"device '{name}' is not available here; use auto or cpu")
    return torch.device(name)


def flat(array: Array) -> Array:
    """(N, *shape) as a table (N, columns)."""
    return array.reshape(len(array), -1)


__all__: Sequence[str] = ["Trained", "choose_device", "fit_prior", "flat"]
