"""Arrow (Feather) and Parquet files: sizes are checked before memory is taken, buffers before values.

The readers of pyarrow believe what a file says of itself: text offsets beyond a buffer let them read
other memory, and a few bytes can claim gigabytes. So the sizes of all that is packed are looked up
first (``require_memory``), and every table is validated in full before anything looks at a value in it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from autoencode.errors import DataError, OptionError
from autoencode.files.free_memory import require_memory
from autoencode.files.regular import open_regular, read_regular

PARQUET = ".parquet"

_OLD_FEATHER, _MAGIC = b"FEA1", b"ARROW1"
_CELL = 24  # bytes of a cell at most while it becomes a number of the model: as it is, as both floats
_TEXT = 200  # more for a cell of text, which becomes objects of Python and places among categories
_ROWS = 1 << 16  # decoded at a time
_FOOTER = struct.Struct("<i6s")
_BLOCK = struct.Struct("<qi4xq")
_VIEWS = ("list_view", "large_list_view", "run_end_encoded")


@contextlib.contextmanager
def parsing(path: Path | str, what: str = "file") -> Iterator[None]:
    """Turns what pyarrow says of a damaged file into an error of one line.

    To be put around calls of the library alone, for some of what it raises are everyday errors.

    Raises:
        DataError: with the file, the kind of damage and what to do.
    """
    arrow = importlib.import_module("pyarrow")
    try:
        yield
    except (DataError, OptionError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except UnicodeError as error:
        raise DataError(f"{path}: holds text that is not UTF-8; save it as UTF-8") from error
    except MemoryError as error:
        raise DataError(f"{path}: claims more than there is memory for; write it again") from error
    except arrow.ArrowNotImplementedError as error:
        raise DataError(
            f"{path}: of a kind that cannot be read ({short(error)}); write it as Parquet"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({short(error)}); write it again") from error
    except (
        arrow.ArrowException,
        ValueError,  # also how pyarrow calls damage
        OverflowError,
        SystemError,
        struct.error,
    ) as error:
        raise DataError(f"{path}: not an intact {what} ({short(error)}); write it again") from error


@contextlib.contextmanager
def converting(name: str) -> Iterator[None]:
    """Turns what pyarrow says of values that cannot become others into an error of one line.

    Raises:
        DataError: a date that no calendar has, or text that is none.
    """
    arrow = sys.modules.get("pyarrow")  # else nothing here is of its kind
    refusals = () if arrow is None else (arrow.ArrowException,)
    try:
        yield
    except (OverflowError, UnicodeError, *refusals) as error:
        raise DataError(f"{name}: a value that cannot be read ({short(error)}); correct it") from error


def short(error: BaseException) -> str:
    """What an error says, in a few words on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:120].rstrip(".")


def read_arrow(path: Path) -> Any:
    """Reads an Arrow file or stream into a table.

    Raises:
        DataError: it is damaged, of the old form of Feather, or too large for memory.
    """
    arrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    with parsing(path):
        content = read_regular(path)
        if content[:4] == _OLD_FEATHER:  # its reader in pyarrow does not look whether buffers are there
            raise DataError(
                f"{path}: a Feather file of the old version 1; write it as version 2 or as Parquet"
            )
        if not content:
            raise DataError(f"{path}: the file is empty; write it again")
        if content.startswith(_MAGIC):
            file = io.BytesIO(content)
            sizes = [block.unpacked(file) for block in blocks(file)]
            require_memory(sum(sizes), str(path))
            return sound(ipc.open_file(arrow.py_buffer(content)).read_all(), path)
        _check_messages(arrow.BufferReader(content), path)
        return sound(ipc.open_stream(arrow.py_buffer(content)).read_all(), path)


def check_stream(path: Path) -> None:
    """Refuses an Arrow stream that is packed and would not fit into memory, none of its values read.

    Raises:
        DataError: with the reason; also where it is damaged or no regular file.
    """
    with open_regular_in_words(path) as handle, parsing(path):
        _check_messages(handle, path)


def _check_messages(stream: Any, path: Path) -> None:
    arrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    total = 0
    for message in ipc.MessageReader.open_stream(stream):
        if message.type in ("dictionary", "record batch"):
            total += _unpacked(memoryview(message.metadata), arrow.BufferReader(message.body), 0)
            require_memory(total, str(path))


def read_parquet(path: Path) -> Any:
    """Reads a Parquet file into a table, a piece at a time.

    Raises:
        DataError: it is damaged, or too large for memory.
    """
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    with open_regular_in_words(path) as handle, parsing(path):
        with parquet.ParquetFile(handle) as file:
            meta, schema = file.metadata, file.schema_arrow
            for group in range(meta.num_row_groups):
                require_memory(unpacked_group(meta, group), str(path))
            require_memory(meta.num_rows * len(schema.names) * _CELL, str(path))
            repeated = sorted(_repeated(meta))
        # What is stored once and meant often stays so until its size is known.
        with parquet.ParquetFile(handle, read_dictionary=repeated) as file:
            pieces = []
            for piece in file.iter_batches(_ROWS, use_threads=False):
                require_memory(2 * piece.nbytes, str(path))
                pieces.append(piece)
            table = sound(arrow.Table.from_batches(pieces, file.schema_arrow), path)
        return table.cast(schema) if repeated else table


def unpacked_group(meta: Any, group: int) -> int:
    """The bytes that a row group says it has when it is unpacked."""
    facts = meta.row_group(group)
    sizes = [facts.column(i).total_uncompressed_size for i in range(facts.num_columns)]
    if facts.num_rows < 0 or any(size < 0 for size in sizes):
        raise ValueError("a negative size")
    return sum(max(size, facts.num_rows // 8) for size in sizes)


def _repeated(meta: Any) -> set[str]:
    """Finds the columns of text whose values may be stored once and repeated by number."""
    found = set()
    for group in range(meta.num_row_groups):
        facts = meta.row_group(group)
        for i in range(facts.num_columns):
            column = facts.column(i)
            packed = any("DICTIONARY" in str(encoding) for encoding in column.encodings)
            if packed and column.physical_type == "BYTE_ARRAY" and "." not in column.path_in_schema:
                found.add(column.path_in_schema)
    return found


def sound(table: Any, path: Path) -> Any:
    """Returns a table or batch whose buffers hold what they say and whose values fit into memory.

    Raises:
        DataError: they do not.
    """
    types = importlib.import_module("pyarrow").types
    with parsing(path):
        table.validate(full=True)
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if any(getattr(types, f"is_{view}")(kind) for view in _VIEWS):
            raise DataError(f"{path}: column {name} holds {kind}; write it as plain values")
    n_cells = table.num_rows * max(1, table.num_columns)
    require_memory(_CELL * n_cells + sum(map(_meant, table.columns)), str(path))
    return table


def _meant(column: Any) -> int:
    """The bytes more than ``_CELL`` of a column's cells of text or lists, repeated ones each time."""
    arrow, compute = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.compute")
    types, total = arrow.types, 0
    for piece in getattr(column, "chunks", [column]):
        if types.is_dictionary(piece.type):
            words = piece.dictionary
            if _is_text(words.type):
                lengths = compute.fill_null(compute.binary_length(words), 0).cast("int64")
                each = lengths.take(piece.indices) if len(words) else lengths
                total += (compute.sum(each).as_py() or 0) + _TEXT * len(piece)
        elif _is_text(piece.type) or types.is_nested(piece.type):
            total += 2 * piece.nbytes + (_TEXT * len(piece) if _is_text(piece.type) else 0)
    return total


def _is_text(kind: Any) -> bool:
    types = importlib.import_module("pyarrow").types
    names = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(types, f"is_{name}")(kind) for name in names)


def open_regular_in_words(path: Path) -> BinaryIO:
    """Opens a regular file that is not empty; whatever else it is, is said in one line.

    Raises:
        DataError: with the reason.
    """
    try:
        handle = open_regular(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({short(error)}); give a file") from error
    if not handle.seek(0, io.SEEK_END):
        handle.close()
        raise DataError(f"{path}: the file is empty; write it again")
    handle.seek(0)
    return handle


# Arrow's own metadata, as far as sizes are concerned (format/Message.fbs, format/File.fbs)


@dataclass(frozen=True)
class Block:
    """Where a record batch, or a batch of a dictionary, lies in an Arrow file."""

    offset: int
    meta: int
    body: int

    def unpacked(self, file: BinaryIO) -> int:
        """The bytes that its packed buffers say they have; 0 where nothing is packed.

        Raises:
            ValueError, struct.error: it is damaged.
        """
        return _unpacked(self._message(file), file, self.offset + self.meta)

    def rows(self, file: BinaryIO) -> int:
        """The number of rows that it says it has."""
        message = self._message(file)
        return _number(message, _field(message, _header(message), 0), "<q")

    def _message(self, file: BinaryIO) -> memoryview:
        file.seek(self.offset)
        content = file.read(self.meta)
        start = 8 if content[:4] == b"\xff\xff\xff\xff" else 4  # older files have no such mark
        return memoryview(content)[start:]


def blocks(file: BinaryIO) -> list[Block]:
    """Lists the blocks of an Arrow file by its footer, those of dictionaries first.

    Raises:
        ValueError, struct.error: it is damaged.
    """
    return [block for which in (2, 3) for block in _listed(file, which)]


def batches(file: BinaryIO) -> list[Block]:
    """Lists the record batches of an Arrow file by its footer.

    Raises:
        ValueError, struct.error: it is damaged.
    """
    return _listed(file, 3)


def _listed(file: BinaryIO, which: int) -> list[Block]:
    end = file.seek(0, io.SEEK_END)
    if end < _FOOTER.size + 8:
        raise ValueError("cut short")
    file.seek(end - _FOOTER.size)
    length, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    if magic != _MAGIC or not 0 < length <= end - _FOOTER.size:
        raise ValueError("no footer, so perhaps cut short")
    file.seek(end - _FOOTER.size - length)
    footer = memoryview(file.read(length))
    at = _field(footer, _number(footer, 0, "<I"), which)
    if at is None:
        return []
    found = [Block(*_BLOCK.unpack_from(footer, place)) for place in _vector(footer, at, _BLOCK.size)]
    if any(b.offset < 8 or b.meta < 8 or b.body < 0 or b.offset + b.meta + b.body > end for b in found):
        raise ValueError("a block outside of the file")
    return found


def _unpacked(message: memoryview, file: BinaryIO, body: int) -> int:
    """The bytes that the packed buffers of a message say they have, its body being at this place."""
    batch = _header(message)
    if _field(message, batch, 3) is None:
        return 0
    total, at = 0, _field(message, batch, 2)
    for place in [] if at is None else _vector(message, at, 16):
        offset, length = struct.unpack_from("<qq", message, place)
        if offset < 0 or length < 0:
            raise ValueError("a buffer of negative size")
        if length < 8:
            continue
        file.seek(body + offset)
        (size,) = struct.unpack("<q", file.read(8))
        if size < -1:
            raise ValueError("a buffer of negative size")
        total += length if size == -1 else size
    return total


def _header(message: memoryview) -> int:
    """Where the table of a record batch lies in a message, also of one inside a dictionary's."""
    root = _number(message, 0, "<I")
    header = _field(message, root, 2)
    if header is None:
        raise ValueError("a message without content")
    batch = header + _number(message, header, "<I")
    kind = _field(message, root, 1)
    if _number(message, kind, "<B") == 2:  # of a dictionary
        inner = _field(message, batch, 1)
        if inner is None:
            raise ValueError("a dictionary without content")
        batch = inner + _number(message, inner, "<I")
    return batch


def _number(buffer: memoryview, at: int | None, form: str) -> int:
    if at is None:
        return 0
    if at < 0:
        raise ValueError("a place before the beginning")
    (value,) = struct.unpack_from(form, buffer, at)
    return int(value)


def _field(buffer: memoryview, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table lies, ``None`` where it has its default."""
    layout = table - _number(buffer, table, "<i")
    if 4 + 2 * number + 2 > _number(buffer, layout, "<H"):
        return None
    offset = _number(buffer, layout + 4 + 2 * number, "<H")
    return table + offset if offset else None


def _vector(buffer: memoryview, at: int, size: int) -> range:
    """The places of a flatbuffer's vector of structs."""
    start = at + _number(buffer, at, "<I")
    n = _number(buffer, start, "<I")
    if start + 4 + n * size > len(buffer):
        raise ValueError("a list beyond the end")
    return range(start + 4, start + 4 + n * size, size)
