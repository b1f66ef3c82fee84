"""Encoders and decoders, which know shapes and layers but nothing of bottlenecks or losses."""

from autoencode.nets.beside import DecoderBesideFactors, EncoderBesideFactors
from autoencode.nets.conv import ConvDecoder, ConvEncoder
from autoencode.nets.hyperbolic import DecoderAfter, Gyroplanes, LogMap
from autoencode.nets.layers import NetOptions, make_activation
from autoencode.nets.mlp import DictionaryDecoder, LadderEncoder, MLPDecoder, MLPEncoder
from autoencode.nets.reader import Logarithm, Read, Reader, reader_for
from autoencode.nets.skip import SkipDecoder, SkipEncoder

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "DecoderAfter",
    "DecoderBesideFactors",
    "DictionaryDecoder",
    "EncoderBesideFactors",
    "Gyroplanes",
    "LadderEncoder",
    "LogMap",
    "Logarithm",
    "MLPDecoder",
    "MLPEncoder",
    "NetOptions",
    "Read",
    "Reader",
    "SkipDecoder",
    "SkipEncoder",
    "make_activation",
    "reader_for",
]
