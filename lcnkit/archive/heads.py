"""What large collections say of themselves, kept in the cache folder: with 650,000 links to items, reading one takes two seconds.

A run whose index is warm wants to know no more of them. The links are read when somebody asks for them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from lcnkit.cache_dir import cache_folder
from lcnkit.output import whole_file

# Another number for every change of what is kept.
_FORMAT = 1


@dataclass(frozen=True)
class State:
    """What tells whether a file has changed: its path, when it and its entry changed (ns), its size."""

    path: str
    changed: int
    moved: int
    size: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> State:
        """As the file system has it now."""
        return cls(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size)

    @property
    def _kept(self) -> Path:
        return cache_folder() / "collections" / f"{hashlib.sha256(self.path.encode()).hexdigest()[:24]}.json"

    def _facts(self) -> dict[str, Any]:
        return {"format": _FORMAT, "path": self.path, "changed": self.changed, "moved": self.moved, "size": self.size}


def kept_head(state: State) -> tuple[dict[str, Any], int] | None:
    """The file's JSON without its links to items, and how many these are; ``None`` where it is not kept, or has changed."""
    try:
        kept = json.loads(state._kept.read_bytes())
        document, count = kept["document"], kept["items"]
        same = all(kept[name] == value for name, value in state._facts().items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (document, count) if same and isinstance(document, dict) and isinstance(count, int) else None


def keep_head(state: State, document: dict[str, Any], count: int) -> None:
    """Keep it for the next run; where that cannot be, it is read again."""
    try:
        with whole_file(state._kept) as file:
            file.write(json.dumps({**state._facts(), "items": count, "document": document}).encode())
    except (OSError, ValueError, TypeError):
        return


class LaterHrefs(Sequence[str]):
    """So many hrefs, read when somebody looks at them."""

    def __init__(self, count: int, read: Callable[[], Sequence[str]]) -> None:
        """Args: read gives them, absolute and in order; of a file that has changed since, those that it has now."""
        self._count, self._read = count, read

    @cached_property
    def _hrefs(self) -> Sequence[str]:
        return self._read()

    def __len__(self) -> int:
        return self._count if "_hrefs" not in self.__dict__ else len(self._hrefs)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._hrefs[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._hrefs)
