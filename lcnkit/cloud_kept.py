"""Cloud covers that an earlier run measured, kept in the cache folder: a mask on disk is read once, not by every run.

A value is used again only where all that makes it is as it was: the item (the catalog tells), the mask file (its path,
size and time of change), the chip's grid, how the mask is read and counted, and the version of lcnkit. What is read
by a plugin's reader, or lies on a server, is measured each time: nobody here can tell whether it has changed.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Protocol, TypeVar, runtime_checkable

from lcnkit.cache_dir import cache_folder
from lcnkit.model import Chip
from lcnkit.model.href import is_url
from lcnkit.options import describe

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Path, time of change (ns) and size of a file.
FileState = tuple[str, int, int]
Kept = tuple[str, FileState, float]
"""State of the item, of its mask, and the cloud cover (percent)."""

# Another number for every change of what a row holds.
_FILE = "covers-1.sqlite"
# Chips, about 2 kB each; the oldest make room.
_MOST_CHIPS = 100_000
_PATIENCE_S = 30.0
_AT_ONCE = 500


@runtime_checkable
class TellsChanges(Protocol):
    """A catalog that can tell whether its items have changed, without reading them."""

    def item_states(self, hrefs: Sequence[str]) -> list[str]:
        """A text for each item that is another one when the item may have changed; ``""`` where nobody can tell."""


def file_state(path: str) -> FileState | None:
    """The state of a file on disk; ``None`` where there is none, or it is elsewhere."""
    if is_url(path):
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return path, status.st_mtime_ns, status.st_size


class KeptCovers:
    """Covers by chip, and in each by item href; where the file cannot be used, nothing is found and nothing is kept."""

    def __init__(self, catalog: Any, reader: Any, *how: Any) -> None:
        """Args: how says what else decides a value, the same for all chips."""
        self._catalog = catalog if isinstance(catalog, TellsChanges) and type(reader).__module__.startswith("lcnkit.") else None
        about = [_name(catalog), _name(reader), describe(reader) if self._catalog is not None else None, *how]
        self._about = json.dumps([importlib.metadata.version("lcnkit"), *about], default=str)
        self._made: dict[str, dict[str, Kept]] = {}
        self._changed: set[str] = set()
        self._path = cache_folder() / "clouds" / _FILE

    def known(self, wanted: Sequence[tuple[Chip, Sequence[str]]]) -> list[dict[str, float]]:
        """For each chip, the cover of those of its items whose value still holds."""
        if self._catalog is None:
            return [{} for _ in wanted]
        stored = self._load([self._key(chip) for chip, _ in wanted])
        found: list[dict[str, float]] = []
        for chip, hrefs in wanted:
            kept = stored.get(self._key(chip), {})
            asked = [href for href in hrefs if href in kept]
            states = self._catalog.item_states(asked) if asked else []
            valid = {href: kept[href] for href, state in zip(asked, states, strict=True) if state == kept[href][0] and _is_same(kept[href][1])}
            self._made[self._key(chip)] = {**{href: kept[href] for href in kept.keys() - set(hrefs)}, **valid}
            found.append({href: cover for href, (_, _, cover) in valid.items()})
        return found

    def add(self, chip: Chip, measured: Mapping[str, tuple[FileState, float]]) -> None:
        """Remember what was measured, by item href, until `save`; the state of a mask is that from before it was read."""
        if self._catalog is None or not measured:
            return
        states = self._catalog.item_states(list(measured))
        new = {href: (state, *found) for state, (href, found) in zip(states, measured.items(), strict=True) if state}
        self._made.setdefault(self._key(chip), {}).update(new)
        self._changed.add(self._key(chip))

    def save(self) -> None:
        """Keep what was added for the next run."""
        rows = [(key, time.time(), zlib.compress(json.dumps(self._made[key]).encode(), 1)) for key in sorted(self._changed)]

        def write(database: sqlite3.Connection) -> None:
            database.execute("CREATE TABLE IF NOT EXISTS covers (chip TEXT PRIMARY KEY, made REAL NOT NULL, value BLOB NOT NULL)")
            database.executemany("INSERT OR REPLACE INTO covers VALUES (?, ?, ?)", rows)
            database.execute("DELETE FROM covers WHERE chip NOT IN (SELECT chip FROM covers ORDER BY made DESC LIMIT ?)", (_MOST_CHIPS,))

        if rows:
            self._use(write, create=True)
            self._changed.clear()

    def _key(self, chip: Chip) -> str:
        import xxhash

        return str(xxhash.xxh3_128_hexdigest(json.dumps([self._about, chip.id, chip.grid.as_dict()]).encode()))

    def _load(self, keys: Sequence[str]) -> dict[str, dict[str, Kept]]:
        def look(database: sqlite3.Connection) -> dict[str, dict[str, Kept]]:
            found: dict[str, bytes] = {}
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                found.update(database.execute(f"SELECT chip, value FROM covers WHERE chip IN ({','.join('?' * len(some))})", some))
            return {key: _unpacked(value) for key, value in found.items()}

        return self._use(look) or {}

    def _use(self, work: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T | None:
        """What ``work`` gives, inside one transaction; ``None`` where the file is absent or cannot be used."""
        try:
            if create:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            elif not self._path.exists():
                return None
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE_S)) as database, database:
                return work(database)
        except (OSError, sqlite3.Error, zlib.error, ValueError, TypeError) as error:
            log.info("clouds     measured covers cannot be kept in %s: %s", self._path, error)
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                self._discard()  # it is damaged, not busy
            return None

    def _discard(self) -> None:
        with suppress(OSError):
            self._path.unlink()


def _unpacked(value: bytes) -> dict[str, Kept]:
    stored = json.loads(zlib.decompress(value))
    return {href: (str(item), (str(path), int(changed), int(size)), float(cover)) for href, (item, (path, changed, size), cover) in stored.items()}


def _is_same(state: FileState) -> bool:
    return file_state(state[0]) == state


def _name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
