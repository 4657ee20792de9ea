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


# Tag 254, NewSubfileType (TIFF 6.0, section 8): its first bit alone stands for a smaller copy of another image in the file.
_KIND, _SMALLER = 254, 1
# A scene has a handful; more would be another kind of file, or a circle.
_MOST_IMAGES = 32


def read_tags(read: ReadAt, wanted: frozenset[int]) -> Mapping[int, tuple[Any, ...]]:
    """Values of the wanted tags, as far as the file has them.

    Raises:
        NotPlain: It is another kind of file, has several images, or ends too early.
    """
    return order_and_tags(read, wanted)[1]


def order_and_tags(read: ReadAt, wanted: frozenset[int], *, overviews: bool = False) -> tuple[str, Mapping[int, tuple[Any, ...]]]:
    """The byte order as struct and numpy write it, and what `read_tags` gives.

    Args:
        overviews: Whether smaller copies of the image may follow it (a mask may not).
    """
    try:
        head = read(0, 8)
        order = {b"II": "<", b"MM": ">"}[head[:2]]
        magic, start = struct.unpack(f"{order}HI", head[2:8])
        if magic != 42:
            raise NotPlain("no classic TIFF")
        directory, after = _directory(read, order, start)
        for _ in range(_MOST_IMAGES):
            if not after:
                return order, dict(_values(read, order, directory, wanted))
            other, after = _directory(read, order, after)
            if not overviews or dict(_values(read, order, other, frozenset((_KIND,)))).get(_KIND) != (_SMALLER,):
                break
        raise NotPlain("several images")
    except (KeyError, struct.error) as error:
        raise NotPlain(str(error)) from error


def _directory(read: ReadAt, order: str, start: int) -> tuple[bytes, int]:
    """The entries of an image, and where the next image's are (0: there is none)."""
    (count,) = struct.unpack(f"{order}H", read(start, 2))
    content = read(start + 2, count * _ENTRY + 4)
    return content[:-4], struct.unpack_from(f"{order}I", content, count * _ENTRY)[0]


def _values(read: ReadAt, order: str, directory: bytes, wanted: frozenset[int]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for at in range(0, len(directory), _ENTRY):
        tag, kind, length = struct.unpack_from(f"{order}HHI", directory, at)
        if tag not in wanted:
            continue
        code, size = _TYPES[kind]
        if length * size <= 4:
            raw, place = directory, at + 8
        else:
            raw, place = read(struct.unpack_from(f"{order}I", directory, at + 8)[0], length * size), 0
        yield tag, struct.unpack_from(f"{order}{length}{code}", raw, place)
