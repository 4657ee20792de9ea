"""What an API has answered, kept in one SQLite file below the cache folder; safe with several processes.

Two tables: the answers to searches (by what was asked), and the items themselves (by their self link), so that
workers need not ask again. No secret is in either: neither in what was asked nor in what is kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from lcnkit.cache_dir import cache_folder

log = logging.getLogger(__name__)

T = TypeVar("T")
Document = Mapping[str, Any]

# A format of its own for each version: an older file is left alone, a newer one too.
_FILE = "items-1.sqlite"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS items (href TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, made REAL NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
)
# Another process may be writing a large answer.
_PATIENCE_S = 60.0
_AT_ONCE = 500


def key_of(asked: Mapping[str, Any]) -> str:
    """The name of an answer: what was asked, whatever the order of its parts."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """The kept answers; where the file cannot be used, nothing is found and nothing is kept."""

    folder: Path

    @classmethod
    def default(cls) -> Store:
        """Below ``LCNKIT_CACHE_DIR``, or the user's cache folder."""
        return cls(cache_folder() / "search")

    def answer(self, key: str, since: float = 0.0) -> Any:
        """The value kept under ``key``, if it was made at or after ``since`` (seconds since 1970), else ``None``."""

        def look(database: sqlite3.Connection) -> Any:
            row = database.execute("SELECT value FROM answers WHERE key = ? AND made >= ?", (key, since)).fetchone()
            return _unpack(row[0]) if row else None

        return self._use(look)

    def items(self, hrefs: Iterable[str]) -> dict[str, Document]:
        """The items kept, by self link; the others are left out."""
        wanted = list(dict.fromkeys(hrefs))

        def look(database: sqlite3.Connection) -> dict[str, Document]:
            found: dict[str, bytes] = {}
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                found.update(database.execute(f"SELECT href, document FROM items WHERE href IN ({marks})", some))
            return {href: _unpack(document) for href, document in found.items()}

        return self._use(look) or {} if wanted else {}

    def keep(self, key: str | None, value: Any, items: Sequence[tuple[str, Document]] = ()) -> None:
        """Keep an answer (without ``key``: none) and items by self link; all or nothing."""
        packed = [(href, _pack(item)) for href, item in items]

        def write(database: sqlite3.Connection) -> None:
            for table in _TABLES:
                database.execute(table)
            database.executemany("INSERT OR REPLACE INTO items VALUES (?, ?)", packed)
            if key is not None:
                database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, time.time(), _pack(value)))

        self._use(write, create=True)

    def _use(self, work: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T | None:
        """What ``work`` gives, inside one transaction; ``None`` where the file is absent or cannot be used."""
        path = self.folder / _FILE
        try:
            if create:
                self.folder.mkdir(parents=True, exist_ok=True)
            elif not path.exists():
                return None
            with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as database, database:
                return work(database)
        except (OSError, sqlite3.Error, zlib.error, ValueError) as error:
            _warn_once(str(path), str(error))
            return None


@cache
def _warn_once(path: str, why: str) -> None:
    log.warning("Answers of the API cannot be kept in %s (%s): every run asks again. Delete the file, or set LCNKIT_CACHE_DIR.", path, why)


def _pack(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def _unpack(packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed))
