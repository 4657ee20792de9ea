"""Where each sample will lie in the finished pickle, known before the first one is written.

A sample's bytes are many megabytes of pixels, whose size follows from the plan, and a few kilobytes around
them that are known, too. So workers write straight into the file that becomes ``items.pkl``, and nothing is
written twice. A sample that comes out in another size goes to a part of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from lcnkit.exporter.pickle_stream import APPEND, HEAD, size_of_pair
from lcnkit.model import Sample
from lcnkit.output import STATE, write_json

SLOTS = f"{STATE}/slots.json"
WHOLE = f"{STATE}/items.partial"


def reserve(samples: Iterable[Sample], folder: Path) -> int:
    """Write down where each sample will lie, and begin the file; gives its size in bytes.

    Args:
        samples: In the order of the data set. Only the shapes and types of their pixels count.
    """
    slots: dict[str, tuple[int, int]] = {}
    offset = len(HEAD)
    for sample in samples:
        size = size_of_pair(sample)
        slots[sample.chip_id] = (offset, size)
        offset += size + len(APPEND)
    with (folder / WHOLE).open("wb") as file:
        file.write(HEAD)
    write_json(folder / SLOTS, slots)
    return offset + 1


def slot_of(chip_id: str, folder: Path) -> tuple[int, int] | None:
    """Offset and size that are kept for a sample, ``None`` where there are none."""
    path = folder / SLOTS
    try:
        return _slots(str(path), os.stat(path).st_mtime_ns).get(chip_id)
    except (FileNotFoundError, ValueError, AttributeError, TypeError):  # absent, or what a crash has made of it
        return None


@lru_cache(maxsize=2)
def _slots(path: str, _mtime: int) -> dict[str, tuple[int, int]]:
    """Read once by each worker, not once for each sample."""
    with open(path, "rb") as file:
        return {chip: (offset, size) for chip, (offset, size) in json.loads(file.read()).items()}
