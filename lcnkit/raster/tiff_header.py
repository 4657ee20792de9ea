"""The tags of a TIFF file that are wanted, read without the rest.

A label collection has thousands of rasters whose grid is wanted and whose pixels are not yet, and LandCoverNet's have
a colour map of 400 kB between the two: only what is wanted is read. Classic TIFF only (TIFF 6.0, section 2); other
files are left to GDAL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Type: struct code and bytes (TIFF 6.0, section 2). ASCII comes as one bytes object.
_TYPES = {1: ("B", 1), 2: ("s", 1), 3: ("H", 2), 4: ("I", 4), 12: ("d", 8)}
_ENTRY = 12

#: Gives the bytes from a place on, so many of them; fewer at the end of the file.
ReadAt = Callable[[int, int], bytes]


class NotPlain(ValueError):
    """The file is no classic TIFF with one image."""


def read_tags(read: ReadAt, wanted: frozenset[int]) -> Mapping[int, tuple[Any, ...]]:
    """Values of the wanted tags, as far as the file has them.

    Raises:
        NotPlain: It is another kind of file, has several images, or ends too early.
    """
    return order_and_tags(read, wanted)[1]


def order_and_tags(read: ReadAt, wanted: frozenset[int]) -> tuple[str, Mapping[int, tuple[Any, ...]]]:
    """The byte order as struct and numpy write it, and what `read_tags` gives."""
    try:
        head = read(0, 8)
        order = {b"II": "<", b"MM": ">"}[head[:2]]
        magic, start = struct.unpack(f"{order}HI", head[2:8])
        if magic != 42:
            raise NotPlain("no classic TIFF")
        (count,) = struct.unpack(f"{order}H", read(start, 2))
        directory = read(start + 2, count * _ENTRY + 4)
        if struct.unpack_from(f"{order}I", directory, count * _ENTRY)[0]:
            raise NotPlain("several images")
        return order, dict(_values(read, order, directory, count, wanted))
    except (KeyError, struct.error) as error:
        raise NotPlain(str(error)) from error


def _values(read: ReadAt, order: str, directory: bytes, count: int, wanted: frozenset[int]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for at in range(0, count * _ENTRY, _ENTRY):
        tag, kind, length = struct.unpack_from(f"{order}HHI", directory, at)
        if tag not in wanted:
            continue
        code, size = _TYPES[kind]
        if length * size <= 4:
            raw, place = directory, at + 8
        else:
            raw, place = read(struct.unpack_from(f"{order}I", directory, at + 8)[0], length * size), 0
        yield tag, struct.unpack_from(f"{order}{length}{code}", raw, place)
