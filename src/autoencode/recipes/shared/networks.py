"""Pairs of encoder and decoder, as recipes ask for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from autoencode.errors import IncompatibleError, OptionError
from autoencode.limits import Count, Stride
from autoencode.nets import (
    ConvDecoder,
    ConvEncoder,
    DictionaryDecoder,
    EncoderBesideFactors,
    MLPDecoder,
    MLPEncoder,
    NetOptions,
    Read,
    SkipDecoder,
    SkipEncoder,
    reader_for,
)
from autoencode.types import DataSpec


class Networks(Protocol):
    """A factory of an encoder and the decoder that mirrors it."""

    @property
    def options(self) -> NetOptions:
        """Options of how the networks' layers are made."""

    @property
    def own(self) -> bool:
        """Whether the networks are the user's, so that no file can build them again."""

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        """Makes the encoder; returns it and the width of its features."""

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        """Makes the decoder; ``latent_dim`` is ``None`` where z is the encoder's output itself."""


def reading(
    spec: DataSpec,
    make: Callable[[tuple[int, ...]], nn.Module],
    squash: bool = True,
) -> tuple[nn.Module, int]:
    """Makes an encoder that reads such data; returns it and the width of its features.

    Args:
        spec: the data.
        make: an encoder with ``features``, of the shape of what it is given.
        squash: whether it is given outliers drawn in where there are gaps or categories.
    """
    reader = reader_for(spec, squash)
    encoder = make(spec.shape if reader is None else reader.shape)
    features: int = encoder.features  # type: ignore[assignment]
    return encoder if reader is None else Read(reader, encoder), features


@dataclass(frozen=True)
class DenseNetworks:
    """Networks of fully connected layers of the given widths, mirrored.

    For rows of measurements a linear path stands beside the hidden layers each way (``NetOptions``).

    Attributes:
        hidden: widths of the encoder's hidden layers.
        options: how layers are made.
        factors: most factors of an analysis that stands beside the networks for such rows with gaps; 0
            for none.
    """

    hidden: tuple[int, ...]
    options: NetOptions = field(default_factory=NetOptions)
    factors: int = 0
    own = False

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        straight = self.options.straight(spec)
        made = self.hidden, self.options, spec.context_dim, straight
        found, width = reading(spec, lambda shape: MLPEncoder(shape, *made), squash=not straight)
        if not self._beside(spec):
            return found, width
        beside = EncoderBesideFactors(found, width, self.factors)  # type: ignore[arg-type]
        return beside, beside.features

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        assert latent_dim is not None
        made = n_params, self.options, spec.context_dim, self.options.straight(spec)
        return MLPDecoder(latent_dim, self.hidden[::-1], spec.shape, *made)

    def _beside(self, spec: DataSpec) -> bool:
        return bool(self.factors) and spec.gaps and spec.measured


@dataclass(frozen=True)
class DictionaryNetworks(DenseNetworks):
    """Networks without hidden layers, with a linear decoder whose columns have length 1."""

    hidden: tuple[int, ...] = ()

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        return reading(spec, lambda shape: MLPEncoder(shape, (), self.options, spec.context_dim))

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        assert latent_dim is not None
        if n_params != 1:
            raise IncompatibleError(
                "a dictionary explains numbers by squared errors and these data have categories or "
                "counts; use an MLP recipe"
            )
        return DictionaryDecoder(latent_dim, spec.shape, spec.context_dim)


@dataclass(frozen=True)
class ConvNetworks:
    """Networks of 3x3 convolutions with the given channels and strides, mirrored."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    options: NetOptions = field(default_factory=NetOptions)
    spatial: bool = False
    own = False

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        _refuse_for_convolutions(self.options, spec)
        return reading(
            spec,
            lambda shape: ConvEncoder(shape, self.channels, self.strides, self.options, self.spatial),
        )

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        widths = (self.channels, self.strides)
        if self.spatial:  # the code is a map, and its width that map's channels
            return ConvDecoder(None, spec.shape, *widths, n_params, self.options, latent_dim)
        return ConvDecoder(latent_dim, spec.shape, *widths, n_params, self.options)


@dataclass(frozen=True)
class Widths:
    """The sizes of a recipe's built-in networks.

    Attributes:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        channels: 3x3 convolutions with these output channels in the place of hidden, for images;
            none by default.
        strides: strides of the convolutions.
    """

    hidden: tuple[Count, ...] = (256, 64)
    channels: tuple[Count, ...] = ()
    strides: tuple[Stride, ...] = ()

    def networks(self, net: NetOptions, own: Networks | None = None) -> Networks:
        """Returns the user's networks, else makes convolutions or dense layers."""
        if own is not None:
            return own
        if self.channels or self.strides:
            return ConvNetworks(self.channels, self.strides, net)
        return DenseNetworks(self.hidden, net)


@dataclass(frozen=True)
class SkipNetworks:
    """Networks of 3x3 convolutions whose maps, and x, all go to the mirrored decoder."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    options: NetOptions = field(default_factory=NetOptions)
    own = False

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        _refuse_for_convolutions(self.options, spec)
        return reading(
            spec, lambda shape: SkipEncoder(shape, self.channels, self.strides, self.options)
        )

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        reader = reader_for(spec)
        shape = spec.shape if reader is None else reader.shape
        wanted = (spec.shape[0], n_params * spec.shape[0])
        return SkipDecoder(shape, self.channels, self.strides, wanted, self.options)


def _refuse_for_convolutions(options: NetOptions, spec: DataSpec) -> None:
    if options.layers == "scratch":
        raise OptionError("layers=scratch is for fully connected recipes; use mlp")
    if spec.context_dim:
        raise IncompatibleError("convolutions take no context; use an MLP recipe")


@dataclass(frozen=True)
class UserNetworks:
    """Networks of the user's own modules, copied so that the originals are never trained."""

    user_encoder: nn.Module
    user_decoder: nn.Module
    options: NetOptions = field(default_factory=NetOptions)
    own = True

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        if reader_for(spec) is not None:
            raise IncompatibleError(
                "networks of your own cannot read missing values or categories; fill and encode them "
                "first, or use a recipe's own networks"
            )
        encoder = copy.deepcopy(self.user_encoder)
        try:
            with torch.no_grad():
                h = encoder.cpu().eval()(torch.zeros(2, *spec.shape))
        except RuntimeError as error:
            raise IncompatibleError(
                f"the encoder does not take examples of shape {spec.shape}: {error}"
            ) from error
        encoder.train()
        if not isinstance(h, torch.Tensor):
            raise IncompatibleError(f"the encoder must return a tensor, got {type(h).__name__}")
        return encoder, int(h.shape[-1])

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        return copy.deepcopy(self.user_decoder).cpu()
