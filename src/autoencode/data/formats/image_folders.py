"""Folders of images and shards of them as a form of data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoencode.data.disk.store import Store
from autoencode.data.formats.folders import SHARD
from autoencode.data.formats.format import Format, Opening, as_path


def _matches(source: Any) -> bool:
    path = as_path(source)
    return path is not None and (path.suffix.lower() == SHARD or path.is_dir())


def _open(source: Any, how: Opening) -> Store:
    from autoencode.data.formats import images  # brings Pillow

    return images.open_images(Path(source), how.shape, how.images)


IMAGES = Format("folders and shards of images", _matches, _open, (SHARD,), stores=True)
