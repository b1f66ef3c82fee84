"""Data: named sets, files and arrays, brought to one form and described by a ``DataSpec``."""

from autoencode.data.batches.resident import Resident
from autoencode.data.batches.streamed import Streamed, in_order, source_of
from autoencode.data.binarize import binarized_once
from autoencode.data.disk.conformed import Conformed
from autoencode.data.disk.stored import Stored
from autoencode.data.examples import Data, Examples, ExampleSet
from autoencode.data.formats.all import on_disk
from autoencode.data.formats.download import data_folder, fetch
from autoencode.data.formats.folders import ImageOptions
from autoencode.data.formats.idx import read_idx
from autoencode.data.formats.named import DatasetInfo, catalogue
from autoencode.data.formats.npy import read_file
from autoencode.data.labels import class_numbers, conditioned, known_labels, one_hot
from autoencode.data.loading import load_data, load_examples, open_examples, prepare, reopened
from autoencode.data.origin import Origin
from autoencode.data.raw import Factors, Raw
from autoencode.data.values.apply_spec import apply_spec
from autoencode.data.values.arrays import as_array, as_labels
from autoencode.reading import TableOptions
from autoencode.types import Standardize

__all__ = [
    "Conformed",
    "Data",
    "DatasetInfo",
    "ExampleSet",
    "Examples",
    "Factors",
    "ImageOptions",
    "Origin",
    "Raw",
    "Resident",
    "Standardize",
    "Stored",
    "Streamed",
    "TableOptions",
    "apply_spec",
    "as_array",
    "as_labels",
    "binarized_once",
    "catalogue",
    "class_numbers",
    "conditioned",
    "data_folder",
    "fetch",
    "in_order",
    "known_labels",
    "load_data",
    "load_examples",
    "on_disk",
    "one_hot",
    "open_examples",
    "prepare",
    "read_file",
    "read_idx",
    "reopened",
    "source_of",
]
