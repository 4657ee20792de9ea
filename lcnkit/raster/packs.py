"""Bytes by key in a folder that the processes of one machine share, each appending to a file of its own.

A file for each value would cost more to make than to fill, and what is there could only be added up by looking at every one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock
from uuid import uuid4

#: A key is so long.
KEY_BYTES = 32
# Key, offset and length: what an index holds of each value, in the order that they were written.
_ENTRY = struct.Struct(f"={KEY_BYTES}sQQ")
_PACK, _INDEX = ".pack", ".index"
# Values written in one call; systems take 1,024 at most (IOV_MAX).
_AT_ONCE = 512


class Packs:
    """The values of a folder, as one process sees them: those of the others as soon as they are written whole.

    Files are open only while they are used, so that their room is free again when the folder is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._own = folder, uuid4().hex
        self._lock = Lock()
        self._places: dict[bytes, tuple[str, int, int]] = {}
        self._seen: dict[str, int] = {}

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values, ``None`` for each that is not there or cannot be read whole."""
        with self._lock:
            if not self._places.keys() >= set(keys):
                self._look()
            places = [self._places.get(key) for key in keys]
        with ExitStack() as stack:
            files: dict[str, int] = {}
            for name in {place[0] for place in places if place is not None}:
                with suppress(OSError):
                    files[name] = stack.enter_context(open(self._folder / (name + _PACK), "rb", buffering=0)).fileno()
            return [None if place is None or place[0] not in files else _whole(files[place[0]], *place[1:]) for place in places]

    def add(self, values: Mapping[bytes, bytes], limit: int) -> None:
        """Keep values, as long as all that are there take no more than ``limit`` bytes; what cannot be written is left.

        Those of a chip come together: many threads that each write one would wait for each other most of the time.
        Processes that add at the same moment may pass the limit by what they add.
        """
        with self._lock:
            try:
                room = limit - self._size()
                kept: dict[bytes, bytes] = {}
                for key, value in values.items():
                    if len(value) + _ENTRY.size <= room:
                        room -= len(value) + _ENTRY.size
                        kept[key] = value
                for start in range(0, len(kept), _AT_ONCE):
                    self._write(dict(islice(kept.items(), start, start + _AT_ONCE)))
            except OSError:
                return

    def _write(self, values: Mapping[bytes, bytes]) -> None:
        with open(self._folder / (self._own + _PACK), "ab", buffering=0) as file:
            offset = file.tell()
            written = offset + os.writev(file.fileno(), list(values.values()))
        entries: dict[bytes, tuple[str, int, int]] = {}
        for key, value in values.items():
            if offset + len(value) <= written:  # else the disk is full
                entries[key] = (self._own, offset, len(value))
            offset += len(value)
        # What an index names is there in full: it is written afterwards, in one piece.
        with open(self._folder / (self._own + _INDEX), "ab", buffering=0) as file:
            file.write(b"".join(_ENTRY.pack(key, *place[1:]) for key, place in entries.items()))
        self._places.update(entries)

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


def _whole(file: int, offset: int, length: int) -> bytes | None:
    try:
        value = os.pread(file, length, offset)
    except OSError:
        return None
    return value if len(value) == length else None


def packs_of(folder: Path) -> Packs:
    """Those of a folder, the same for all threads of a process."""
    return _packs_of(folder, os.getpid())


@lru_cache(maxsize=4)
def _packs_of(folder: Path, process: int) -> Packs:
    return Packs(folder)
