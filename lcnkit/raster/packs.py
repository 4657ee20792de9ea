"""Bytes by key in a folder that the processes of one machine share, each appending to a file of its own.

A file for each value would cost more to make than to fill, and what is there could only be added up by looking at every one.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from pathlib import Path
from threading import Lock
from uuid import uuid4

#: A key is so long.
KEY_BYTES = 32
# Key, offset and length: what an index holds of each value, in the order that they were written.
_ENTRY = struct.Struct(f"={KEY_BYTES}sQQ")
_PACK, _INDEX = ".pack", ".index"


class Packs:
    """The values of a folder, as one process sees them: those of the others as soon as they are written whole.

    Files are open only while they are used, so that their room is free again when the folder is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._own = folder, uuid4().hex
        self._lock = Lock()
        self._places: dict[bytes, tuple[str, int, int]] = {}
        self._seen: dict[str, int] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value, ``None`` where there is none that can be read whole."""
        with self._lock:
            if key not in self._places:
                self._look()
            place = self._places.get(key)
        if place is None:
            return None
        name, offset, length = place
        try:
            with open(self._folder / (name + _PACK), "rb", buffering=0) as file:
                value = os.pread(file.fileno(), length, offset)
        except OSError:
            return None
        return value if len(value) == length else None

    def add(self, key: bytes, value: bytes, limit: int) -> None:
        """Keep a value, unless all values would take more than ``limit`` bytes then; what cannot be written is left.

        Processes that add at the same moment may pass the limit by a value each.
        """
        with self._lock:
            try:
                if self._size() + len(value) + _ENTRY.size > limit:
                    return
                with open(self._folder / (self._own + _PACK), "ab", buffering=0) as file:
                    offset = file.tell()
                    if file.write(value) < len(value):  # the disk is full
                        return
                # What an index names is there in full: it is written afterwards, in one piece.
                with open(self._folder / (self._own + _INDEX), "ab", buffering=0) as file:
                    file.write(_ENTRY.pack(key, offset, len(value)))
            except OSError:
                return
            self._places[key] = (self._own, offset, len(value))

    def _size(self) -> int:
        return sum(entry.stat().st_size for entry in os.scandir(self._folder))

    def _look(self) -> None:
        """Take note of what others have added since."""
        try:
            for entry in os.scandir(self._folder):
                name, kind = os.path.splitext(entry.name)
                start = self._seen.get(name, 0)
                if kind == _INDEX and name != self._own and entry.stat().st_size > start:
                    with open(entry.path, "rb", buffering=0) as file:
                        found = os.pread(file.fileno(), entry.stat().st_size - start, start)
                    whole = len(found) - len(found) % _ENTRY.size
                    self._seen[name] = start + whole
                    self._places.update((key, (name, offset, length)) for key, offset, length in _ENTRY.iter_unpack(found[:whole]))
        except OSError:  # the folder has gone with its sweep
            return


def packs_of(folder: Path) -> Packs:
    """Those of a folder, the same for all threads of a process."""
    return _packs_of(folder, os.getpid())


@lru_cache(maxsize=4)
def _packs_of(folder: Path, process: int) -> Packs:
    return Packs(folder)
