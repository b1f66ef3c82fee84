"""Encoders and decoders. They know shapes and layers, nothing of bottlenecks or losses."""

from autoencode.nets.conv import ConvDecoder, ConvEncoder
from autoencode.nets.layers import NetOptions, make_activation
from autoencode.nets.mlp import MLPDecoder, MLPEncoder

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "NetOptions",
    "make_activation",
]
