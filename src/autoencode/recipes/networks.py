"""Pairs of encoder and decoder, as recipes ask for them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from autoencode.errors import IncompatibleError, OptionError
from autoencode.nets import (
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    NetOptions,
    Read,
    reader_for,
)
from autoencode.types import DataSpec


class Networks(Protocol):
    """Makes an encoder and the decoder that mirrors it."""

    @property
    def options(self) -> NetOptions:
        """How their layers are made."""

    @property
    def own(self) -> bool:
        """Whether they are the user's, so that no file can build them again."""

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        """The encoder and the width of its features."""

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        """The decoder; ``latent_dim`` is ``None`` where z is the encoder's output itself."""


@dataclass(frozen=True)
class Dense:
    """Fully connected layers of the given widths, mirrored."""

    hidden: tuple[int, ...]
    options: NetOptions = field(default_factory=NetOptions)
    own = False

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        reader = reader_for(spec)
        shape = spec.shape if reader is None else reader.shape
        encoder = MLPEncoder(shape, self.hidden, self.options, spec.context_dim)
        return encoder if reader is None else Read(reader, encoder), encoder.features

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        assert latent_dim is not None
        mirrored = self.hidden[::-1]
        return MLPDecoder(latent_dim, mirrored, spec.shape, n_params, self.options, spec.context_dim)


@dataclass(frozen=True)
class Convolutional:
    """3x3 convolutions with the given channels and strides, mirrored."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    options: NetOptions = field(default_factory=NetOptions)
    spatial: bool = False
    own = False

    def __post_init__(self) -> None:
        if self.options.layers == "scratch":
            raise OptionError("layers=scratch is for fully connected recipes; use mlp")

    def encoder(self, spec: DataSpec) -> tuple[nn.Module, int]:
        if spec.context_dim:
            raise IncompatibleError("convolutions take no context; use an MLP recipe")
        reader = reader_for(spec)
        shape = spec.shape if reader is None else reader.shape
        encoder = ConvEncoder(shape, self.channels, self.strides, self.options, self.spatial)
        return encoder if reader is None else Read(reader, encoder), encoder.features

    def decoder(self, latent_dim: int | None, spec: DataSpec, n_params: int) -> nn.Module:
        return ConvDecoder(latent_dim, spec.shape, self.channels, self.strides, n_params, self.options)


@dataclass(frozen=True)
class Own:
    """The user's modules, copied so that theirs are never trained behind their back."""

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
