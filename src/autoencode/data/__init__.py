"""Data: named sets, files and arrays, brought to one form and described by a ``DataSpec``."""

from autoencode.data.arrays import as_array, as_labels
from autoencode.data.binarize import binarized_once
from autoencode.data.catalogue import DatasetInfo, catalogue, data_folder
from autoencode.data.conditions import class_numbers, conditioned, known_labels, one_hot
from autoencode.data.conform import apply_spec
from autoencode.data.download import fetch
from autoencode.data.examples import Data, Examples, load_data, load_examples, prepare
from autoencode.data.files import read_file
from autoencode.data.folders import ImageOptions
from autoencode.data.fresh import Fresh, in_order, open_examples
from autoencode.data.idx import read_idx
from autoencode.data.large import on_disk, reopened
from autoencode.data.ranges import Standardize
from autoencode.data.raw import Factors, Raw
from autoencode.data.source import Resident
from autoencode.data.stored import Stored
from autoencode.data.stream import Streamed, source_of
from autoencode.data.tables import TableOptions

__all__ = [
    "Data",
    "DatasetInfo",
    "Examples",
    "Factors",
    "Fresh",
    "ImageOptions",
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
