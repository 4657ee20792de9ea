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
from typing import Any

from lcnkit.exporter.disk_room import set_aside
from lcnkit.exporter.pickle_stream import APPEND, HEAD, STOP, pair_of
from lcnkit.model import Sample
from lcnkit.output import STATE, whole_file

SLOTS = f"{STATE}/slots.json"
WHOLE = f"{STATE}/items.partial"


def reserve(samples: Iterable[Sample], folder: Path) -> int:
    """Write down where each sample will lie, and begin the file; gives its size in bytes.

    Args:
        samples: In the order of the data set. Only the shapes and types of their pixels count.
    """
    slots: dict[str, tuple[int, int]] = {}
    sizes: dict[Any, int] = {}
    offset = len(HEAD)
    for sample in samples:
        kind = _kind(sample)
        if kind not in sizes:
            sizes[kind] = pair_of(sample).size
        size = sizes[kind]
        slots[sample.chip_id] = (offset, size)
        offset += size + len(APPEND)
    with (folder / WHOLE).open("wb") as file:
        file.write(HEAD)
        set_aside(file, offset + len(STOP))
    with whole_file(folder / SLOTS) as file:  # lost with the machine, it costs no more than its use
        file.write(json.dumps(slots).encode())
    return offset + len(STOP)


def _kind(sample: Sample) -> Any:
    """Samples of one kind are pickled in as many bytes; one that is not after all goes to a part of its own."""
    images = [(name, image.values.shape, image.values.dtype, image.bands, image.nodata) for name, image in sample.images.items()]
    frames = [(max((len(frame.item_id) for frame in each), default=0), *(frame.missing for frame in each)) for each in sample.frames.values()]
    names = (len(sample.chip_id.encode()), len(sample.label_item_id.encode()))
    return (*names, sample.grid.crs, sample.grid.shape, len(str(sample.grid.transform)), *images, *frames)


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
